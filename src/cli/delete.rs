//! `delete`.

use std::process::ExitCode;

use clap::Args;

use super::{Outcome, report};
use crate::ops::{self, Context};

/// Remove all that belongs to a container that has ended
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// Kill it if it is alive; a container that does not exist is no error
    #[arg(long, short)]
    force: bool,
}

pub(super) fn perform(context: &Context, args: &DeleteArgs) -> Outcome {
    let warnings = ops::delete(context, &args.id, args.force)?;
    report::warnings(&format!("delete `{}`", args.id), &warnings);
    Ok(ExitCode::SUCCESS)
}
