//! `run`: create, start, wait, delete.

use std::os::fd::AsFd;

use super::create::{self, Made, Way, launch_error};
use super::relay::Relay;
use super::{Context, CreateRequest, OpsError, Result, attend, record, signals};
use crate::audit::EventKind;
use crate::engine;
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
    let way = if request.detach { Way::RunDetached } else { Way::Run };
    let mut made = create::make(context, &request.create, way)?;
    let terminal = match made.relay.take().map(Relay::receive).transpose() {
        Ok(terminal) => terminal,
        Err(error) => {
            clean_up(&doing, made)?;
            return Err(OpsError::failed(doing, format!("receive the terminal: {error:?}")));
        }
    };
    let mut attendant = attend::attendant(&made.prepared.plan, &made.record);
    let started = engine::start(made.launched.waiting(), &made.prepared.plan, attendant.as_mut());
    drop(attendant);
    if let Err(error) = started {
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
    let Made { prepared, entry, launched, record, .. } = made;
    // While the program runs, other commands may work on the container.
    drop(entry);
    let (init, pid) = (launched.process.as_fd(), launched.pid);
    let waited = match terminal {
        Some(terminal) => terminal.carry(&signals, init, pid),
        None => signals.wait_forwarding(init, pid),
    };
    if waited.is_err() {
        // Nobody would see it through.
        let _ = process::signal(launched.process.as_fd(), libc::SIGKILL);
        let _ = process::wait_for(pid);
    }
    if !request.keep {
        drop(prepared);
        // The program's status is the answer; what could not be removed is for `delete`.
        if let Err(error) = super::delete::after_run(context, &request.create.id, &record) {
            tracing::debug!("{error}");
        }
    }
    let ended = waited
        .map_err(|error| OpsError::failed(doing.as_str(), format!("wait for init: {error:?}")))?;
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
