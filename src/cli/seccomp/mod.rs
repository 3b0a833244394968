//! `seccomp`: what is done with a filter or a profile by itself, without starting a container.
//!
//! One file for each subcommand, as one level up; the work is in [`crate::ops::seccomp`].

mod check;
mod compile;
mod diff;
mod difference;
mod explain;
mod merge;
mod setting;
mod table;

use clap::{Args, Subcommand};

use super::{Outcome, output};
use crate::ops::Context;

/// Compile, explain, compare and check seccomp profiles
///
/// A profile is `/linux/seccomp` of a `config.json`, by itself or inside the whole document, or a
/// file of an engine: `seccomp.json` of Podman and CRI-O, `default.json` of Docker.
#[derive(Debug, Args)]
pub(super) struct SeccompArgs {
    #[command(subcommand)]
    command: SeccompCommand,
}

/// One for each operation.
#[derive(Debug, Subcommand)]
enum SeccompCommand {
    Compile(compile::CompileArgs),
    Explain(explain::ExplainArgs),
    Merge(merge::MergeArgs),
    Diff(diff::DiffArgs),
    Check(check::CheckArgs),
}

pub(super) fn perform(context: &Context, args: &SeccompArgs) -> Outcome {
    match &args.command {
        SeccompCommand::Compile(args) => compile::perform(args),
        SeccompCommand::Explain(args) => explain::perform(context, args),
        SeccompCommand::Merge(args) => merge::perform(args),
        SeccompCommand::Diff(args) => diff::perform(args),
        SeccompCommand::Check(args) => check::perform(context, args),
    }
}
