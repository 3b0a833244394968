//! The clone: the one place outside `sys` with an unsafe block.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::init;
use super::prepare::InitPlan;
use crate::sys::clone::{self, Cloned};
use crate::sys::{Result, fd};

/// Starts the new process; returns in the supervisor only.
///
/// # Errors
/// What clone3(2) says.
#[expect(unsafe_code, reason = "the child allocates nothing: `init` keeps that promise")]
pub(super) fn init(
    plan: &InitPlan<'_>,
    ours: &OwnedFd,
    kinds: i32,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<(i32, OwnedFd)> {
    // SAFETY: this program has one thread, and the child goes straight into `init::run`, which
    // allocates nothing, takes no lock and never returns.
    match unsafe { clone::process(kinds, cgroup) }? {
        Cloned::Parent { pid, process } => Ok((pid, process)),
        Cloned::Child => {
            #[cfg(feature = "fault")]
            crate::sys::alloc_guard::forbid_allocation();
            forget(ours);
            init::run(plan)
        }
    }
}

/// Starts a process in a user namespace of its own that only waits to be killed.
///
/// # Errors
/// What clone3(2) says: `ENOSPC` above a limit of `/proc/sys/user`.
#[expect(unsafe_code, reason = "the child allocates nothing: it only waits")]
pub(super) fn holder() -> Result<(i32, OwnedFd)> {
    // SAFETY: this program has one thread, and the child only waits for a signal: it allocates
    // nothing, takes no lock and never returns.
    match unsafe { clone::process(crate::sys::flags::ns::USER, None) }? {
        Cloned::Parent { pid, process } => Ok((pid, process)),
        Cloned::Child => loop {
            crate::sys::process::wait_for_signal();
        },
    }
}

/// Closes init's copy of the supervisor's end: otherwise it would never read end of file.
fn forget(ours: &OwnedFd) {
    use std::os::fd::AsRawFd;
    if let Ok(number) = u32::try_from(ours.as_raw_fd()) {
        let _ = fd::close_range(number, number);
    }
}
