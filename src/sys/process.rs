//! What a process says about itself before it becomes the workload, and how it ends.
//! Functions marked so allocate nothing: they run in the new process.
#![expect(unsafe_code, reason = "prctl(2), setgroups(2) and their like have no safe form")]

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};

use super::{Result, check};

/// Forbids other processes to trace this one or to read its `/proc` entries, until execve.
///
/// # Errors
/// None is documented.
///
/// Reference: `PR_SET_DUMPABLE(2const)`.
pub fn forbid_dumping() -> Result<()> {
    // SAFETY: integers only.
    let ret = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    check(libc::c_long::from(ret)).map(drop)
}

/// Promises that no execve will grant privileges: for this process and all it starts.
/// Allocates nothing.
///
/// # Errors
/// None is documented.
///
/// Reference: `PR_SET_NO_NEW_PRIVS(2const)`.
pub fn forbid_new_privileges() -> Result<()> {
    // SAFETY: integers only.
    let ret = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    check(libc::c_long::from(ret)).map(drop)
}

/// Sets exactly these supplementary groups. Allocates nothing.
///
/// # Errors
/// `EINVAL` for a group that the user namespace does not map, `EPERM` without `CAP_SETGID`.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the pointer is to `len` ids that the kernel only reads.
    let ret = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    check(ret).map(drop)
}

/// Sets the real, effective and saved group id. Allocates nothing.
///
/// # Errors
/// `EINVAL` for an id that the user namespace does not map.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: integers only; the raw call changes this thread, the only one there is.
    let ret = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
    check(ret).map(drop)
}

/// Sets the real, effective and saved user id. Allocates nothing.
///
/// # Errors
/// `EINVAL` for an id that the user namespace does not map, `EAGAIN` above `RLIMIT_NPROC`.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: integers only; the raw call changes this thread, the only one there is.
    let ret = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    check(ret).map(drop)
}

/// Sets the mask of permission bits that new files do not get; gives the one before. Allocates
/// nothing.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: an integer; the call cannot fail.
    unsafe { libc::umask(mask) }
}

/// Sets the name of this thread, at most 15 bytes, as `ps` shows it.
pub fn set_name(name: &CStr) {
    // SAFETY: the kernel reads at most 16 bytes up to the NUL of a text that outlives the call.
    let _ = unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Starts a session without a controlling terminal. Allocates nothing.
///
/// # Errors
/// `EPERM` for a process group leader.
pub fn new_session() -> Result<()> {
    // SAFETY: no arguments.
    let ret = unsafe { libc::setsid() };
    check(libc::c_long::from(ret)).map(drop)
}

/// Joins a new, anonymous session keyring, so that the caller's keys stay behind.
/// Allocates nothing.
///
/// # Errors
/// `ENOSYS` without keyring support, `EDQUOT` above the quota of keys.
///
/// Reference: `KEYCTL_JOIN_SESSION_KEYRING(2const)`.
pub fn new_keyring() -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let anonymous: *const c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring; nothing is read.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
    check(ret).map(drop)
}

/// Sets a resource limit of this process. Allocates nothing.
///
/// # Errors
/// `EPERM` for raising the hard limit without `CAP_SYS_RESOURCE`.
///
/// Reference: getrlimit(2).
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    set_limit_of(0, resource, soft, hard)
}

/// Sets a resource limit of the process `pid` (0: this one).
///
/// # Errors
/// `EPERM` for raising the hard limit without `CAP_SYS_RESOURCE`.
///
/// Reference: prlimit(2).
pub fn set_limit_of(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let old: *mut libc::rlimit64 = std::ptr::null_mut();
    // SAFETY: `new` outlives the call, which only reads it; a null `old` asks for nothing.
    let ret = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const new, old) };
    check(ret).map(drop)
}

/// The soft and hard limit of `resource` for this process.
///
/// # Errors
/// `EINVAL` for an unknown resource.
pub fn limit(resource: u32) -> Result<(u64, u64)> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new: *const libc::rlimit64 = std::ptr::null();
    // SAFETY: `old` is a local that the kernel fills; a null `new` changes nothing.
    let ret = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, new, &raw mut old) };
    check(ret)?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// Gives every signal its default action and unblocks all of them. Allocates nothing.
///
/// # Errors
/// None that an empty mask can cause.
pub fn reset_signals() -> Result<()> {
    /// The kernel's `struct sigaction` of any architecture is no larger than this; all zeros
    /// means the default action.
    const DEFAULT: [u64; 8] = [0; 8];
    const SIGSET_BYTES: usize = 8;
    for signal in 1..=64_i32 {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        let old: *mut u64 = std::ptr::null_mut();
        // SAFETY: `DEFAULT` is static and larger than what is read; a null `old` is allowed.
        let ret = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), old, SIGSET_BYTES)
        };
        check(ret)?;
    }
    let empty = 0_u64;
    let old: *mut u64 = std::ptr::null_mut();
    // SAFETY: `empty` outlives the call, which reads eight bytes; a null `old` is allowed.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const empty,
            old,
            SIGSET_BYTES,
        )
    };
    check(ret).map(drop)
}

/// Runs this process on the processors of `mask` only: bit n of word m is processor 64 m + n.
/// Allocates nothing.
///
/// # Errors
/// `EINVAL` if none of them is there, or none is allowed to its control group.
///
/// Reference: sched_setaffinity(2).
pub fn set_affinity(mask: &[u64]) -> Result<()> {
    let bytes = size_of_val(mask);
    // SAFETY: the pointer is to that many bytes that outlive the call, which only reads them.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, bytes, mask.as_ptr()) };
    check(ret).map(drop)
}

/// Lets process `pid` run on every processor that its control group allows.
///
/// # Errors
/// `ESRCH`, or `EPERM`.
///
/// Reference: sched_setaffinity(2).
pub fn reset_affinity_of(pid: i32) -> Result<()> {
    // 8,192 processors: as many as Linux can be built for.
    let all = [u64::MAX; 128];
    let bytes = size_of_val(&all);
    // SAFETY: the pointer is to that many bytes that outlive the call, which only reads them.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, bytes, all.as_ptr()) };
    check(ret).map(drop)
}

/// Whether the calling process may execute the file at `path`. Allocates nothing.
///
/// # Errors
/// `ENOENT`, `EACCES`, and what access(2) says.
pub fn may_execute(path: &CStr) -> Result<()> {
    rustix::fs::accessat(
        rustix::fs::CWD,
        path,
        rustix::fs::Access::EXEC_OK,
        rustix::fs::AtFlags::EACCESS,
    )
    .map_err(super::errno)
}

/// The first byte of the current directory's name as the kernel gives it: `/`, or `(` for a
/// directory that cannot be reached from the root. Allocates nothing.
///
/// # Errors
/// `ERANGE` if the name is longer than `buffer`.
///
/// Reference: getcwd(2), section "(unreachable)".
pub fn current_directory(buffer: &mut [u8]) -> Result<Option<u8>> {
    // SAFETY: the kernel writes at most `len` bytes into a buffer that is borrowed alone.
    let ret = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    check(ret)?;
    Ok(buffer.first().copied())
}

/// Has the kernel keep ended children until they are waited for. A caller that ignores `SIGCHLD`
/// hands that on across execve: then they vanish, with how they ended, and what is known by a
/// child's number could be another process by then.
///
/// # Errors
/// None is documented for these values.
///
/// Reference: sigaction(2), "`SIG_IGN` for `SIGCHLD`".
pub fn keep_ended_children() -> Result<()> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of this process.
    unsafe { nix::sys::signal::sigaction(Signal::SIGCHLD, &action) }?;
    Ok(())
}

/// Has `SIGTERM` end this process, also the first one of a pid namespace, which would not notice, and
/// one whose caller had held it up. Allocates nothing.
///
/// # Errors
/// None is documented for these values.
///
/// Reference: `pid_namespaces(7)`; sigaction(2).
pub fn end_when_terminated() -> Result<()> {
    extern "C" fn terminated(signal: c_int) {
        end(signal.saturating_add(128));
    }
    let action = SigAction::new(SigHandler::Handler(terminated), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler makes one system call, which may be made in any state of the process.
    unsafe { nix::sys::signal::sigaction(Signal::SIGTERM, &action) }?;
    SigSet::from(Signal::SIGTERM).thread_unblock()
}

/// Ends this process at once: no destructor, no exit handler, no buffer is run or flushed.
pub fn end(status: i32) -> ! {
    // SAFETY: an integer; the call does not return.
    unsafe { libc::_exit(status) }
}

/// Sends `signal` to the process that `process` (a pidfd) stands for.
///
/// # Errors
/// `ESRCH` once it has been reaped, `EINVAL` for an unknown signal.
///
/// Reference: `pidfd_send_signal(2)`.
pub fn signal(process: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null `info` asks for the same as kill(2); nothing is read.
    let ret =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, info, 0) };
    check(ret).map(drop)
}

/// Kills every process of the group `group` that may be. Allocates nothing.
pub fn kill_group(group: i32) {
    // SAFETY: two integers.
    unsafe { libc::kill(group.saturating_neg(), libc::SIGKILL) };
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl Ended {
    /// The exit status a shell would show: 128 and the signal's number for a killed process.
    #[must_use]
    pub fn status(self) -> u8 {
        let status = match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => signal.saturating_add(128),
        };
        u8::try_from(status & 0xff).unwrap_or(255)
    }
}

/// Waits until the child `pid` ends, and reaps it.
///
/// # Errors
/// `ECHILD` if it is not a child of this process, `EINTR` when a signal came first.
pub fn wait_for(pid: i32) -> Result<Ended> {
    let mut status = 0;
    // SAFETY: `status` is a local that the kernel fills.
    let ret = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    check(libc::c_long::from(ret))?;
    Ok(if libc::WIFSIGNALED(status) {
        Ended::Killed(libc::WTERMSIG(status))
    } else {
        Ended::Exited(libc::WEXITSTATUS(status))
    })
}

/// The signal that a child was killed by, if it was by the end of that time. It is still to be
/// waited for.
///
/// Reference: waitid(2), `P_PIDFD` and `WNOWAIT`.
#[must_use]
pub fn killed_by(child: BorrowedFd<'_>, patience: std::time::Duration) -> Option<i32> {
    use rustix::process::{WaitId, WaitIdOptions};
    let timeout = rustix::event::Timespec::try_from(patience).ok()?;
    let ended = rustix::event::PollFlags::IN;
    let mut events = [rustix::event::PollFd::from_borrowed_fd(child, ended)];
    let _ = rustix::event::poll(&mut events, Some(&timeout));
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::PidFd(child), options).ok()??;
    status.terminating_signal()
}

/// This process's id, in its own pid namespace. Allocates nothing.
#[must_use]
pub fn own_pid() -> u32 {
    // SAFETY: no arguments; the raw call, since a C library may remember its parent's.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) };
    u32::try_from(pid).unwrap_or(0)
}

/// Waits until a signal comes. Allocates nothing.
pub fn wait_for_signal() {
    // SAFETY: no arguments; the call only returns when a handler ran.
    unsafe { libc::pause() };
}

/// Whom this process's user is outside of its user namespace: itself in the initial one.
///
/// Reads `/proc`. Reference: user_namespaces(7).
#[must_use]
pub fn outer_uid() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = map.lines().find_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        let (inside, outside, size) = (next()?, next()?, next()?);
        let offset = own.checked_sub(inside).filter(|offset| *offset < size)?;
        outside.checked_add(offset)
    });
    outside.unwrap_or(own)
}

/// Makes this process the one that orphaned descendants fall to.
///
/// # Errors
/// None is documented.
pub fn adopt_orphans() -> Result<()> {
    // SAFETY: integers only.
    let ret = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    check(libc::c_long::from(ret)).map(drop)
}

/// The capabilities this process could ever give: its bounding set.
#[must_use]
pub fn bounding_set() -> u64 {
    let mut set = 0;
    for number in 0..64_u64 {
        // SAFETY: integers only.
        let ret = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
        match ret {
            1 => set |= 1 << number,
            0 => {}
            _ => break,
        }
    }
    set
}
