//! The clone: the one place outside `sys` with an unsafe block.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::hook::{Call, inside};
use super::init::{self, Init};
use super::prepare::{InitPlan, InnerHook};
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

/// Starts a hook of the host.
///
/// # Errors
/// What clone3(2) says.
#[expect(unsafe_code, reason = "the child allocates nothing: `become_hook` keeps that promise")]
pub(super) fn hook(
    call: &Call<'_>,
    output: BorrowedFd<'_>,
    report: BorrowedFd<'_>,
) -> Result<(i32, OwnedFd)> {
    // SAFETY: this program has one thread, and the child goes straight into `become_hook`, which
    // allocates nothing, takes no lock and never returns.
    match unsafe { clone::process(0, None) }? {
        Cloned::Parent { pid, process } => Ok((pid, process)),
        Cloned::Child => {
            #[cfg(feature = "fault")]
            crate::sys::alloc_guard::forbid_allocation();
            call.become_hook(output, report)
        }
    }
}

/// Starts a hook of the image, from init.
///
/// # Errors
/// What clone3(2) says.
#[expect(unsafe_code, reason = "neither process allocates: both walk the plan that init has")]
pub(super) fn inner_hook(
    init: &mut Init<'_>,
    hook: &InnerHook<'_>,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> Result<(i32, OwnedFd)> {
    // SAFETY: init has one thread, and its child goes straight into `become_hook`, which
    // allocates nothing, takes no lock and never returns.
    match unsafe { clone::process(0, None) }? {
        Cloned::Parent { pid, process } => Ok((pid, process)),
        Cloned::Child => inside::become_hook(init, hook, input, output),
    }
}

/// Closes init's copy of the supervisor's end: otherwise it would never read end of file.
fn forget(ours: &OwnedFd) {
    use std::os::fd::AsRawFd;
    if let Ok(number) = u32::try_from(ours.as_raw_fd()) {
        let _ = fd::close_range(number, number);
    }
}
