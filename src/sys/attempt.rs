//! Calls that a boxed process must not get away with: raw, for the self-test alone.
//!
//! A [`Call`] is a system call as data. Only [`calls`] can make one, so the list there is the
//! whole of what this module can ask the kernel for, and each entry is harmless if the kernel
//! grants it: it fails for another reason after the permission check, or is undone when the
//! process that made it ends. Nothing here is used on the way of a launch.
#![expect(unsafe_code, reason = "raw system calls, most of which no crate wraps")]

pub mod calls;

use std::ffi::CStr;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
pub use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2, write};

use super::{Errno, Result};

/// Room for the largest structure that a call reads or writes, in words of eight bytes.
const WORDS: usize = 32;

/// One argument of a call.
#[derive(Debug, Clone, Copy)]
enum Arg {
    /// Flags and descriptors, sign-extended.
    Int(i32),
    /// Anything wider.
    Long(u64),
    /// A string that the kernel reads.
    Text(&'static CStr),
    /// A structure: copied into room of its own, which the kernel may overwrite.
    Struct(&'static [u64]),
}

impl Arg {
    /// The register's value. `room` must outlive the call.
    fn word(self, room: &mut [u64; WORDS]) -> u64 {
        let address = match self {
            Self::Int(value) => return i64::from(value).cast_unsigned(),
            Self::Long(value) => return value,
            Self::Text(text) => text.as_ptr().expose_provenance(),
            Self::Struct(words) => {
                room.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
                room.as_mut_ptr().expose_provenance()
            }
        };
        u64::try_from(address).unwrap_or(0)
    }
}

/// A system call with all its arguments; see [`calls`].
#[derive(Debug, Clone, Copy)]
pub struct Call {
    what: &'static str,
    number: libc::c_long,
    args: &'static [Arg],
}

impl Call {
    /// What the call would do, as the end of the sentence "the attempt to ...".
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what.trim_ascii()
    }

    /// Makes the call. A descriptor that it returns stays open until the process ends.
    ///
    /// # Errors
    /// What the kernel answers. Which numbers mean a refusal is for the caller to know.
    pub fn perform(&self) -> Result<()> {
        let mut rooms = [[0_u64; WORDS]; 6];
        let mut words = [0_u64; 6];
        for ((arg, room), word) in self.args.iter().zip(&mut rooms).zip(&mut words) {
            *word = arg.word(room);
        }
        let [a, b, c, d, e, f] = words;
        // SAFETY: `calls` alone makes values of this type. Its pointers are to static strings,
        // which those calls only read, or into `rooms`, which is ours, zeroed or filled above,
        // lives to the end of this function, and is larger than what any of them writes.
        let ret = unsafe { libc::syscall(self.number, a, b, c, d, e, f) };
        if ret < 0 { Err(Errno::last()) } else { Ok(()) }
    }
}

/// How a child process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It sent these bytes and left by itself.
    Replied(Vec<u8>),
    /// A signal ended it before it replied.
    Killed(Signal),
    /// It neither replied nor left within the time given, and was killed.
    TimedOut,
}

/// Runs `work` in a forked child, so that what it breaks, changes or gains ends with it.
///
/// The process must have one thread only: the child allocates.
///
/// # Errors
/// Those of pipe2(2), fork(2) and waitpid(2).
pub fn in_child(limit: Duration, work: &mut dyn FnMut() -> Vec<u8>) -> Result<Ended> {
    let (from_child, to_parent) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: no other thread holds a lock that the child could wait for: the caller says that
    // there is none. The child never returns from the arm below.
    let forked = unsafe { fork() }?;
    match forked {
        ForkResult::Parent { child } => {
            drop(to_parent);
            collect(child, from_child, limit)
        }
        ForkResult::Child => {
            let reply = catch_unwind(AssertUnwindSafe(work)).unwrap_or_default();
            let status = i32::from(write(&to_parent, &reply).is_err());
            // SAFETY: takes no pointer; runs no destructor or exit handler of the parent's.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Reads the child's reply to its end, and reaps it, alive or not.
fn collect(child: Pid, from_child: OwnedFd, limit: Duration) -> Result<Ended> {
    let deadline = Instant::now() + limit;
    let mut from_child = std::fs::File::from(from_child);
    let mut reply = Vec::new();
    let mut part = [0_u8; 4096];
    let in_time = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let ready = poll(&mut [PollFd::new(from_child.as_fd(), PollFlags::POLLIN)], wait);
        match ready {
            Err(Errno::EINTR) => {}
            Ok(0) | Err(_) => break false,
            Ok(_) => match from_child.read(&mut part) {
                Ok(0) | Err(_) => break true,
                Ok(count) => reply.extend_from_slice(part.get(..count).unwrap_or_default()),
            },
        }
    };
    if !in_time {
        kill(child, Signal::SIGKILL)?;
    }
    let status = waitpid(child, None)?;
    Ok(match status {
        _ if !in_time => Ended::TimedOut,
        WaitStatus::Signaled(_, signal, _) => Ended::Killed(signal),
        WaitStatus::Exited(..)
        | WaitStatus::Stopped(..)
        | WaitStatus::Continued(_)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::StillAlive => Ended::Replied(reply),
    })
}

/// Starts a process in new namespaces by clone(2); it ends at once and is reaped.
///
/// # Errors
/// Those of clone(2).
pub fn clone_away(flags: i32) -> Result<()> {
    let flags = i64::from(flags | libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child has a copy of this memory and, with a null stack, goes
    // on from here on its own copy of this one; `end_clone` keeps it from returning.
    let ret = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    end_clone(ret)
}

/// The same by clone3(2), whose flags no filter can see.
///
/// # Errors
/// Those of clone3(2).
pub fn clone3_away(flags: i32) -> Result<()> {
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls.
    let flags = u64::from(flags.cast_unsigned());
    let signal = u64::from(libc::SIGCHLD.cast_unsigned());
    let args = [flags, 0, 0, 0, signal, 0, 0, 0];
    // SAFETY: `args` is ours and outlives the call; the kernel reads its 64 bytes. The child is
    // as in `clone_away`.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) };
    end_clone(ret)
}

/// Ends the child of a clone; reaps it in the parent.
fn end_clone(ret: libc::c_long) -> Result<()> {
    match ret {
        ..0 => Err(Errno::last()),
        // SAFETY: takes no pointer; runs no destructor or exit handler of the parent's.
        0 => unsafe { libc::_exit(0) },
        pid => {
            let pid = i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?;
            waitpid(Pid::from_raw(pid), None).map(drop)
        }
    }
}

/// unshare(2) through the 32-bit entry of an x86-64 kernel, where the numbers differ.
///
/// # Errors
/// Those of unshare(2), `ENOSYS` from a filter or where there is no such entry. A kernel
/// without the 32-bit ABI may also end the process with a signal.
pub fn unshare_by_i386(flags: i32) -> Result<()> {
    #[cfg(target_arch = "x86_64")]
    {
        const UNSHARE: i32 = 310;
        let ret: i32;
        // SAFETY: the call takes one number and no pointer. rbx, which the compiler keeps for
        // itself, is put back; the registers that the entry may clear are declared.
        unsafe {
            core::arch::asm!(
                "xchg rbx, {flags}",
                "int 0x80",
                "xchg rbx, {flags}",
                flags = inout(reg) i64::from(flags) => _,
                inlateout("eax") UNSHARE => ret,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        if ret < 0 { Err(Errno::from_raw(-ret)) } else { Ok(()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = flags;
        Err(Errno::ENOSYS)
    }
}
