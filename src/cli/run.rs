//! `run`.

use std::process::ExitCode;

use clap::Args;

use super::create::LaunchArgs;
use super::{Outcome, report};
use crate::ops::{self, Context, RunRequest};

/// Create a container, start it, wait for its end and delete it
///
/// The exit status is that of the container's program: its own, or 128 and the number of the
/// signal that ended it.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    common: LaunchArgs,

    /// Return as soon as the program has started
    #[arg(long, short)]
    detach: bool,

    /// Do not delete the container when its program has ended
    #[arg(long)]
    keep: bool,

    /// Taken because engines may give it; decides nothing
    #[arg(long, hide = true)]
    no_subreaper: bool,
}

pub(super) fn perform(context: &Context, args: &RunArgs) -> Outcome {
    let create = args.common.request("run")?;
    let request = RunRequest { create, detach: args.detach, keep: args.keep };
    let ran = ops::run(context, &request)?;
    report::warnings(&format!("run `{}`", request.create.id), &ran.warnings);
    Ok(ExitCode::from(ran.status))
}
