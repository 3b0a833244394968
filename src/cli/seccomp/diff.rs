//! `seccomp diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::setting::SettingArgs;
use super::{Outcome, difference, output};
use crate::cli::DIFFERENT;
use crate::ops::seccomp::diff;

/// Say what two profiles answer differently, call by call
///
/// Every call of every ABI is compared, with every argument that either profile looks at: rules
/// that are written differently and mean the same are no difference. Where only some arguments are
/// answered differently, the smallest that show it are printed. As level `hardened` loads them,
/// so what the baseline refuses in both is no difference; --no-baseline compares them as written.
///
/// Exit status: 0 no difference, 4 some, 1 one of them is no profile.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The one profile: a file, `-`, builtin:baseline or builtin:allow-list
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// The other
    #[arg(value_name = "AFTER")]
    after: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    setting: SettingArgs,
}

pub(super) fn perform(args: &DiffArgs) -> Outcome {
    let report = diff(&args.before, &args.after, &args.setting.setting())?;
    if args.json {
        output::print_pretty(&report)?;
    } else if !report.is_empty() {
        output::print(&difference::text(&report))?;
    }
    Ok(if report.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}
