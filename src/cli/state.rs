//! `state`.

use clap::Args;

use super::{Outcome, output};
use crate::ops::{self, Context};

/// Print the state of a container as one JSON document
///
/// The document is that of the runtime specification, runtime.md, "State". Among its annotations
/// is the digest of the plan that the container was made by; `casemate explain` prints the same.
#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) fn perform(context: &Context, args: &StateArgs) -> Outcome {
    output::print_pretty(&ops::state(context, &args.id)?)
}
