//! `run`: create, start, wait, delete.

use std::os::fd::AsFd;

use super::create::{self, Gate, Made, launch_error};
use super::{Context, CreateRequest, OpsError, Result, record, signals};
use crate::audit::EventKind;
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

/// Runs a container; gives the exit status of its program (0 when detached).
///
/// # Errors
/// Why it did not start; nothing is left behind.
pub fn run(context: &Context, request: &RunRequest) -> Result<u8> {
    let doing = format!("run `{}`", request.create.id);
    // Before there is a process that a signal could be meant for.
    let signals = signals::take().map_err(|error| OpsError::because(doing.as_str(), &error))?;
    let made = create::make(context, &request.create, "run", Gate::Here)?;
    if let Err(error) = made.launched.start(&made.prepared.plan) {
        let error = launch_error(&doing, &error);
        let id = made.entry.id().clone();
        record::failed(&id, &made.prepared.plan, &made.prepared.digest, &error);
        clean_up(&doing, made)?;
        return Err(error);
    }
    let (id, plan) = (made.entry.id(), &made.prepared.plan);
    record::event(EventKind::Started, id, plan, &made.prepared.digest);
    if request.detach {
        return Ok(0);
    }
    let Made { prepared, entry, launched, record } = made;
    // While the program runs, other commands may work on the container.
    drop(entry);
    let ended = signals
        .wait_forwarding(launched.process.as_fd(), launched.pid)
        .map_err(|error| OpsError::failed(doing.as_str(), format!("wait for init: {error:?}")))?;
    if !request.keep {
        drop(prepared);
        // The program's status is the answer; what could not be removed is for `delete`.
        if let Err(error) = super::delete::after_run(context, &request.create.id, &record) {
            tracing::debug!("{error}");
        }
    }
    Ok(ended.status())
}

/// Takes back a container whose program could not be started.
fn clean_up(doing: &str, made: Made) -> Result<()> {
    let _ = process::signal(made.launched.process.as_fd(), libc::SIGKILL);
    let _ = process::wait_for(made.launched.pid);
    made.launched.take_back_mount_points();
    super::delete::remove_resources(doing, &made.entry, Some(&made.record))?;
    made.entry.remove().map_err(|error| super::stored(doing, &error))
}
