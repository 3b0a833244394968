//! `seccomp compile`.

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, output};
use crate::ops::seccomp;

/// Compile a profile to a BPF program, and print what came out
#[derive(Debug, Args)]
pub(super) struct CompileArgs {
    /// The profile; `-` for standard input
    #[arg(value_name = "PROFILE")]
    profile: PathBuf,

    /// Print the report as one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn perform(args: &CompileArgs) -> Outcome {
    let report = seccomp::compile(&args.profile)?;
    if args.json { output::print_pretty(&report) } else { output::print(&report.to_string()) }
}
