//! `seccomp`: what is done with a filter or a profile by itself, without starting a container.
//!
//! One file for each subcommand, as one level up; the work is in [`crate::ops::seccomp`].

mod check;
mod compile;
mod diff;
mod difference;
mod explain;
mod log;
mod merge;
mod record;
mod setting;
mod table;

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::{Outcome, output};
use crate::ops::Context;
use crate::ops::seccomp::Report;

/// Compile, explain, compare, check and record seccomp profiles
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
    Log(log::LogArgs),
    Record(record::RecordArgs),
}

pub(super) fn perform(context: &Context, args: &SeccompArgs) -> Outcome {
    match &args.command {
        SeccompCommand::Compile(args) => compile::perform(args),
        SeccompCommand::Explain(args) => explain::perform(context, args),
        SeccompCommand::Merge(args) => merge::perform(args),
        SeccompCommand::Diff(args) => diff::perform(args),
        SeccompCommand::Check(args) => check::perform(context, args),
        SeccompCommand::Log(args) => log::perform(context, args),
        SeccompCommand::Record(args) => record::perform(context, args),
    }
}

/// Prints what was refused on standard error: standard output is the program's. Names in it are
/// the program's own choice.
pub(super) fn print_refusals(report: &Report) {
    let lines = report.to_string();
    let lines: Vec<_> = lines.lines().map(output::one_line).collect();
    // Nobody is left to tell if it fails.
    let _ = io::stderr().lock().write_all(format!("{}\n", lines.join("\n")).as_bytes());
}
