//! `start`: lets a created container become its program.

use std::os::fd::AsFd;

use super::create::launch_error;
use super::notify::Notifier;
use super::{Context, OpsError, Result, attend, group, hooks, record};
use crate::audit::EventKind;
use crate::engine::{self, Waiting};
use crate::plan::LaunchPlan;
use crate::store::{START_SOCKET, Status};
use crate::sys::socket;

/// Starts a created container.
///
/// # Errors
/// Why not: no such container, not created, or what init reported.
pub fn start(context: &Context, id: &str) -> Result<()> {
    let doing = format!("start `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let entry = store.lock(&id).map_err(|error| super::stored(&doing, &error))?;
    let mut record = entry.read_state().map_err(|error| super::stored(&doing, &error))?;
    let status = entry.status(Some(&record));
    if status != Status::Created {
        return Err(OpsError::failed(
            doing,
            format!("cannot start a container that is {status}, only one that is created"),
        ));
    }
    if group::is_paused(&record) {
        // Init would not hear of it, and we would wait.
        return Err(OpsError::failed(doing, "cannot start a container that is paused")
            .hint("resume it first"));
    }
    let document = entry.read_plan().map_err(|error| super::stored(&doing, &error))?;
    let plan = LaunchPlan::from_json(&document)
        .map_err(|error| OpsError::because(doing.as_str(), &error))?;
    let socket = socket::connect_in(entry.dir(), START_SOCKET).map_err(|error| {
        OpsError::failed(doing.as_str(), format!("reach the waiting init: {error:?}"))
            .hint("delete the container, and create it again")
    })?;
    // From here on it counts as running: a second start finds no socket.
    entry.unlink_start_socket().map_err(|error| super::stored(&doing, &error))?;
    let process = record.process.and_then(|process| Some((process, process.open().ok()??)));
    let Some((id_of, process)) = process else {
        return Err(OpsError::failed(doing, "the waiting init is gone"));
    };
    let notifier = Notifier::of(&entry, id_of.pid());
    let mut attending = attend::attending(&doing, &plan, &entry, &mut record)?;
    // How long it takes to become the program is up to the image's hooks, and in a pod up to a
    // neighbour that may stop it with a signal: whoever kills or deletes it need not wait for that.
    entry.unlock();
    let init = Waiting { socket: socket.as_fd(), pid: id_of.pid(), process: process.as_fd() };
    engine::start(init, &plan, &mut attending).map_err(|error| launch_error(&doing, &error))?;
    attending.confirm();
    drop(attending);
    record::event(EventKind::Started, &id, &plan, &record.plan_digest);
    // Hooks may use commands on the container.
    drop(entry);
    hooks::poststart(&plan, &record).map_err(|error| {
        let error = launch_error(&doing, &error);
        record::failed(&id, &plan, &record.plan_digest, &error);
        match super::delete::kill_init(&doing, Some(&record)) {
            Ok(()) => error.fact("undone", "the program was killed"),
            Err(left) => error.fact("left", left.message),
        }
    })?;
    match notifier.map(|notifier| notifier.wait(process.as_fd(), None)) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(error)) => {
            Err(OpsError::failed(doing, format!("wait until the program is ready: {error:?}")))
        }
    }
}
