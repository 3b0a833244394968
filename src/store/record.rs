//! What `state.json` says of a container, and the status that follows from it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use super::ranges::Range;
use crate::plan::cgroup::CgroupPlan;
use crate::spec::id::ContainerId;
use crate::sys::Errno;

/// The format that this casemate writes, and the only one it reads.
pub const RECORD_VERSION: u32 = 1;

/// One container, as later commands need to know it.
///
/// Spec: runtime-spec, runtime.md, "State", for the first ten fields; the rest is ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The `ociVersion` that the state is reported in.
    pub oci_version: String,
    /// The id; always that of the directory the record lies in.
    pub id: ContainerId,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// The container's init, once there is one.
    pub process: Option<ProcessId>,
    /// When the container was created: RFC 3339, as [`super::rfc3339`] writes it.
    pub created: String,
    /// The real uid that asked for it.
    pub owner: u32,
    /// The bundle's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The name of the policy level in force.
    pub level: String,
    /// The sha256 digest of the plan, in hexadecimal.
    pub plan_digest: String,
    /// What the cgroup's writer needs to find and remove it; its own format.
    pub cgroup: serde_json::Value,
    /// The host ids the container has, if it has a range of the registry.
    pub range: Option<Range>,
    /// Whether its processes are in a pid namespace of others, and so outlive its init.
    #[serde(default)]
    pub shares_pids: bool,
    /// Whether hooks are to be run once it is gone: they stand in the plan.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_poststop: bool,
    /// Directories of resctrl that go with it, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resctrl: Vec<PathBuf>,
    /// Where its root is mounted for all to see, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// How far its creation came.
    pub phase: Phase,
    /// The process that answers what its filter holds up, if one of ours does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watcher: Option<ProcessId>,
    /// The limits in force, once an update has changed those of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<CgroupPlan>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A root that is mounted in the mount namespace of the runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// Where.
    pub at: PathBuf,
    /// The kernel's number for the mount: another one may lie there by now.
    pub mount: u64,
}

/// How far a creation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Written before the container is complete, so that what a killed create left can be found.
    Creating,
    /// The container is complete: from here on init and its start socket tell the status.
    Created,
}

/// The `status` of runtime-spec, runtime.md, "State".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A command is creating it.
    Creating,
    /// Complete, and its init waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its init is dead, or the creating command was killed before the end.
    Stopped,
}

impl Status {
    /// The word that engines expect.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The creating command did not come so far, or the file was taken away.
    #[error("{file} was never written")]
    Missing {
        /// Which file.
        file: &'static str,
    },

    /// A link, a directory, a FIFO or the like.
    #[error("{file} is not a regular file")]
    Kind {
        /// Which file.
        file: &'static str,
    },

    /// Larger than anything we write.
    #[error("{file} has more than {limit_bytes} bytes")]
    TooLarge {
        /// Which file.
        file: &'static str,
        /// What is accepted.
        limit_bytes: usize,
    },

    /// Another casemate wrote it.
    #[error("it has format {found}, and this casemate reads format {RECORD_VERSION}")]
    Version {
        /// The format found.
        found: u32,
    },

    /// Not JSON, or not what we write.
    #[error("state.json is not a record")]
    Syntax {
        /// What and where.
        source: serde_json::Error,
    },

    /// A value that no command of ours writes.
    #[error("its `{field}` {fault}")]
    Value {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },

    /// A system call failed.
    #[error("read {file}")]
    Io {
        /// Which file.
        file: &'static str,
        /// What the kernel said.
        source: Errno,
    },
}

/// The record with its format number, borrowed to be written.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    record: &'a Record,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    version: u32,
    record: Record,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl Record {
    pub(super) fn to_json(&self) -> Result<Vec<u8>, RecordError> {
        serde_json::to_vec(&Written { version: RECORD_VERSION, record: self })
            .map_err(|source| RecordError::Syntax { source })
    }

    /// Reads what [`Record::to_json`] wrote for container `id`.
    pub(super) fn from_json(bytes: &[u8], id: &ContainerId) -> Result<Self, RecordError> {
        let record = match serde_json::from_slice::<Read>(bytes) {
            Ok(Read { version: RECORD_VERSION, record }) => record,
            Ok(Read { version: found, .. }) => return Err(RecordError::Version { found }),
            Err(source) => return Err(unreadable(bytes, source)),
        };
        let fault = |field, fault| Err(RecordError::Value { field, fault });
        if record.id != *id {
            return fault("id", "is not that of its directory");
        }
        if !record.bundle.is_absolute() {
            return fault("bundle", "is not an absolute path");
        }
        if !record.rootfs.is_absolute() {
            return fault("rootfs", "is not an absolute path");
        }
        Ok(record)
    }

    /// The status, by whether init lives and `waits`: whether the start socket exists.
    ///
    /// A creation that was cut short is `Creating` while its init lives, so that only a forced
    /// delete takes it, and `Stopped` after that.
    pub(super) fn status(&self, waits: impl FnOnce() -> bool) -> Status {
        // A process that /proc does not let us see cannot be called dead.
        let alive = self.process.is_some_and(|process| process.is_alive().unwrap_or(true));
        match (alive, self.phase) {
            (false, _) => Status::Stopped,
            (true, Phase::Creating) => Status::Creating,
            (true, Phase::Created) if waits() => Status::Created,
            (true, Phase::Created) => Status::Running,
        }
    }
}

/// A file of another format is told from one that is broken: only the first can be helped by
/// another casemate.
fn unreadable(bytes: &[u8], source: serde_json::Error) -> RecordError {
    match serde_json::from_slice::<Head>(bytes) {
        Ok(head) if head.version != RECORD_VERSION => RecordError::Version { found: head.version },
        Ok(_) | Err(_) => RecordError::Syntax { source },
    }
}
