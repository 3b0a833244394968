//! `kill`.

use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::ops::{self, Context, parse_signal};

/// Send a signal to the first process of a container
#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// The signal: `9`, `KILL`, `SIGKILL` and `kill` are the same; also `RTMIN+3`
    #[arg(value_name = "SIGNAL", default_value = "TERM", value_parser = parse_signal)]
    signal: i32,

    /// Send it to every process of the container
    ///
    /// Works on a container whose first process has ended, too.
    #[arg(long, short)]
    all: bool,
}

pub(super) fn perform(context: &Context, args: &KillArgs) -> Outcome {
    ops::kill(context, &args.id, args.signal, args.all).map(|()| ExitCode::SUCCESS)
}
