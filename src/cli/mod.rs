//! The command line: arguments, help, errors as people and engines read them.
//!
//! One file for each subcommand holds its arguments, its help and a thin `perform`; the work is
//! in [`crate::ops`]. Nothing here decides anything about a container, reads an option from the
//! environment, or depends on the name that the program was called by: the self-test runs it
//! under others.

mod arguments;
mod checkpoint;
mod completion;
mod create;
mod delete;
mod doctor;
mod events;
mod exec;
mod explain;
mod features;
mod global;
mod kill;
mod list;
mod log;
mod man;
mod notes;
mod output;
mod pause;
mod ps;
mod quick;
mod report;
mod restore;
mod run;
mod seccomp;
mod spec;
mod start;
mod state;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod tests;
mod try_out;
mod update;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use arguments::{Cli, Command};
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use log::Log;

use crate::ops::{Context, OpsError};
use crate::sys::{self, fd, process};

/// What a subcommand comes to: an exit status, or an error that nobody has reported yet.
type Outcome = Result<ExitCode, OpsError>;

/// The exit status when two things that were compared differ.
const DIFFERENT: u8 = 4;

/// The exit status of a command line that makes no sense.
const USAGE: u8 = 2;

/// Parses the arguments, runs one operation, and turns its outcome into an exit status.
///
/// The status is 0 when it was done, 1 when it failed, 2 when the arguments make no sense, 3
/// when the policy refused, and 4 when things that were compared differ; `run` and `exec` pass on
/// that of the program.
#[must_use]
pub fn main() -> ExitCode {
    // First of all: nothing that the caller left open reaches another program.
    let _ = fd::inherited_count();
    let guarded = fd::cloexec_from(3).and_then(|()| process::keep_ended_children());
    let words: Vec<OsString> = std::env::args_os().collect();
    match quick::parse(&words) {
        Ok(cli) => perform(&cli, guarded),
        Err(error) => explain_usage(&error, &words),
    }
}

/// Runs one operation, and reports how it failed.
fn perform(cli: &Cli, guarded: sys::Result<()>) -> ExitCode {
    let log = match Log::open(cli.options.global.log(), cli.options.global.log_format) {
        Ok(log) => log,
        Err(error) => return report::failure(&error, &Log::none()),
    };
    if cli.options.global.is_verbose() {
        notes::begin(&log);
    }
    tracing::debug!("casemate {}", env!("CARGO_PKG_VERSION"));
    let outcome = match &cli.command {
        _ if cli.options.version => version::perform(),
        None => return usage(&misused("a subcommand is missing"), &log),
        Some(Command::Other(words)) => {
            let name = words.first().map(|name| name.to_string_lossy()).unwrap_or_default();
            let message = if words.iter().any(|word| word == "-h" || word == "--help") {
                format!("No help topic for '{name}': there is no such subcommand")
            } else {
                format!("unrecognized subcommand '{name}'")
            };
            return usage(&misused(&message), &log);
        }
        Some(command) => dispatch(command, &cli.options.global.context(), guarded),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => report::failure(&error, &log),
    }
}

fn dispatch(command: &Command, context: &Context, guarded: sys::Result<()>) -> Outcome {
    match command {
        Command::Create(args) => guard(guarded).and_then(|()| create::perform(context, args)),
        Command::Run(args) => guard(guarded).and_then(|()| run::perform(context, args)),
        Command::Exec(args) => guard(guarded).and_then(|()| exec::perform(context, args)),
        Command::Start(args) => start::perform(context, args),
        Command::State(args) => state::perform(context, args),
        Command::Kill(args) => kill::perform(context, args),
        Command::Delete(args) => delete::perform(context, args),
        Command::List(args) => list::perform(context, args),
        Command::Ps(args) => guard(guarded).and_then(|()| ps::perform(context, args)),
        Command::Pause(args) => pause::perform(context, args),
        Command::Resume(args) => pause::perform_resume(context, args),
        Command::Update(args) => update::perform(context, args),
        Command::Events(args) => events::perform(context, args),
        Command::Checkpoint(args) => {
            guard(guarded).and_then(|()| checkpoint::perform(context, args))
        }
        Command::Restore(args) => guard(guarded).and_then(|()| restore::perform(context, args)),
        Command::Spec(args) => spec::perform(args),
        Command::Features => features::perform(),
        Command::Explain(args) => explain::perform(context, args),
        Command::Seccomp(args) => guard(guarded).and_then(|()| seccomp::perform(context, args)),
        Command::Doctor(args) => doctor::perform(context, args),
        Command::Try(args) => try_out::perform(context, args),
        Command::Completion(args) => completion::perform(args),
        Command::Man(args) => man::perform(args),
        Command::Other(_) => Err(OpsError::failed("", "there is no such subcommand")),
    }
}

/// What starts a program must not do so with the caller's descriptors open, nor lose sight of it.
fn guard(guarded: sys::Result<()>) -> Result<(), OpsError> {
    guarded.map_err(|error| {
        OpsError::failed("mark the caller's descriptors close-on-exec", format!("{error:?}"))
            .hint("casemate needs Linux 5.12 or later")
    })
}

/// Help goes to standard output; a usage error to standard error and to the log, if the rest of
/// the arguments names one.
fn explain_usage(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        let printed = output::print(&error.render().to_string());
        return printed.unwrap_or_else(|error| report::failure(&error, &Log::none()));
    }
    let log = global::log_of(words).unwrap_or_else(Log::none);
    match lacking_value(error) {
        Some(flag) => {
            let message = format!("flag needs an argument: {flag}");
            usage(&Cli::command().error(ErrorKind::InvalidValue, message), &log)
        }
        None => usage(error, &log),
    }
}

/// The option whose value is missing, if that is what is wrong. Engines look for the words that
/// every other runtime has for it.
fn lacking_value(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let is_missing = error.kind() == ErrorKind::InvalidValue
        && text(ContextKind::InvalidValue).is_some_and(str::is_empty);
    let option = text(ContextKind::InvalidArg).filter(|_| is_missing)?;
    option.split_whitespace().next().map(ToOwned::to_owned)
}

/// A usage error that the parser leaves to us.
fn misused(message: &str) -> clap::Error {
    Cli::command().error(ErrorKind::InvalidSubcommand, message)
}

fn usage(error: &clap::Error, log: &Log) -> ExitCode {
    report::usage(&error.render().to_string(), log);
    ExitCode::from(USAGE)
}
