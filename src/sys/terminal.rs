//! Pseudo-terminals of the container's own devpts instance, by descriptor only.
#![expect(unsafe_code, reason = "terminal ioctls hand out raw descriptors")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Result, check};

/// Unlocks the slave of `master` and opens it, without its name ever being looked up.
///
/// # Errors
/// `EIO` if the instance it belongs to is gone.
///
/// Reference: `TIOCGPTPEER` in ioctl_tty(2).
pub fn open_slave(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let unlock: libc::c_int = 0;
    // SAFETY: the argument is a local integer that the kernel only reads.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) };
    check(libc::c_long::from(ret))?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the argument is an integer.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    let raw = check(libc::c_long::from(ret)).map(|fd| RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sets the size of the terminal, in characters.
///
/// # Errors
/// `ENOTTY` if it is not one.
pub fn set_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the argument is a local struct that the kernel only reads.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    check(libc::c_long::from(ret)).map(drop)
}

/// Makes `terminal` the controlling terminal of this session. Allocates nothing.
///
/// # Errors
/// `EPERM` if this process leads no session or has a terminal already.
pub fn make_controlling(terminal: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the argument is an integer: do not steal it from another session.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    check(libc::c_long::from(ret)).map(drop)
}
