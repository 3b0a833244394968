//! The parser without what a call does not need.
//!
//! To parse a line, the whole definition of the command line is built first: every option of every
//! subcommand, with its help. For the subcommands that engines call all the time that is half of
//! the time before anything is done. Here only the one that is called is built. Whatever is not
//! plainly one of these, or has anything wrong with it, goes the long way, which also has the words.

use std::ffi::{OsStr, OsString};

use clap::{Args, FromArgMatches};

use super::arguments::{Cli, Options};
use super::{create, delete, exec, kill, run, start, state};

/// Parses a command line.
///
/// # Errors
/// Help, or what makes no sense, in the words of the parser.
pub(super) fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    match quickly(words) {
        Some(cli) => Ok(cli),
        None => <Cli as clap::Parser>::try_parse_from(words),
    }
}

/// The command line, if it is one of the usual ones.
pub(super) fn quickly(words: &[OsString]) -> Option<Cli> {
    // A word before it may be the value of an option: then the parser below has no subcommand for
    // what follows, and the long way decides.
    let subcommand = words.iter().skip(1).find_map(|word| definition(word))?;
    let root = clap::Command::new("casemate").disable_version_flag(true);
    let root = Options::augment_args(root).subcommand(subcommand);
    let matches = root.try_get_matches_from(words).ok()?;
    Cli::from_arg_matches(&matches).ok()
}

/// The definition of a subcommand, as that of the whole has it.
fn definition(name: &OsStr) -> Option<clap::Command> {
    let new = clap::Command::new;
    Some(match name.to_str()? {
        "create" => create::CreateArgs::augment_args(new("create")),
        "run" => run::RunArgs::augment_args(new("run")),
        "start" => start::StartArgs::augment_args(new("start")),
        "exec" => exec::ExecArgs::augment_args(new("exec")),
        "state" => state::StateArgs::augment_args(new("state")),
        "kill" => kill::KillArgs::augment_args(new("kill")),
        "delete" => delete::DeleteArgs::augment_args(new("delete")),
        _ => return None,
    })
}
