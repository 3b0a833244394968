//! Carries out the plan of an `exec`: another process enters the box of a container that exists.
//!
//! This process goes into the container's namespaces with its outer credentials, opens what must
//! be opened there, gives birth, and comes home at once: no path is looked up inside but that of
//! a terminal, and nothing inside can look into it. Its child joins the user namespace as the
//! last of all, and takes the same steps as init from there.

mod supervisor;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::start::{self, Attendant, Waiting};
use super::{LaunchError, cause, process};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::plan::{IdMap, LaunchPlan};
use crate::store::ProcessId;
use crate::sys::socket;

/// What an `exec` needs beyond its plan.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The container's first process.
    pub init: ProcessId,
    /// The container's control group, if it has one of its own.
    pub cgroup: Option<&'a Cgroup>,
    /// The host's control groups.
    pub hierarchies: &'a Hierarchies,
    /// How the container's ids are mapped.
    pub ids: Option<&'a IdMap>,
    /// The first host id of its range, if it has one.
    pub base: u32,
    /// Where the master of a terminal is sent.
    pub console: Option<BorrowedFd<'a>>,
    /// How many descriptors above 2 the program inherits.
    pub preserve: u32,
}

/// A process that is in the container, on its way to its program.
#[derive(Debug)]
pub struct Entered {
    /// Its process id.
    pub pid: i32,
    /// Refers to it even after its id is used again.
    pub process: OwnedFd,
    socket: OwnedFd,
}

/// Carries out `plan` up to the point where nothing is left to do outside.
///
/// # Errors
/// The step that failed, and why. Nothing is left behind.
pub fn enter(plan: &LaunchPlan, request: &ExecRequest<'_>) -> Result<Entered, LaunchError> {
    #[cfg(feature = "fault")]
    super::fault::from_environment();
    supervisor::Supervisor::new(plan, request).run()
}

impl Entered {
    /// Becomes readable once there is something to hear.
    #[must_use]
    pub fn conversation(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Waits until it has become the program, or was killed on its way to it.
    ///
    /// # Errors
    /// The step that failed. The process is gone then, and reaped.
    pub fn became_program(
        &self,
        plan: &LaunchPlan,
        attendant: &mut dyn Attendant,
    ) -> Result<(), LaunchError> {
        let process = self.process.as_fd();
        tracing::debug!("setns_init: about to exec: {} goes on to its program", self.pid);
        // One that was killed before it listened to its first word says nothing either.
        let deaf = socket::went_unread(self.socket.as_fd());
        let waiting = Waiting { socket: self.socket.as_fd(), pid: self.pid, process };
        let alive = || if deaf { Err(self.death()) } else { Ok(()) };
        start::see_through(waiting, plan, attendant)
            .and_then(|()| alive())
            .inspect_err(|_| self.end())
    }

    fn death(&self) -> LaunchError {
        let signal = process::killed_by(self.process.as_fd(), cause::ENDING);
        signal.map_or(LaunchError::Gone, |signal| LaunchError::Killed { signal })
    }

    /// Kills and reaps it.
    pub fn end(&self) {
        let _ = process::signal(self.process.as_fd(), libc::SIGKILL);
        let _ = process::wait_for(self.pid);
    }
}
