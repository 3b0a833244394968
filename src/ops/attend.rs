//! Sees to it that somebody answers the calls which a container's filter holds up.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::FileType;
use serde::Serialize;

use super::{OpsError, Result};
use crate::engine::{Attendant, Nobody};
use crate::plan::listener::Listener;
use crate::plan::{Action, LaunchPlan};
use crate::store::Record;
use crate::sys::{Errno, socket};

/// How long an agent may take to accept a connection, and again to take the message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who attends to the container of `record` while it starts.
pub(super) fn attendant<'a>(plan: &'a LaunchPlan, record: &'a Record) -> Box<dyn Attendant + 'a> {
    let pid = record.process.map_or(0, crate::store::ProcessId::pid);
    attendant_of(plan, record, pid, "created")
}

/// Who attends to the process `pid` of a container that has this status, by the plan that starts
/// the process.
pub(super) fn attendant_of<'a>(
    plan: &'a LaunchPlan,
    record: &'a Record,
    pid: i32,
    status: &'static str,
) -> Box<dyn Attendant + 'a> {
    match listener(plan) {
        Some(Listener::Agent { path, metadata }) => Box::new(Agent {
            path: Path::new(path.as_str()),
            metadata: metadata.as_deref(),
            record,
            pid,
            status,
        }),
        None => Box::new(Nobody),
    }
}

/// Fails early where an agent is not there. That it is gone later is found by `start`.
pub(super) fn check(doing: &str, plan: &LaunchPlan) -> Result<()> {
    let Some(Listener::Agent { path, .. }) = listener(plan) else { return Ok(()) };
    let why = match rustix::fs::stat(path.as_c_str()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => return Ok(()),
        Ok(_) => "is no socket".to_owned(),
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error())),
    };
    let what = "config.json /linux/seccomp/listenerPath: the seccomp agent at";
    Err(OpsError::failed(doing, format!("{what} {path}: {why}"))
        .fact("undone", "nothing was created")
        .hint("start the agent first"))
}

fn listener(plan: &LaunchPlan) -> Option<&Listener> {
    plan.steps.iter().find_map(|step| {
        let Action::HandOver { to } = &step.action else { return None };
        Some(to)
    })
}

/// A program of the host's that is given the listener and answers from then on.
struct Agent<'a> {
    path: &'a Path,
    metadata: Option<&'a str>,
    record: &'a Record,
    pid: i32,
    status: &'static str,
}

impl Attendant for Agent<'_> {
    fn take(&mut self, listener: OwnedFd) -> std::result::Result<(), String> {
        let message = message(self.record, self.status, self.pid, self.metadata)?;
        let failed = |what: &str, error: Errno| {
            let why = if error == Errno::EAGAIN {
                format!("not within {} seconds", PATIENCE.as_secs())
            } else {
                format!("{error:?}")
            };
            format!("{what} the seccomp agent at {}: {why}", self.path.display())
        };
        let agent = socket::connect_stream_within(self.path, PATIENCE)
            .map_err(|error| failed("connect to", error))?;
        socket::send_all_with_fd(agent.as_fd(), &message, listener.as_fd())
            .map_err(|error| failed("send the listener to", error))
    }

    fn waiting(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn serve(&mut self) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// Spec: runtime-spec, config-linux.md, "The Container Process State".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: State<'a>,
}

/// Spec: runtime-spec, runtime.md, "State".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: &'static str,
    pid: i32,
    bundle: std::borrow::Cow<'a, str>,
    annotations: &'a std::collections::BTreeMap<String, String>,
}

/// What an agent is told: of a container, and of the process `pid` in it whose calls it gets.
fn message(
    record: &Record,
    status: &'static str,
    pid: i32,
    metadata: Option<&str>,
) -> std::result::Result<Vec<u8>, String> {
    let state = ProcessState {
        oci_version: &record.oci_version,
        fds: ["seccompFd"],
        pid,
        metadata,
        state: State {
            oci_version: &record.oci_version,
            id: record.id.as_str(),
            status,
            pid: record.process.map_or(0, crate::store::ProcessId::pid),
            bundle: record.bundle.to_string_lossy(),
            annotations: &record.annotations,
        },
    };
    serde_json::to_vec(&state).map_err(|error| error.to_string())
}
