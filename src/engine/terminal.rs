//! The container's terminal: made in its own devpts instance, handed on by descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, OFlags, Uid};

use super::cause::Cause;
use crate::sys::{Errno, errno, fd, mount, socket, terminal};

/// A terminal's two ends.
#[derive(Debug)]
pub(super) struct Terminal {
    /// What the engine reads and writes.
    master: OwnedFd,
    /// What the program has as standard input, output and error.
    slave: OwnedFd,
}

impl Terminal {
    /// Makes one in the container whose root is `root`.
    ///
    /// `/dev/pts` is not looked up as the image's: it lies on a mount of our own
    /// (CVE-2025-52565).
    pub(super) fn open(
        root: BorrowedFd<'_>,
        size: Option<(u16, u16)>,
        owner: (u32, u32),
    ) -> Result<Self, Cause> {
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
        Ok(Self { master, slave })
    }

    /// Puts its slave on `/dev/console`, which is no more the image's than `/dev/pts` is.
    pub(super) fn make_console(&self, root: BorrowedFd<'_>) -> Result<(), Cause> {
        let place = fd::open_in_root(root, c"/dev/console", OFlags::PATH | OFlags::NOFOLLOW)?;
        let copy = mount::copy_tree(self.slave.as_fd(), c"", false)?;
        Ok(mount::attach(copy.as_fd(), place.as_fd())?)
    }

    /// Sends its master to the engine's `console` socket, and its slave to the new process.
    pub(super) fn hand_over(
        self,
        console: BorrowedFd<'_>,
        process: BorrowedFd<'_>,
    ) -> Result<(), Cause> {
        socket::send_fd(console, b"/dev/ptmx", self.master.as_fd())?;
        socket::send_fd(process, b"t", self.slave.as_fd())?;
        Ok(())
    }
}

/// `DEVPTS_SUPER_MAGIC` of <linux/magic.h>.
const DEVPTS_SUPER_MAGIC: rustix::fs::FsWord = 0x1cd1;
