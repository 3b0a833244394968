//! Options that stand before the subcommand and mean the same for all of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, ValueEnum};

use super::arguments::Cli;
use super::log::{Format, Log};
use crate::ops::{self, Context};

/// The options of every subcommand.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Directory that holds the state of containers: without one, /run/casemate; for a user
    /// without root, casemate in $XDG_RUNTIME_DIR
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// File to append the error to, if there is one; created with mode 0600
    ///
    /// One record for a command that fails, none for one that is done. The error is on standard
    /// error as well.
    #[arg(long, value_name = "FILE")]
    log: Option<OsString>,

    /// How records are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: Format,

    /// How much is written; `debug` is the same as `--debug`
    #[arg(long, value_name = "LEVEL", hide = true)]
    log_level: Option<Level>,

    /// Write notes on what is done, to the log or else to standard error
    #[arg(long)]
    debug: bool,

    /// Policy file, instead of /etc/casemate/policy.toml
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Read `cgroupsPath` as systemd's `SLICE:PREFIX:NAME`
    #[arg(long)]
    systemd_cgroup: bool,

    /// Taken because engines may give it; decides nothing
    #[arg(long, value_name = "WHEN", hide = true)]
    rootless: Option<Rootless>,

    /// Taken because engines may give it; decides nothing
    #[arg(long, value_name = "FILE", hide = true)]
    criu: Option<OsString>,
}

/// How much is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Error,
    #[value(alias = "warn")]
    Warning,
    Info,
    #[value(alias = "trace")]
    Debug,
}

/// What other runtimes let a caller say about the user they run as.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rootless {
    True,
    False,
    Auto,
}

impl Global {
    /// Where the log is, if there is one.
    pub(super) fn log(&self) -> Option<&Path> {
        self.log.as_deref().map(Path::new)
    }

    /// Whether notes are written.
    pub(super) fn is_verbose(&self) -> bool {
        self.debug || self.log_level == Some(Level::Debug)
    }

    /// What operations are told.
    pub(super) fn context(&self) -> Context {
        Context {
            root: self.root.clone().unwrap_or_else(ops::default_root),
            policy: self.policy.clone(),
            systemd_cgroup: self.systemd_cgroup,
        }
    }
}

/// The log that these arguments name, when something else in them makes no sense.
///
/// An engine that reads only its log learns that way why its call was not understood.
pub(super) fn log_of(words: &[OsString]) -> Option<Log> {
    let lenient = Cli::command().ignore_errors(true).try_get_matches_from(words).ok()?;
    let global = Global::from_arg_matches(&lenient).ok()?;
    Log::open(global.log(), global.log_format).ok()
}
