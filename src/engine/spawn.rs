//! The clone: the one place outside `sys` with an unsafe block.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;

use super::cause::{self, Cause};
use super::hook::{Call, inside};
use super::init::{self, Init};
use super::prepare::{InitPlan, InnerHook};
use super::wire;
use crate::sys::clone::{self, Cloned};
use crate::sys::process::Ended;
use crate::sys::{Result, errno, fd, process};

/// Starts the new process in its control group; returns in the supervisor only.
///
/// Where the kernel takes the birth in another group for one that a kill of that group ran into,
/// the process is born in this one's, and moved before it does anything.
///
/// # Errors
/// What clone3(2) says, or the write that moves it; then it is gone again.
pub(super) fn init(
    plan: &InitPlan<'_>,
    ours: &OwnedFd,
    kinds: i32,
    cgroup: Option<BorrowedFd<'_>>,
) -> std::result::Result<(i32, OwnedFd), Cause> {
    // Whoever reads runc's notes finds the same milestones here.
    tracing::debug!("nsexec container setup: the new process is cloned");
    let (pid, process) = birth(plan, ours, kinds, Entry::At(cgroup))?;
    tracing::debug!("child process in init(): {pid}, {} steps before it", plan.steps.len());
    let Some(cgroup) = cgroup.filter(|_| clone::is_stillborn(process.as_fd())) else {
        return Ok((pid, process));
    };
    tracing::debug!("the new process was killed at birth; it is born outside its control group");
    let ended = process::wait_for(pid);
    if let Ok(Ended::Killed(signal)) = ended
        && wire::was_spoken_to(ours.as_fd(), 0)
    {
        // It was not at birth. What it said would be taken for the word of the next one.
        return Err(Cause::said(cause::killed(signal)));
    }
    let (pid, process) = birth(plan, ours, kinds, Entry::Later)?;
    let entered = enter(cgroup, pid).and_then(|()| Ok(wire::say_go(ours.as_fd())?));
    if let Err(cause) = entered {
        let cause = cause.or_death_of(process.as_fd());
        let _ = process::signal(process.as_fd(), libc::SIGKILL);
        let _ = process::wait_for(pid);
        return Err(cause);
    }
    Ok((pid, process))
}

/// When a new process comes to its control group.
#[derive(Debug, Clone, Copy)]
enum Entry<'fd> {
    /// With its first instruction, if there is one to come to.
    At(Option<BorrowedFd<'fd>>),
    /// Its parent moves it, and lets it go on then.
    Later,
}

#[expect(unsafe_code, reason = "the child allocates nothing: `init` keeps that promise")]
fn birth(
    plan: &InitPlan<'_>,
    ours: &OwnedFd,
    kinds: i32,
    entry: Entry<'_>,
) -> Result<(i32, OwnedFd)> {
    let (cgroup, waits) = match entry {
        Entry::At(cgroup) => (cgroup, false),
        Entry::Later => (None, true),
    };
    #[cfg(feature = "fault")]
    let death = super::fault::Death::wanted(waits);
    // SAFETY: this program has one thread, and the child goes straight into `init::run`, which
    // allocates nothing, takes no lock and never returns.
    match unsafe { clone::process(kinds, cgroup) }? {
        Cloned::Parent { pid, process } => {
            #[cfg(feature = "fault")]
            death.come(process.as_fd(), ours.as_fd());
            Ok((pid, process))
        }
        Cloned::Child => {
            #[cfg(feature = "fault")]
            death.wait();
            #[cfg(feature = "fault")]
            crate::sys::alloc_guard::forbid_allocation();
            forget(ours);
            if waits && wire::await_go(plan.socket).is_err() {
                process::end(1);
            }
            init::run(plan)
        }
    }
}

/// Moves a process to a control group.
fn enter(cgroup: BorrowedFd<'_>, pid: i32) -> std::result::Result<(), Cause> {
    let failed = |error| Cause::with_detail(error, "write its `cgroup.procs`".to_owned());
    let procs = fd::open_beneath(cgroup, c"cgroup.procs", OFlags::WRONLY).map_err(failed)?;
    let written = rustix::io::write(&procs, pid.to_string().as_bytes());
    written.map(drop).map_err(|error| failed(errno(error)))
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
            process::wait_for_signal();
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
