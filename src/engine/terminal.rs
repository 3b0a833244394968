//! The container's terminal: made in its own devpts instance, handed on by descriptor.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Gid, OFlags, Uid};

use super::cause::Cause;
use crate::sys::{Errno, fd, mount, socket, terminal};

/// Makes a terminal, puts its slave on `/dev/console`, sends its master to the engine's
/// `console` socket and its slave to init.
///
/// Neither `/dev/pts/N` nor `/dev/console` is looked up as the image's: both lie on mounts of
/// our own (CVE-2025-52565).
pub(super) fn make(
    root: BorrowedFd<'_>,
    size: Option<(u16, u16)>,
    owner: (u32, u32),
    console: BorrowedFd<'_>,
    init: BorrowedFd<'_>,
) -> Result<(), Cause> {
    let errno = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    let master = fd::open_in_root(root, c"/dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY)?;
    let kind = rustix::fs::fstatfs(&master).map_err(errno)?.f_type;
    if kind != DEVPTS_SUPER_MAGIC {
        let detail = "there is no devpts at /dev/pts".to_owned();
        return Err(Cause::with_detail(Errno::ENODEV, detail));
    }
    let slave = terminal::open_slave(master.as_fd())?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))
        .map_err(errno)?;
    if let Some((rows, columns)) = size {
        terminal::set_size(master.as_fd(), rows, columns)?;
    }
    let place = fd::open_in_root(root, c"/dev/console", OFlags::PATH | OFlags::NOFOLLOW)?;
    let copy = mount::copy_tree(slave.as_fd(), c"", false)?;
    mount::attach(copy.as_fd(), place.as_fd())?;
    socket::send_fd(console, b"/dev/ptmx", master.as_fd())?;
    socket::send_fd(init, b"t", slave.as_fd())?;
    Ok(())
}

/// `DEVPTS_SUPER_MAGIC` of <linux/magic.h>.
const DEVPTS_SUPER_MAGIC: rustix::fs::FsWord = 0x1cd1;
