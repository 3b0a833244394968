//! Descriptors: opening by descriptor, passing, closing.
#![expect(unsafe_code, reason = "pidfd_getfd(2) and dup3(2) hand out raw descriptors")]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{Errno, Result, check, errno};

/// Opens `path` as a process whose root is `root` would see it.
///
/// Symbolic links are followed inside `root` and cannot lead out of it; links of procfs
/// ("magic links") are refused. Always close-on-exec. Allocates nothing.
///
/// # Errors
/// `ENOENT`, `ELOOP` for a magic link, `EAGAIN` if a rename raced with a `..`.
///
/// Reference: openat2(2), `RESOLVE_IN_ROOT`.
pub fn open_in_root(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    open_resolved(root, path, flags, resolve)
}

/// Opens `path` below `dir`: no symbolic link, no `..` above it, no other mount.
///
/// # Errors
/// `ELOOP` for a link, `EXDEV` for a way out, and what openat2(2) says.
pub fn open_beneath(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    open_resolved(dir, path, flags, resolve)
}

/// Opens `path` relative to `dir` under the given rules; retries the races the kernel reports.
///
/// # Errors
/// What openat2(2) says.
pub fn open_resolved(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd> {
    let mut tries = 0_u8;
    loop {
        let opened =
            rustix::fs::openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
        match opened {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) if tries < 64 => tries += 1,
            other => return other.map_err(errno),
        }
    }
}

/// Has SELinux know an open file by a label, and reads back that it does.
///
/// # Errors
/// `EINVAL` for a label that its policy does not know, `EOPNOTSUPP` where the file system has
/// none, `EBADMSG` if the file has another one then.
///
/// Reference: fsetxattr(2), attr `security.selinux`.
pub fn set_selinux_label(file: BorrowedFd<'_>, label: &CStr) -> Result<()> {
    const NAME: &CStr = c"security.selinux";
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::fsetxattr(file, NAME, label.to_bytes(), flags).map_err(errno)?;
    let mut buffer = [0_u8; 4096];
    let length = rustix::fs::fgetxattr(file, NAME, &mut buffer).map_err(errno)?;
    let found = buffer.get(..length).unwrap_or_default();
    let found = found.strip_suffix(&[0]).unwrap_or(found);
    if found == label.to_bytes() { Ok(()) } else { Err(Errno::EBADMSG) }
}

/// Copies descriptor number `number` out of another process.
///
/// # Errors
/// `EBADF` if it has none of that number, `EPERM` without the right to trace it.
///
/// Reference: `pidfd_getfd(2)`.
pub fn take_from(process: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd> {
    // SAFETY: three integers; the call touches no memory of this process.
    let ret = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    let raw = check(ret).map(|fd| RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Duplicates `fd` onto `number`, close-on-exec, replacing what was there. Allocates nothing.
///
/// # Errors
/// `EBADF` if `number` is above the limit of open files.
pub fn place_at(fd: impl AsFd, number: RawFd) -> Result<()> {
    // SAFETY: two integers and a flag; the call touches no memory of this process. The number
    // is one that the caller reserves for this purpose, so no owned descriptor is replaced.
    let ret =
        unsafe { libc::syscall(libc::SYS_dup3, fd.as_fd().as_raw_fd(), number, libc::O_CLOEXEC) };
    check(ret).map(drop)
}

/// Makes `fd` the process's descriptor `number`, kept across exec. Allocates nothing.
///
/// # Errors
/// `EBADF` if `number` is above the limit of open files.
pub fn install_at(fd: impl AsFd, number: RawFd) -> Result<()> {
    // SAFETY: integers only, as in `place_at`.
    let ret = unsafe { libc::syscall(libc::SYS_dup3, fd.as_fd().as_raw_fd(), number, 0) };
    check(ret).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec. Allocates nothing.
///
/// # Errors
/// `EINVAL` before Linux 5.11.
///
/// Reference: `close_range(2)`, `CLOSE_RANGE_CLOEXEC`.
pub fn cloexec_from(first: u32) -> Result<()> {
    // SAFETY: three integers; descriptors are only marked, none is closed.
    let ret =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    check(ret).map(drop)
}

/// Closes every descriptor from `first` to `last`. Allocates nothing.
///
/// For a process that will drop none of them itself: the new one, which only ever execs or ends.
///
/// # Errors
/// `EINVAL` if `first` is above `last`.
///
/// Reference: `close_range(2)`.
pub fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: three integers. The caller is the new process, whose owners of these numbers are
    // copies that are never dropped.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    check(ret).map(drop)
}

/// Duplicates `fd` onto the lowest free number that is at least `floor`; close-on-exec.
///
/// # Errors
/// `EMFILE` or `EINVAL` above the limit of open files.
pub fn duplicate_above(fd: BorrowedFd<'_>, floor: RawFd) -> Result<OwnedFd> {
    // SAFETY: three integers; the call touches no memory of this process.
    let ret = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, floor) };
    let raw = check(libc::c_long::from(ret)).map(|fd| RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the duplicate was made by this call and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// How many descriptors the caller left open from 3 on, without a gap. Counted at the first
/// call, which must come before this process opens anything of its own.
#[must_use]
pub fn inherited_count() -> u32 {
    static COUNT: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    // SAFETY: an integer and a command; this asks only whether the number is open.
    let is_open = |number: &RawFd| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0;
    *COUNT.get_or_init(|| u32::try_from((3..).take_while(is_open).count()).unwrap_or(u32::MAX))
}

/// Clears close-on-exec on descriptor `number`. Allocates nothing.
///
/// # Errors
/// `EBADF` if there is no such descriptor.
pub fn keep_across_exec(number: RawFd) -> Result<()> {
    // SAFETY: three integers; only a flag of the descriptor changes.
    let ret = unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    check(libc::c_long::from(ret)).map(drop)
}

/// A descriptor that this process inherited under a known number.
///
/// # Errors
/// `EBADF` if nothing is open there.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: one integer and a command; this asks only whether the number is open.
    let ret = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    let raw = check(libc::c_long::from(ret)).map(|fd| RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the duplicate was made by this call and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Borrows the descriptor that this process placed at `number` itself ([`place_at`]).
///
/// A number where nothing is open gives `EBADF` on use, as any stale number would.
#[must_use]
pub fn borrowed<'any>(number: RawFd) -> BorrowedFd<'any> {
    // SAFETY: the caller put the descriptor there and never closes it: the new process holds it
    // until it execs or ends, and no destructor runs in between. It is never -1.
    unsafe { BorrowedFd::borrow_raw(number.max(0)) }
}
