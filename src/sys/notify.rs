//! Answering system calls that a seccomp filter holds up for a supervisor.
#![expect(unsafe_code, reason = "ioctl(2) takes pointers to structures of the kernel")]

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Errno, Result, check};

/// A system call that waits for an answer: `struct seccomp_notif` of linux/seccomp.h.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notification {
    /// What it is answered by. Not used again while the listener lives.
    pub id: u64,
    /// The thread that makes the call, as the reader's pid namespace counts; 0 if not seen there.
    pub pid: u32,
    /// Always 0 so far.
    pub flags: u32,
    /// The call's number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where it is made from.
    pub instruction_pointer: u64,
    /// The arguments.
    pub args: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It fails with this error number, 1 to 4095.
    Fail(u16),
    /// It is made. For learning only: memory that its arguments point to can change meanwhile.
    Continue,
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// Space for a [`Notification`] of this kernel, which may be longer than ours.
#[repr(C, align(8))]
struct Room {
    known: Notification,
    rest: [u64; 22],
}

/// Receives the next call that waits; waits for one if there is none.
///
/// # Errors
/// `ENOENT` if the caller was killed or interrupted meanwhile: there is nothing to answer.
/// `EINTR`.
///
/// Reference: `seccomp_unotify(2)`, `SECCOMP_IOCTL_NOTIF_RECV`.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification> {
    // The kernel wants it to be all zeros.
    let mut room = Room { known: Notification::default(), rest: [0; 22] };
    let place: *mut Room = &raw mut room;
    // SAFETY: the kernel writes its structure, 80 bytes so far, to a local.
    let ret = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, place) };
    check(libc::c_long::from(ret))?;
    Ok(room.known)
}

/// Answers a call.
///
/// # Errors
/// `ENOENT` if its caller is gone: nothing is lost.
///
/// Reference: `seccomp_unotify(2)`, `SECCOMP_IOCTL_NOTIF_SEND`.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> Result<()> {
    const CONTINUE: u32 = 1;
    let (error, flags) = match answer {
        // 0 would be success.
        Answer::Fail(number) => (-i32::from(number.max(1)), 0),
        Answer::Continue => (0, CONTINUE),
    };
    let response = Response { id, value: 0, error, flags };
    let place: *const Response = &raw const response;
    // SAFETY: the kernel reads a local of the size that the request's number holds.
    let ret = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, place) };
    check(libc::c_long::from(ret)).map(drop)
}

/// Whether the caller still waits: what was read of its process in between is about it.
///
/// Reference: `seccomp_unotify(2)`, `SECCOMP_IOCTL_NOTIF_ID_VALID`.
#[must_use]
pub fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    let place: *const u64 = &raw const id;
    // SAFETY: the kernel reads eight bytes of a local.
    let ret =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, place) };
    ret == 0
}

/// Whether a descriptor is a listener: none other knows the question.
#[must_use]
pub fn is_listener(fd: BorrowedFd<'_>) -> bool {
    let id = u64::MAX;
    let place: *const u64 = &raw const id;
    // SAFETY: a listener reads eight bytes of a local; any other descriptor refuses the number.
    let ret = unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, place) };
    ret == 0 || Errno::last() == Errno::ENOENT
}

/// Has caller and supervisor run on the same processor in turn, which makes an answer cheaper.
///
/// # Errors
/// `EINVAL` or `ENOTTY` before Linux 6.6.
///
/// Reference: `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` in linux/seccomp.h.
pub fn wake_in_turn(listener: BorrowedFd<'_>) -> Result<()> {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the argument is a number.
    let ret = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP)
    };
    check(libc::c_long::from(ret)).map(drop)
}

/// Whether what the kernel calls a notification fits: checked once, before a filter that asks.
///
/// # Errors
/// `ENOSYS` if this kernel has none, `E2BIG` if its own are larger than ours can be.
///
/// Reference: seccomp(2), `SECCOMP_GET_NOTIF_SIZES`.
pub fn check_sizes() -> Result<()> {
    const GET_NOTIF_SIZES: libc::c_ulong = 3;
    let mut sizes = [0_u16; 3];
    let place: *mut u16 = sizes.as_mut_ptr();
    // SAFETY: the kernel writes three 16-bit numbers to a local.
    let ret = unsafe { libc::syscall(libc::SYS_seccomp, GET_NOTIF_SIZES, 0, place) };
    check(ret).map_err(|_| Errno::ENOSYS)?;
    let [notification, response, _] = sizes.map(usize::from);
    let fits = notification <= size_of::<Room>() && response <= size_of::<Response>();
    if fits { Ok(()) } else { Err(Errno::E2BIG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Notification>(), 80);
        assert_eq!(size_of::<Response>(), 24);
        check_sizes().unwrap();
    }
}
