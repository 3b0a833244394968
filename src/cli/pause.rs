//! `pause` and `resume`.

use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::ops::{self, Context};

/// Stop all processes of a container until it is resumed
///
/// They keep their memory, and use no processor time. Returns once all of them have stopped.
#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

/// Let the processes of a paused container go on
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) fn perform(context: &Context, args: &PauseArgs) -> Outcome {
    ops::pause(context, &args.id).map(|()| ExitCode::SUCCESS)
}

pub(super) fn perform_resume(context: &Context, args: &ResumeArgs) -> Outcome {
    ops::resume(context, &args.id).map(|()| ExitCode::SUCCESS)
}
