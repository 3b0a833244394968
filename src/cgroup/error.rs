//! Why something with a control group did not work.

use std::path::PathBuf;

use super::systemd::BusError;
use crate::plan::cgroup::PathFault;
use crate::sys::Errno;
use crate::sys::bpf::LoadError;

/// Why a control group could not be made, used or removed.
///
/// [`super::Cgroup::create`] takes back what it made before it returns one of these. Paths are
/// relative to the root of their hierarchy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// There is no cgroup v2, or it cannot be opened.
    #[error("open the cgroup v2 hierarchy")]
    NoHierarchy {
        /// The kernel's answer to the last attempt.
        source: Errno,
    },

    /// The container's id does not make a path.
    #[error("place the control group")]
    Path {
        /// What is wrong with it.
        source: PathFault,
    },

    /// The group was there already, with processes in it.
    #[error("the container's cgroup is not empty: /{path} has processes of someone else's")]
    Occupied {
        /// The group.
        path: String,
    },

    /// The group was there already, and frozen: nothing in it would ever run.
    #[error("container's cgroup unexpectedly frozen: nothing would ever run in /{path}")]
    Frozen {
        /// The group.
        path: String,
    },

    /// The group was there already, and another container has claimed it.
    #[error("control group /{path} belongs to container `{owner}`")]
    Claimed {
        /// The group.
        path: String,
        /// The other container's id.
        owner: String,
    },

    /// A controller cannot be given to the groups below one.
    #[error("enable controllers `{controllers}` below control group /{path}")]
    Enable {
        /// The group above.
        path: String,
        /// What was written, as in `+memory +pids`.
        controllers: String,
        /// `EBUSY`: processes sit in the group itself. `ENOENT`: its parent has not got them.
        source: Errno,
    },

    /// A limit was not taken.
    #[error("{at}: write `{value}` to {file} of control group /{path}")]
    Limit {
        /// The property that asked for it, or the name of the level's limit.
        at: String,
        /// The file.
        file: String,
        /// What was written.
        value: String,
        /// The group.
        path: String,
        /// The kernel's answer; `ENOENT` when the kernel has no such file.
        source: Errno,
    },

    /// A memory limit below what is in use, and the bundle asked for that to be checked.
    #[error("{at}: rejecting {what} limit {limit_bytes} <= usage {used_bytes}")]
    BelowUse {
        /// The property that asked for it.
        at: String,
        /// `memory`, or `memory+swap`.
        what: &'static str,
        /// The new limit, in bytes.
        limit_bytes: u64,
        /// What is in use, in bytes.
        used_bytes: u64,
    },

    /// No hierarchy of this host has the limit's controller.
    #[error("{at}: no control group hierarchy of this host has this limit")]
    Unenforceable {
        /// The property that asked for it.
        at: String,
    },

    /// The kernel did not take the device program.
    #[error("limit devices of control group /{path}")]
    DeviceProgram {
        /// The group.
        path: String,
        /// What the verifier said.
        source: LoadError,
    },

    /// The group did not get quiet in time: freezing, or ending of its processes.
    #[error("control group /{path} is still {state} after {waited_ms} ms")]
    Timeout {
        /// The group.
        path: String,
        /// `populated`, or `not frozen`.
        state: &'static str,
        /// How long was waited.
        waited_ms: u64,
    },

    /// A group below a container's own that cannot be entered.
    #[error("adding pid to cgroup {group} below the container's own: {why}")]
    Below {
        /// The group, as it was asked for.
        group: String,
        /// Why not.
        why: &'static str,
    },

    /// systemd did not do what it was asked.
    #[error("{what} unit {unit}")]
    Unit {
        /// What was asked, as in `start`.
        what: &'static str,
        /// Of which unit.
        unit: String,
        /// Why not.
        source: BusError,
    },

    /// Anything else that the kernel refused.
    #[error("{what} control group {}", path.display())]
    System {
        /// What was done, as in `make`.
        what: &'static str,
        /// To which group or file.
        path: PathBuf,
        /// The kernel's answer.
        source: Errno,
    },
}

impl CgroupError {
    /// A plain refusal by the kernel, for use with `map_err`.
    pub(super) fn system(what: &'static str, path: &str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::System { what, path: PathBuf::from(format!("/{path}")), source }
    }
}
