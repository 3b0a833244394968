//! `ps`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::{Outcome, output};
use crate::ops::{self, Context};

/// List the processes of a container, as the host sees them
#[derive(Debug, Args)]
pub(super) struct PsArgs {
    /// What the list looks like
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    format: Form,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// What the host's `ps` is told, instead of `-ef`
    #[arg(value_name = "PS OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// What the list looks like.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// The lines of the host's own `ps`
    Table,
    /// One JSON array of process ids
    Json,
}

pub(super) fn perform(context: &Context, args: &PsArgs) -> Outcome {
    match args.format {
        Form::Table => output::print(&ops::ps_table(context, &args.id, &args.arguments)?),
        Form::Json => output::print_compact(&ops::pids(context, &args.id)?),
    }
}
