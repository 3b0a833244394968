//! Steps of the supervisor inside the container's mount namespace. Every place is found by a
//! descriptor of the new root: no path of the image is ever walked from the host's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags, ResolveFlags};

use crate::engine::cause::Cause;
use crate::engine::steps::dev;
use crate::plan::action::Place;
use crate::plan::text::RootedPath;
use crate::sys::flags::mount_attr;
use crate::sys::mount::{self, Attributes, NewFilesystem};
use crate::sys::{Errno, fd};

/// Attaches `tree` at a place inside `root`; does nothing if the place is optional and missing.
/// What must be made for it belongs to the host ids in `owner`.
pub(in crate::engine) fn attach(
    root: BorrowedFd<'_>,
    tree: BorrowedFd<'_>,
    at: &RootedPath,
    place: Place,
    owner: (u32, u32),
) -> Result<(), Cause> {
    let target = match place {
        Place::Made | Place::MadeAsSource => {
            let file = place == Place::MadeAsSource && !is_directory(tree)?;
            super::rootfs::make_mount_point(root, at, file, Some(owner))?;
            fd::open_in_root(root, at.as_c_str(), OFlags::PATH)?
        }
        Place::Real => open_real(root, at)?,
        Place::Existing => fd::open_in_root(root, at.as_c_str(), OFlags::PATH)?,
        Place::Optional => match fd::open_in_root(root, at.as_c_str(), OFlags::PATH) {
            Ok(target) => target,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(mount::attach(tree, target.as_fd())?)
}

fn is_directory(tree: BorrowedFd<'_>) -> Result<bool, Cause> {
    let stat = rustix::fs::fstat(tree).map_err(|e| Errno::from_raw(e.raw_os_error()))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn open_real(root: BorrowedFd<'_>, at: &RootedPath) -> Result<OwnedFd, Cause> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    fd::open_resolved(root, at.as_c_str(), flags, resolve).map_err(|error| {
        let what = if error == Errno::ELOOP {
            "the image has a symbolic link where a kernel file system belongs"
        } else if error == Errno::ENOTDIR {
            "the image has something there that is not a directory"
        } else {
            return error.into();
        };
        Cause::with_detail(error, what.to_owned())
    })
}

/// What masks are made of: runtime-made, never the image's.
#[derive(Debug, Default)]
pub(in crate::engine) struct Masks {
    empty: Option<OwnedFd>,
    null: Option<OwnedFd>,
}

impl Masks {
    /// Covers what is at `at`, if anything is: a directory with an empty one, anything else
    /// with a null device.
    pub(in crate::engine) fn cover(
        &mut self,
        root: BorrowedFd<'_>,
        dev: Option<BorrowedFd<'_>>,
        at: &RootedPath,
    ) -> Result<(), Cause> {
        let target = match fd::open_in_root(root, at.as_c_str(), OFlags::PATH) {
            Ok(target) => target,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let cover = if is_directory(target.as_fd())? {
            mount::copy_tree(self.empty()?, c"", false)?
        } else {
            self.null(dev)?
        };
        mount::attach(cover.as_fd(), target.as_fd())?;
        Ok(())
    }

    /// One empty, read-only directory that all masked directories share.
    fn empty(&mut self) -> Result<BorrowedFd<'_>, Cause> {
        if self.empty.is_none() {
            let filesystem = NewFilesystem::open(c"tmpfs")?;
            filesystem.set(c"source", c"mask")?;
            filesystem.set(c"mode", c"0555")?;
            filesystem.set(c"nr_inodes", c"1")?;
            let flags =
                mount_attr::RDONLY | mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC;
            self.empty = Some(filesystem.mount(flags)?);
        }
        self.empty.as_ref().map(AsFd::as_fd).ok_or_else(|| Errno::EBADF.into())
    }

    /// A copy of our own null device's mount: character device 1:3, on a tmpfs we made.
    fn null(&mut self, dev: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Cause> {
        if dev.is_none() && self.null.is_none() {
            self.null = Some(dev::null_only()?);
        }
        let holder = dev.or(self.null.as_ref().map(AsFd::as_fd)).ok_or(Errno::EBADF)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let null = fd::open_beneath(holder, c"null", flags)?;
        let stat = rustix::fs::fstat(&null).map_err(|e| Errno::from_raw(e.raw_os_error()))?;
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || device != (1, 3) {
            return Err(Cause::with_detail(Errno::EINVAL, "null is not device 1:3".to_owned()));
        }
        Ok(mount::copy_tree(null.as_fd(), c"", false)?)
    }
}

/// Puts a read-only copy of what is at `at`, with all mounts below it, over itself.
pub(in crate::engine) fn make_readonly(root: BorrowedFd<'_>, at: &RootedPath) -> Result<(), Cause> {
    let target = match fd::open_in_root(root, at.as_c_str(), OFlags::PATH) {
        Ok(target) => target,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let copy = mount::copy_tree(target.as_fd(), c"", true)?;
    let readonly = Attributes { set: mount_attr::RDONLY, ..Attributes::default() };
    mount::set_attributes(copy.as_fd(), true, &readonly)?;
    mount::attach(copy.as_fd(), target.as_fd())?;
    Ok(())
}
