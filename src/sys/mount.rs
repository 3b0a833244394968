//! Mounts by descriptor: the calls of Linux 5.2 and later. No path of a mount is ever a string
//! that an image could redirect.
#![expect(unsafe_code, reason = "mount_setattr(2) and pivot_root(2) have no wrapper that fits")]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::flags::mount_attr::{self, MS_REC};
use super::{Result, check, errno};

/// A change to a mount, or to a whole tree of them.
///
/// Reference: `mount_setattr(2)`, `struct mount_attr`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'fd> {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// `MS_PRIVATE` and the like, or 0 for no change.
    pub propagation: u64,
    /// The user namespace whose mapping translates ids; goes with `MOUNT_ATTR_IDMAP`.
    pub mapping: Option<BorrowedFd<'fd>>,
}

/// Makes a detached copy of the mount (or tree of mounts) at `path` below `dir`.
///
/// An empty `path` means `dir` itself. Allocates nothing.
///
/// # Errors
/// `EINVAL` for a copy that would uncover what a submount hides.
///
/// Reference: `open_tree(2)`, `OPEN_TREE_CLONE`.
pub fn copy_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(dir, path, flags).map_err(errno)
}

/// Makes the mount that `mount` is on read-only; with `recursive`, all mounts below it too.
///
/// # Errors
/// As [`set_attributes`].
pub fn make_read_only(mount: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    let change = Attributes { set: mount_attr::RDONLY, ..Attributes::default() };
    set_attributes(mount, recursive, &change)
}

/// Changes the mount that `mount` is on; with `recursive`, all mounts below it too, or none.
///
/// # Errors
/// `EINVAL` where the file system cannot be id-mapped, `EPERM` for a locked flag.
///
/// Reference: `mount_setattr(2)`.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    change: &Attributes<'_>,
) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: change.mapping.map_or(0, |fd| u64::try_from(fd.as_raw_fd()).unwrap_or(0)),
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a static NUL-terminated string and `attr` lives until the call
    // returns; the kernel only reads both, `size` bytes of the latter.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(ret).map(drop)
}

/// Changes how `mount` passes mounts on: `MS_PRIVATE` and the like, with `MS_REC` for all mounts
/// below it. Nothing for 0. Allocates nothing.
///
/// # Errors
/// `EINVAL` for what is no propagation.
pub fn propagate(mount: BorrowedFd<'_>, propagation: u64) -> Result<()> {
    if propagation == 0 {
        return Ok(());
    }
    let is_recursive = propagation & MS_REC != 0;
    let change = Attributes { propagation: propagation & !MS_REC, ..Attributes::default() };
    set_attributes(mount, is_recursive, &change)
}

/// Attaches the detached `mount` on top of `target`. Allocates nothing.
///
/// # Errors
/// `ENOTDIR` when one is a directory and the other is not.
///
/// Reference: `move_mount(2)`.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", target, c"", flags).map_err(errno)
}

/// A file system that is being configured.
///
/// Reference: `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`.
#[derive(Debug)]
pub struct NewFilesystem(OwnedFd);

impl NewFilesystem {
    /// Begins a file system of this type. Allocates nothing.
    ///
    /// # Errors
    /// `ENODEV` if the kernel does not have the type.
    pub fn open(kind: &CStr) -> Result<Self> {
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map(Self).map_err(errno)
    }

    /// Sets an option that takes a value. Allocates nothing.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option or a bad value; [`Self::complaint`] may say more.
    pub fn set(&self, key: &CStr, value: &CStr) -> Result<()> {
        rustix::mount::fsconfig_set_string(self.0.as_fd(), key, value).map_err(errno)
    }

    /// Sets an option that is a word.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_flag(&self, key: &CStr) -> Result<()> {
        rustix::mount::fsconfig_set_flag(self.0.as_fd(), key).map_err(errno)
    }

    /// Sets an option that is a descriptor.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_fd(&self, key: &CStr, value: BorrowedFd<'_>) -> Result<()> {
        rustix::mount::fsconfig_set_fd(self.0.as_fd(), key, value).map_err(errno)
    }

    /// Begins a change to the file system that `mount` is a mount of.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN` over it.
    ///
    /// Reference: `fspick(2)`.
    pub fn of(mount: BorrowedFd<'_>) -> Result<Self> {
        let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
        rustix::mount::fspick(mount, c"", flags).map(Self).map_err(errno)
    }

    /// Carries out the change that [`Self::of`] began.
    ///
    /// # Errors
    /// What the file system says; [`Self::complaint`] may say more.
    pub fn reconfigure(&self) -> Result<()> {
        rustix::mount::fsconfig_reconfigure(self.0.as_fd()).map_err(errno)
    }

    /// Creates the superblock and gives it as a detached mount with these `MOUNT_ATTR_*` bits.
    /// Allocates nothing.
    ///
    /// # Errors
    /// What the file system says: `EINVAL`, `EPERM`, `ENODEV`.
    pub fn mount(&self, attributes: u64) -> Result<OwnedFd> {
        rustix::mount::fsconfig_create(self.0.as_fd()).map_err(errno)?;
        let bits = u32::try_from(attributes).map_err(|_| super::Errno::EINVAL)?;
        rustix::mount::fsmount(
            self.0.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::from_bits_retain(bits),
        )
        .map_err(errno)
    }

    /// The kernel's last sentence about this file system, if it left one.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let mut buffer = [0_u8; 512];
        let read = rustix::io::read(&self.0, &mut buffer).ok()?;
        let text = String::from_utf8_lossy(buffer.get(..read)?).trim_end().to_owned();
        Some(text.get(2..).unwrap_or(&text).to_owned())
    }
}

/// Makes the current directory the root mount and stacks the old root on it.
///
/// The old root stays reachable as `.` until [`detach_here`] is called.
///
/// # Errors
/// `EINVAL` if the directory is not a mount point or its parent is shared;
/// `EPERM` without `CAP_SYS_ADMIN` in the user namespace that owns the mounts.
///
/// Reference: pivot_root(2), section NOTES.
pub fn pivot_root_here() -> Result<()> {
    const DOT: &CStr = c".";
    // SAFETY: both pointers are to one static NUL-terminated string that the
    // kernel only reads; the call touches no other memory of this process.
    let ret = unsafe { libc::syscall(libc::SYS_pivot_root, DOT.as_ptr(), DOT.as_ptr()) };
    check(ret).map(drop)
}

/// Detaches the mount stacked on the current directory, and all below it.
///
/// # Errors
/// `EINVAL` if the directory is not a mount point.
///
/// Reference: umount2(2), `MNT_DETACH`.
pub fn detach_here() -> Result<()> {
    rustix::mount::unmount(c".", UnmountFlags::DETACH).map_err(errno)
}

/// Makes every mount of this namespace private: nothing propagates in or out.
/// Allocates nothing.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` over the mount namespace.
pub fn make_all_private() -> Result<()> {
    rustix::mount::mount_change(
        c"/",
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
    )
    .map_err(errno)
}
