//! `run`: create, start, wait, delete.

use std::os::fd::AsFd;

use super::create::{self, Made, Way, launch_error};
use super::relay::Relay;
use super::{Context, CreateRequest, OpsError, Result, attend, hooks, record, signals};
use crate::audit::EventKind;
use crate::engine::{self, Launched};
use crate::store::Record;
use crate::sys::process;

/// What `run` is asked for beyond `create`.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// As for `create`.
    pub create: CreateRequest,
    /// Return once it is started (`--detach`).
    pub detach: bool,
    /// Do not delete it when it has ended (`--keep`).
    pub keep: bool,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit status of its program, as a shell shows it; 0 when detached.
    pub status: u8,
    /// What went wrong afterwards, and changed nothing.
    pub warnings: Vec<String>,
}

/// Runs a container.
///
/// # Errors
/// Why it did not start; nothing is left behind.
pub fn run(context: &Context, request: &RunRequest) -> Result<Ran> {
    let doing = format!("run `{}`", request.create.id);
    // Before there is a process that a signal could be meant for.
    let signals = signals::take().map_err(|error| OpsError::because(doing.as_str(), &error))?;
    let way = if request.detach { Way::RunDetached } else { Way::Run };
    let mut made = create::make(context, &request.create, way)?;
    let terminal = match made.relay.take().map(Relay::receive).transpose() {
        Ok(terminal) => terminal,
        Err(error) => {
            let what = format!("receive the terminal: {error:?}");
            return Err(made.take_back(OpsError::failed(doing, what)));
        }
    };
    let mut attendant = attend::attendant(&made.prepared.plan, &made.record);
    let started = engine::start(made.launched.waiting(), &made.prepared.plan, attendant.as_mut());
    drop(attendant);
    if let Err(error) = started {
        let error = launch_error(&doing, &error);
        let id = made.entry.id();
        record::failed(id, &made.prepared.plan, &made.prepared.digest, &error);
        return Err(made.take_back(error));
    }
    let Made { prepared, entry, launched, record, .. } = made;
    record::event(EventKind::Started, entry.id(), &prepared.plan, &prepared.digest);
    // While the program runs, other commands may work on the container.
    drop(entry);
    let gone = |error| take_back(context, request, &launched, &record, error);
    if let Err(error) = hooks::poststart(&prepared.plan, &record) {
        let error = launch_error(&doing, &error);
        record::failed(&record.id, &prepared.plan, &prepared.digest, &error);
        return Err(gone(error));
    }
    drop(prepared);
    if request.detach {
        return Ok(Ran { status: 0, warnings: Vec::new() });
    }
    let (init, pid) = (launched.process.as_fd(), launched.pid);
    let waited = match terminal {
        Some(terminal) => terminal.carry(&signals, init, pid),
        None => signals.wait_forwarding(init, pid),
    };
    let ended = waited.map_err(|error| {
        // Nobody would see it through.
        gone(OpsError::failed(doing.as_str(), format!("wait for init: {error:?}")))
    })?;
    let status = ended.status();
    if request.keep {
        return Ok(Ran { status, warnings: Vec::new() });
    }
    // The program's status is the answer; what could not be removed is for `delete`.
    let warnings = match super::delete::after_run(context, &request.create.id, &record) {
        Ok(warnings) => warnings,
        Err(error) => {
            tracing::debug!("{error}");
            Vec::new()
        }
    };
    Ok(Ran { status, warnings })
}

/// Ends a container that runs and must not, because of `error`.
fn take_back(
    context: &Context,
    request: &RunRequest,
    launched: &Launched,
    record: &Record,
    error: OpsError,
) -> OpsError {
    let _ = process::signal(launched.process.as_fd(), libc::SIGKILL);
    let _ = process::wait_for(launched.pid);
    launched.take_back_mount_points();
    match super::delete::after_run(context, &request.create.id, record) {
        Ok(warnings) => {
            warnings.into_iter().fold(error, |error, warning| error.fact("warning", warning))
        }
        Err(left) => error.fact("left", left.message),
    }
}
