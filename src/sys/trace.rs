//! Watching another process from system call to system call.
#![expect(unsafe_code, reason = "ptrace(2) and waitpid(2) have no safe form")]

use super::{Errno, Result, check};

/// Where a traced process has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It was interrupted, or a signal has stopped it.
    Event,
    /// It is at the beginning or the end of a system call.
    Call,
    /// This signal is about to reach it.
    Signal(i32),
    /// It has ended.
    Ended,
}

/// What a process does that has stopped at a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It begins the call of this number.
    Begins(u64),
    /// It ends one, with this result: a negative one is an error number.
    Ends(i64),
    /// Neither.
    None,
}

const SEIZE: u32 = 0x4206;
const INTERRUPT: u32 = 0x4207;
const TO_NEXT_CALL: u32 = 24;
const DETACH: u32 = 17;
const OPTION_TELL_CALLS: usize = 1;
const OPTION_EXIT_KILL: usize = 1 << 20;

fn request(request: u32, pid: i32, address: usize, data: usize) -> Result<()> {
    // SAFETY: for the requests made here `address` and `data` are numbers, not pointers.
    let ret = unsafe { libc::syscall(libc::SYS_ptrace, request, pid, address, data) };
    check(ret).map(drop)
}

/// Begins to trace process `pid`, which does not stop yet and dies with this one.
///
/// # Errors
/// `EPERM` if somebody traces it already, or if this process may not.
///
/// Reference: ptrace(2), `PTRACE_SEIZE`, `PTRACE_O_EXITKILL`.
pub fn seize(pid: i32) -> Result<()> {
    request(SEIZE, pid, 0, OPTION_TELL_CALLS | OPTION_EXIT_KILL)
}

/// Has a traced process stop soon, whatever it does.
///
/// # Errors
/// `ESRCH` when it is gone.
pub fn interrupt(pid: i32) -> Result<()> {
    request(INTERRUPT, pid, 0, 0)
}

/// Lets a stopped process go on to the next beginning or end of a system call; with a signal, if
/// one was about to reach it (0: none).
///
/// # Errors
/// `ESRCH` when it is gone or not stopped.
pub fn go_on(pid: i32, signal: i32) -> Result<()> {
    request(TO_NEXT_CALL, pid, 0, usize::try_from(signal).unwrap_or(0))
}

/// Lets a stopped process go, and traces it no longer.
///
/// # Errors
/// `ESRCH` when it is gone or not stopped.
pub fn let_go(pid: i32) -> Result<()> {
    request(DETACH, pid, 0, 0)
}

/// Where a traced process stopped, if it has.
///
/// # Errors
/// `ECHILD` if this process does not trace it.
pub fn stopped(pid: i32) -> Result<Option<Stop>> {
    const EVENT_STOP: i32 = 128;
    const AT_CALL: i32 = libc::SIGTRAP | 0x80;
    let mut status = 0;
    // SAFETY: `status` is a local that the kernel fills.
    let ret = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG | libc::__WALL) };
    if check(libc::c_long::from(ret))? == 0 {
        return Ok(None);
    }
    if !libc::WIFSTOPPED(status) {
        return Ok(Some(Stop::Ended));
    }
    Ok(Some(match (status >> 16, libc::WSTOPSIG(status)) {
        (EVENT_STOP, _) => Stop::Event,
        (_, AT_CALL) => Stop::Call,
        (_, signal) => Stop::Signal(signal),
    }))
}

/// `struct ptrace_syscall_info` of linux/ptrace.h, as far as it is used, and room for the rest.
#[repr(C)]
#[derive(Default)]
struct Info {
    op: u8,
    padding: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    first: u64,
    rest: [u64; 8],
}

/// What a process does that stopped at a system call.
///
/// # Errors
/// `ESRCH` when it is gone or not stopped.
///
/// Reference: ptrace(2), `PTRACE_GET_SYSCALL_INFO`, since Linux 5.3.
pub fn call(pid: i32) -> Result<Call> {
    const GET_SYSCALL_INFO: u32 = 0x420e;
    const ENTRY: u8 = 1;
    const EXIT: u8 = 2;
    const SECCOMP: u8 = 3;
    let mut info = Info::default();
    let place: *mut Info = &raw mut info;
    // SAFETY: the kernel writes at most the size given to a local of that size.
    let ret =
        unsafe { libc::syscall(libc::SYS_ptrace, GET_SYSCALL_INFO, pid, size_of::<Info>(), place) };
    check(ret)?;
    match info.op {
        ENTRY | SECCOMP => Ok(Call::Begins(info.first)),
        EXIT => Ok(Call::Ends(i64::from_ne_bytes(info.first.to_ne_bytes()))),
        0 => Ok(Call::None),
        _ => Err(Errno::EPROTO),
    }
}

/// The number of seccomp(2) in this program's own ABI.
#[must_use]
pub fn seccomp_number() -> u64 {
    u64::try_from(libc::SYS_seccomp).unwrap_or(u64::MAX)
}

/// The number of execve(2) in this program's own ABI.
#[must_use]
pub fn execve_number() -> u64 {
    u64::try_from(libc::SYS_execve).unwrap_or(u64::MAX)
}
