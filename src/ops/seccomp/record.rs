//! `seccomp record`: learns a profile from a command of the host's.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{Context, OpsError, Result};
use crate::ops::{self, CreateRequest, Otherwise, Ran, ReportRequest, RunRequest, WatchRequest};
use crate::record::command::{self, Command};
use crate::record::generate::generate;
use crate::record::output::Output;
use crate::record::report::report;
use crate::record::watcher::Watcher;
use crate::seccomp::{self, Abi, Baseline, Basis, Request, SetIdBits, Watch};
use crate::sys::{fd, notify};

const DOING: &str = "seccomp record";

/// What is to be recorded.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The container of a bundle; without arguments it runs what the bundle says.
    Bundle {
        /// The bundle's directory.
        dir: PathBuf,
        /// What it runs instead.
        arguments: Option<Vec<String>>,
    },
    /// A command of the host's.
    Command {
        /// The program and its arguments.
        arguments: Vec<OsString>,
        /// Whether the baseline stands, as it does in a container.
        baseline: bool,
    },
}

/// Runs something, and writes the profile that it needs to `output`.
///
/// # Errors
/// It was not run, or the profile cannot be written.
pub fn record(context: &Context, subject: Subject, output: &Path) -> Result<Ran> {
    let ran = match subject {
        Subject::Bundle { dir, arguments } => of_bundle(context, dir, arguments, output),
        Subject::Command { arguments, baseline } => of_command(arguments, baseline, output),
    }?;
    let refusals = ran.refusals.map(crate::record::report::Report::without_fallbacks);
    Ok(Ran { refusals: refusals.filter(|report| !report.refusals.is_empty()), ..ran })
}

fn of_bundle(
    context: &Context,
    bundle: PathBuf,
    arguments: Option<Vec<String>>,
    output: &Path,
) -> Result<Ran> {
    let record = Some(output.to_owned());
    let otherwise = Otherwise {
        watch: WatchRequest { record, report: ReportRequest::ToStandardError },
        arguments,
    };
    let id = format!("record-{}", std::process::id());
    let create = CreateRequest { id, bundle, otherwise, ..CreateRequest::default() };
    ops::run(context, &RunRequest { create, ..RunRequest::default() })
}

fn of_command(arguments: Vec<OsString>, baseline: bool, output: &Path) -> Result<Ran> {
    let failed = |error: &dyn std::error::Error| OpsError::because(DOING, error);
    let native = Abi::native().ok_or_else(|| {
        OpsError::failed(DOING, "there is no table of system calls for this processor")
    })?;
    notify::check_sizes()
        .map_err(|error| OpsError::failed(DOING, format!("seccomp notifications: {error:?}")))?;
    let output = Output::open(output).map_err(|error| failed(&error))?;
    let request = Request::new(None, native);
    let request = if baseline {
        Request { set_id_bits: SetIdBits::Denied, ..request }
    } else {
        Request { baseline: Baseline::Off, ..request }
    };
    let watched = seccomp::watch(&request, Watch::All).map_err(|error| failed(&error))?;
    let watched = watched.ok_or_else(|| OpsError::failed(DOING, "there is nothing to watch"))?;
    let name = arguments.first().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let mut watcher =
        Watcher::new(&name, Basis::of(&request), native).map_err(|error| failed(&error))?;
    let arguments = arguments
        .into_iter()
        .map(|word| CString::new(word.into_vec()))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| failed(&error))?;
    let command = Command {
        arguments: &arguments,
        filter: &watched.program,
        preserve: fd::inherited_count(),
    };
    let ended = command::run(&command, &mut watcher).map_err(|error| failed(&error))?;
    let profile = generate(watcher.trace(), native).to_text();
    output.write(profile.as_bytes()).map_err(|error| failed(&error))?;
    let refusals = Some(report(watcher.of(), watcher.trace()));
    Ok(Ran { status: ended.status(), refusals, ..Ran::default() })
}
