//! Makes a container again from the files that CRIU wrote.
//!
//! What the plan has made from outside is made as for a launch: the control group, mount points,
//! the root file system, what is bound. It lies in a mount namespace of this process, where CRIU
//! finds it. CRIU makes the rest, and nothing of it has run when this is done: every process
//! stands still in the frozen group, to be looked at first.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::steps::mount_point::Made;
use super::{LaunchError, Request, supervisor};
use crate::cgroup::Cgroup;
use crate::criu::{Criu, CriuError, Options};
use crate::plan::LaunchPlan;
use crate::sys::process;

/// What lies outside of a container, and CRIU must be told when it writes one and when it makes
/// it again: kept beside its images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// By what CRIU knows standard input, output and error, where they came from outside.
    pub descriptors: [Option<String>; 3],
    /// Places of the plan where something of the host is bound.
    pub bound: Vec<String>,
    /// Paths that are covered by nothing.
    pub masked: Vec<Masked>,
    /// Whether its network namespace was there before it.
    pub network: bool,
}

/// A path that is covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masked {
    /// Where, as the kernel says.
    pub at: String,
    /// Whether it is a directory.
    pub directory: bool,
}

/// By what CRIU knows a network namespace that was there before.
pub const NETWORK_KEY: &str = "extRootNetNS";

/// What a restore needs beyond its plan.
#[derive(Debug)]
pub struct Restoration<'a> {
    /// CRIU.
    pub criu: &'a Criu,
    /// What it is told: its images and switches. The rest is added here.
    pub options: Options,
    /// What lay outside.
    pub outside: &'a Outside,
    /// The container's state directory, and its path.
    pub directory: (BorrowedFd<'a>, &'a Path),
}

/// A container that was made again, and stands still.
#[derive(Debug)]
pub struct Restored {
    /// Init's process id.
    pub pid: i32,
    /// Refers to init even after its id is used again.
    pub process: OwnedFd,
    /// Its control group, frozen.
    pub cgroup: Cgroup,
    pub(super) made: Vec<Made>,
}

/// Why a container was not made again. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// What the plan makes from outside could not be made.
    #[error(transparent)]
    Launch(#[from] LaunchError),

    /// CRIU could not.
    #[error(transparent)]
    Criu(#[from] CriuError),

    /// CRIU says that it is done, and there is no process.
    #[error("CRIU made no process")]
    Nobody,
}

/// Makes a container again, up to the point where all of it stands still.
///
/// # Errors
/// [`RestoreError`]: everything that was created is gone again.
pub fn restore(
    plan: &LaunchPlan,
    request: &Request<'_>,
    restoration: Restoration<'_>,
) -> Result<Restored, RestoreError> {
    let umask = process::set_umask(0o022);
    supervisor::Supervisor::new(plan, request, umask).restore(restoration)
}

impl Restored {
    /// Kills all of it, and takes back what was made.
    pub fn abandon(self, request: &Request<'_>) {
        let _ = self.cgroup.kill_all();
        let _ = self.cgroup.thaw();
        let _ = process::wait_for(self.pid);
        for made in self.made.iter().rev() {
            made.take_back();
        }
        let _ = self.cgroup.remove(request.hierarchies);
    }
}
