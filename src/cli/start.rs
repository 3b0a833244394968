//! `start`.

use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::ops::{self, Context};

/// Start the program of a container that was created
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) fn perform(context: &Context, args: &StartArgs) -> Outcome {
    ops::start(context, &args.id).map(|()| ExitCode::SUCCESS)
}
