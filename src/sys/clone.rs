//! A new process, in new namespaces and in its control group from the first instruction.
#![expect(unsafe_code, reason = "clone3(2) returns twice")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Result, check};

/// What [`process`] gives back, once in each of the two.
#[derive(Debug)]
pub enum Cloned {
    /// In the new process.
    Child,
    /// In the caller: the child's id and a descriptor for it.
    Parent {
        /// The child's process id, in the caller's pid namespace.
        pid: i32,
        /// Refers to the child even after its id is used again; close-on-exec.
        process: OwnedFd,
    },
}

/// Clones this process like fork(2), with new namespaces `kinds` (`CLONE_NEW*`), directly into
/// the control group `cgroup`.
///
/// # Safety
/// The caller has one thread. The child must not allocate, take a lock, or return from the
/// function that called this: it shares no state with its parent, but was copied in mid-step.
///
/// # Errors
/// `EPERM`, `ENOSPC` for namespace limits, `EBUSY` or `EAGAIN` when the control group refuses.
///
/// Reference: clone(2), section "clone3()".
pub unsafe fn process(kinds: i32, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let mut flags = u64::from(u32::try_from(kinds).unwrap_or(0));
    flags |= u64::from(libc::CLONE_PIDFD.unsigned_abs());
    let mut args = CloneArgs {
        flags,
        pidfd: (&raw mut pidfd).addr().try_into().unwrap_or(0),
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(0);
    }
    let args: *const CloneArgs = &raw const args;
    // SAFETY: `args` and the `pidfd` it points to live on this stack until the call returns;
    // no stack is given, so the child continues on its own copy of this one.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, args, size_of::<CloneArgs>()) };
    let pid = check(ret)?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel stored a descriptor there that it made for this process alone.
    let process = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent { pid: i32::try_from(pid).unwrap_or(-1), process })
}

/// Whether a child that was just cloned was killed before its first instruction, as happens to
/// one that a control group is given to: Linux compares how often the group of its parent was
/// killed with how often the new one was (`cgroup.kill`), and takes a difference for a kill that
/// the clone ran into. Takes a few microseconds; `false` where the kernel does not tell.
///
/// Reference: process_mrelease(2), "ERRORS": `EINVAL` for a process that is not being killed.
#[must_use]
pub fn is_stillborn(child: BorrowedFd<'_>) -> bool {
    // SAFETY: integers only; what is released is the memory of a process that is ending.
    let ret = unsafe { libc::syscall(libc::SYS_process_mrelease, child.as_raw_fd(), 0) };
    matches!(check(ret), Ok(_) | Err(super::Errno::ESRCH | super::Errno::EAGAIN))
}

/// Linux 5.7: the child starts in the control group `cgroup` refers to.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of <linux/sched.h>, version 2 (88 bytes).
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What [`copy`] gives back, once in each of the two.
#[derive(Debug)]
pub enum Copied {
    /// In the new process.
    Copy,
    /// In the caller.
    Original {
        /// The new process's id.
        pid: i32,
        /// Refers to it even after its id is used again; close-on-exec.
        process: OwnedFd,
    },
}

/// Whose descriptors a copy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptors {
    /// Copies of the caller's.
    Own,
    /// The caller's: what one opens or closes is open or closed in the other, until execve.
    Shared,
}

/// Copies this process, as fork(2) does.
///
/// # Errors
/// `EBUSY` if it has more than one thread: only this one would be copied, with whatever the
/// others had locked. What clone3(2) and reading `/proc/self/task` say.
pub fn copy(descriptors: Descriptors) -> Result<Copied> {
    let tasks = std::fs::read_dir("/proc/self/task")
        .map_err(|error| error.raw_os_error().map_or(super::Errno::EIO, super::Errno::from_raw))?;
    if tasks.count() != 1 {
        return Err(super::Errno::EBUSY);
    }
    let flags = match descriptors {
        Descriptors::Own => 0,
        Descriptors::Shared => libc::CLONE_FILES,
    };
    // SAFETY: there is one thread, as was just seen, so the copy is whole: no lock is held by a
    // thread that it lacks. It may therefore do what its original may.
    match unsafe { process(flags, None) }? {
        Cloned::Child => Ok(Copied::Copy),
        Cloned::Parent { pid, process } => Ok(Copied::Original { pid, process }),
    }
}
