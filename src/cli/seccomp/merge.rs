//! `seccomp merge`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::setting::SettingArgs;
use super::table::count;
use super::{Outcome, output};
use crate::ops::seccomp::{MergeReport, merge, write_profile};

/// Merge profiles into one that permits what any of them permits, and nothing else
///
/// For each call the loosest verdict of the profiles is taken: permitted goes before left to a
/// listener, that before refused. Of refusals, one that a rule names goes before a default. The
/// result is proved before it is written: for every call and every argument on the ABIs that all
/// of the profiles list. What no list of rules can say is an error. Comments are kept.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// The profiles: files, or `-` for one of them
    #[arg(value_name = "PROFILE", required = true, num_args = 1..)]
    profiles: Vec<PathBuf>,

    /// Write the profile to this file, which is replaced as a whole; standard output without it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    setting: SettingArgs,
}

pub(super) fn perform(args: &MergeArgs) -> Outcome {
    let report = merge(&args.profiles, &args.setting.setting())?;
    let profile = output::pretty(&report.merged)?;
    for note in &report.notes {
        output::note(note);
    }
    match &args.output {
        Some(path) if path.as_os_str() != "-" => {
            write_profile(path, &profile)?;
            output::print(&text(args, &report))?;
        }
        Some(_) | None => {
            output::print(&profile)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(args: &MergeArgs, report: &MergeReport) -> String {
    let calls: usize = report.merged.syscalls.iter().map(|rule| rule.names.len()).sum();
    let mut out = format!("{} merged", count(args.profiles.len(), "profile", "profiles"));
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        ": {}, {} by name; all else by default",
        count(report.merged.syscalls.len(), "rule", "rules"),
        count(calls, "call", "calls"),
    );
    out
}
