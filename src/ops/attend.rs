//! Sees to it that somebody answers the calls which a container's filter holds up: an agent of
//! the host's, or a process of ours that is started for it.

mod agent;
mod watch;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{OpsError, Result};
use crate::engine::{self, Attendant, LaunchError, Waiting};
use crate::plan::listener::Listener;
use crate::plan::{Action, LaunchPlan, Track};
use crate::store::{Entry, Record};

/// Who attends to a container while it starts.
pub(super) enum Attending<'a> {
    /// Its filter asks nobody.
    Nobody,
    /// A program of the host's.
    Agent(agent::Agent<'a>),
    /// A process that is to be started, and then is.
    Watch(Box<watch::Watch<'a>>),
    /// The process that watches the container already.
    Watched(watch::Watched<'a>),
}

/// Sees to it that an agent gets the listener of a container that is being created, where its
/// filter is loaded by then.
pub(super) fn hand_over(
    plan: &LaunchPlan,
    record: &Record,
    init: Waiting<'_>,
) -> std::result::Result<(), LaunchError> {
    let Some(Listener::Agent { path, metadata }) = listener_on(plan, Track::Creator) else {
        return Ok(());
    };
    let process = agent::Process { pid: init.pid, status: "creating" };
    let agent = agent::Agent::new(path, metadata.as_deref(), record, process);
    engine::hand_over(init, plan, &mut Attending::Agent(agent))
}

/// Prepares for the container of `entry` to be attended to from its start on. What can fail early
/// does.
pub(super) fn attending<'a>(
    doing: &str,
    plan: &'a LaunchPlan,
    entry: &'a Entry,
    record: &'a mut Record,
) -> Result<Attending<'a>> {
    Ok(match listener_on(plan, Track::Starter) {
        None => Attending::Nobody,
        Some(Listener::Agent { path, metadata }) => {
            let pid = record.process.map_or(0, crate::store::ProcessId::pid);
            let process = agent::Process { pid, status: "created" };
            Attending::Agent(agent::Agent::new(path, metadata.as_deref(), record, process))
        }
        Some(Listener::Watch(plan)) => {
            Attending::Watch(Box::new(watch::Watch::new(doing, plan, entry, record)?))
        }
    })
}

/// Who attends to a further process of a container, which has this status; `dir` is the
/// container's directory.
pub(super) fn attending_to<'a>(
    plan: &'a LaunchPlan,
    record: &'a Record,
    dir: BorrowedFd<'a>,
    pid: i32,
    status: &'static str,
) -> Attending<'a> {
    match listener(plan) {
        None => Attending::Nobody,
        Some(Listener::Agent { path, metadata }) => {
            let process = agent::Process { pid, status };
            Attending::Agent(agent::Agent::new(path, metadata.as_deref(), record, process))
        }
        Some(Listener::Watch(_)) => Attending::Watched(watch::Watched { dir }),
    }
}

/// Fails before there is a process where nobody could attend to it in a container that runs.
pub(super) fn check_again(doing: &str, plan: &LaunchPlan, record: &Record) -> Result<()> {
    match listener(plan) {
        None => Ok(()),
        Some(Listener::Agent { path, .. }) => agent::check(doing, path),
        Some(Listener::Watch(_)) => watch::check_again(doing, record),
    }
}

/// Fails before anything is created where nobody could attend to the container.
pub(super) fn check(doing: &str, plan: &LaunchPlan) -> Result<()> {
    match listener(plan) {
        None => Ok(()),
        Some(Listener::Agent { path, .. }) => agent::check(doing, path),
        Some(Listener::Watch(plan)) => watch::results(doing, plan).map(drop),
    }
}

/// Waits until whoever watched a container that has ended is done.
pub(super) fn see_off(record: &Record) {
    let Some(watcher) = record.watcher else { return };
    let Ok(Some(process)) = watcher.open() else { return };
    if crate::record::agent::see_off(process.as_fd()) {
        // If it is our own child, nobody else will ask for its end.
        let _ = crate::sys::process::wait_for(watcher.pid());
    }
}

/// Waits until whoever watched a container that has ended has noted all that it saw.
pub(super) fn await_notes(record: &Record) {
    if let Some(Ok(Some(process))) = record.watcher.map(|watcher| watcher.open()) {
        let _ = crate::record::agent::await_end(process.as_fd());
    }
}

/// Who answers what the filter of a plan holds up.
pub(super) fn listener(plan: &LaunchPlan) -> Option<&Listener> {
    listener_on(plan, Track::Starter).or_else(|| listener_on(plan, Track::Creator))
}

fn listener_on(plan: &LaunchPlan, track: Track) -> Option<&Listener> {
    plan.track(track).find_map(|(_, step)| {
        let Action::HandOver { to } = &step.action else { return None };
        Some(to)
    })
}

impl Attending<'_> {
    /// Tells whoever watches that the program has started.
    pub(super) fn confirm(&self) {
        match self {
            Self::Nobody | Self::Agent(_) | Self::Watched(_) => {}
            Self::Watch(watch) => watch.confirm(),
        }
    }
}

impl Attendant for Attending<'_> {
    fn take(&mut self, listener: OwnedFd) -> std::result::Result<(), String> {
        match self {
            Self::Nobody => Err("nobody answers what the filter asks".to_owned()),
            Self::Agent(agent) => agent.take(listener),
            Self::Watch(watch) => watch.take(listener),
            Self::Watched(watched) => watched.take(listener),
        }
    }

    fn ended(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Nobody | Self::Agent(_) | Self::Watched(_) => None,
            Self::Watch(watch) => watch.ended(),
        }
    }
}

fn failed(doing: &str, error: &dyn std::error::Error) -> OpsError {
    OpsError::because(doing, error).fact("undone", "nothing was created")
}
