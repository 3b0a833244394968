//! Namespaces: leaving, entering, asking who owns one.
#![expect(unsafe_code, reason = "setns(2) and the nsfs ioctls work on raw descriptors")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Result, check};

/// Gives this process new namespaces of the kinds in `kinds` (`CLONE_NEW*`). Allocates nothing.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` above a limit of `/proc/sys/user`.
///
/// Reference: unshare(2).
pub fn leave(kinds: i32) -> Result<()> {
    // SAFETY: one integer; this process has one thread, so nobody shares what is replaced.
    let ret = unsafe { libc::unshare(kinds) };
    check(libc::c_long::from(ret)).map(drop)
}

/// Enters the namespaces of `kinds` that `target` (a namespace or a pidfd) stands for.
/// Allocates nothing.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` over the target, `EINVAL` if it is of another kind.
///
/// Reference: setns(2).
pub fn enter(target: BorrowedFd<'_>, kinds: i32) -> Result<()> {
    // SAFETY: two integers; this process has one thread.
    let ret = unsafe { libc::setns(target.as_raw_fd(), kinds) };
    check(libc::c_long::from(ret)).map(drop)
}

/// Enters `home` again, which this process once left. Where no way leads back, it stays: `home`
/// belongs to a user namespace above this process's own, and so does not matter to root of that.
///
/// # Errors
/// As for [`enter`].
pub fn come_back(home: BorrowedFd<'_>, kinds: i32) -> Result<()> {
    match enter(home, kinds) {
        Err(super::Errno::EPERM) if matches!(owner(home), Err(super::Errno::EPERM)) => Ok(()),
        other => other,
    }
}

/// `NS_GET_USERNS` and `NS_GET_NSTYPE` of ioctl_ns(2): `_IO(0xb7, 1)` and `_IO(0xb7, 3)`.
const NS_GET_USERNS: libc::c_ulong = 0xb701;
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

/// The user namespace that owns `namespace`.
///
/// # Errors
/// `EPERM` when the owner is out of reach: not this process's, nor below it.
pub fn owner(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: the request takes no argument; no memory of this process is touched.
    let ret = unsafe { libc::syscall(libc::SYS_ioctl, namespace.as_raw_fd(), NS_GET_USERNS) };
    let raw = check(ret).map(|fd| RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// The kind of `namespace`, one of `CLONE_NEW*`.
///
/// # Errors
/// `ENOTTY` if the descriptor is not a namespace.
pub fn kind(namespace: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: the request takes no argument; no memory of this process is touched.
    let ret = unsafe { libc::syscall(libc::SYS_ioctl, namespace.as_raw_fd(), NS_GET_NSTYPE) };
    check(ret).map(|kind| i32::try_from(kind).unwrap_or(0))
}
