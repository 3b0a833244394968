//! A program of the host's that is given the listener and answers from then on.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::FileType;
use serde::Serialize;

use crate::ops::OpsError;
use crate::plan::text::HostPath;
use crate::store::Record;
use crate::sys::{Errno, socket};

/// How long an agent may take to accept a connection, and again to take the message.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(in crate::ops) struct Agent<'a> {
    path: &'a Path,
    metadata: Option<&'a str>,
    record: &'a Record,
    process: Process,
}

/// The process whose calls an agent gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    /// Its id.
    pub pid: i32,
    /// The status of its container.
    pub status: &'static str,
}

/// Fails where an agent is not there. That it is gone later is found when it is needed.
pub(super) fn check(doing: &str, path: &HostPath) -> Result<(), OpsError> {
    let why = match rustix::fs::stat(path.as_c_str()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => return Ok(()),
        Ok(_) => "is no socket".to_owned(),
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error())),
    };
    let what = "config.json /linux/seccomp/listenerPath: failed to connect with seccomp agent at";
    Err(OpsError::failed(doing, format!("{what} {path}: {why}"))
        .fact("undone", "nothing was created")
        .hint("start the agent first"))
}

impl<'a> Agent<'a> {
    pub(super) fn new(
        path: &'a HostPath,
        metadata: Option<&'a str>,
        record: &'a Record,
        process: Process,
    ) -> Self {
        Self { path: Path::new(path.as_str()), metadata, record, process }
    }

    /// Sends the listener, and tells whose it is.
    pub(super) fn take(&self, listener: OwnedFd) -> Result<(), String> {
        let message = message(self.record, self.process, self.metadata)?;
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
fn message(record: &Record, process: Process, metadata: Option<&str>) -> Result<Vec<u8>, String> {
    let state = ProcessState {
        oci_version: &record.oci_version,
        fds: ["seccompFd"],
        pid: process.pid,
        metadata,
        state: State {
            oci_version: &record.oci_version,
            id: record.id.as_str(),
            status: process.status,
            pid: record.process.map_or(0, crate::store::ProcessId::pid),
            bundle: record.bundle.to_string_lossy(),
            annotations: &record.annotations,
        },
    };
    serde_json::to_vec(&state).map_err(|error| error.to_string())
}
