//! Memory over a root that is read-only: what hooks make there is gone with the container, and the
//! image never sees it. The program finds it read-only again.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::overlay::uncover;
use super::rootfs::said;
use crate::engine::cause::Cause;
use crate::sys::flags::mount_attr;
use crate::sys::mount::{self, NewFilesystem};
use crate::sys::{Errno, errno};

/// A root, and the memory that is put over it.
#[derive(Debug)]
pub(in crate::engine) struct Cover<'fd> {
    root: BorrowedFd<'fd>,
    memory: OwnedFd,
}

impl<'fd> Cover<'fd> {
    /// Makes memory ready for `root`, a tree that is attached nowhere.
    pub(in crate::engine) fn new(root: BorrowedFd<'fd>) -> Result<Self, Cause> {
        let memory = NewFilesystem::open(c"tmpfs")?;
        memory.set(c"source", c"hooks")?;
        memory.set(c"mode", c"0700")?;
        let memory = memory.mount(mount_attr::NOSUID | mount_attr::NODEV)?;
        for name in [c"upper", c"work"] {
            rustix::fs::mkdirat(&memory, name, Mode::from_raw_mode(0o755)).map_err(errno)?;
        }
        // The root directory is the upper one's own: it gets what the image's has.
        let stat = rustix::fs::fstat(root).map_err(errno)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = rustix::fs::openat(&memory, c"upper", flags, Mode::empty()).map_err(errno)?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(&upper, Some(uid), Some(gid)).map_err(errno)?;
        rustix::fs::fchmod(&upper, Mode::from_raw_mode(stat.st_mode & 0o1777)).map_err(errno)?;
        Ok(Self { root, memory })
    }

    /// Puts the two together where they are, attached nowhere: from Linux 6.15 on.
    pub(in crate::engine) fn assemble(&self) -> Result<OwnedFd, Cause> {
        let path = |of: BorrowedFd<'_>, below: &str| {
            CString::new(format!("/proc/self/fd/{}{below}", of.as_raw_fd()))
                .map_err(|_| Errno::EINVAL)
        };
        let overlay = NewFilesystem::open(c"overlay")?;
        let set = |key: &CStr, value: &CStr| {
            overlay.set(key, value).map_err(|error| said(&overlay, error))
        };
        set(c"source", c"overlay")?;
        set(c"lowerdir", &path(self.root, "")?)?;
        set(c"upperdir", &path(self.memory.as_fd(), "/upper")?)?;
        set(c"workdir", &path(self.memory.as_fd(), "/work")?)?;
        set(c"index", c"off")?;
        set(c"xino", c"off")?;
        overlay.mount(mount_attr::NOSUID | mount_attr::NODEV).map_err(|error| said(&overlay, error))
    }

    /// The same for older kernels, which take only what is attached: for that moment both lie on
    /// `top`, the root of this process's mount namespace, which nobody else looks at.
    pub(in crate::engine) fn assemble_attached(
        &self,
        top: BorrowedFd<'_>,
    ) -> Result<OwnedFd, Cause> {
        mount::attach(self.root, top)?;
        let attached = mount::attach(self.memory.as_fd(), top);
        let tree = match attached {
            Ok(()) => self.assemble(),
            Err(error) => Err(error.into()),
        };
        uncover(top, if attached.is_ok() { 2 } else { 1 })?;
        tree
    }
}
