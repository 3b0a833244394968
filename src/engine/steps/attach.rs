//! Steps of the supervisor inside the container's mount namespace. Every place is found by a
//! descriptor of the new root: no path of the image is ever walked from the host's.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::mount_point::{self, Made};
use crate::engine::cause::Cause;
use crate::plan::action::Place;
use crate::plan::mount::FsOption;
use crate::plan::text::RootedPath;
use crate::sys::flags::mount_attr;
use crate::sys::mount::{self, NewFilesystem};
use crate::sys::{Errno, errno, fd};

/// Attaches `tree` at a place inside `root`; does nothing if the place is optional and missing.
/// What must be made for it belongs to the host ids in `owner`, and is added to `made`.
pub(in crate::engine) fn attach(
    root: BorrowedFd<'_>,
    tree: BorrowedFd<'_>,
    at: &RootedPath,
    place: Place,
    owner: (u32, u32),
    made: &mut Vec<Made>,
) -> Result<(), Cause> {
    let target = match place {
        Place::Made | Place::MadeAsSource => {
            let file = place == Place::MadeAsSource && !is_directory(tree)?;
            mount_point::make(root, at, file, Some(owner), made)?;
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
    refuse_detour(root, target.as_fd(), at)?;
    Ok(mount::attach(tree, target.as_fd())?)
}

/// Refuses a place that a link of the image has moved into `/proc`, `/sys` or `/dev`: nothing is
/// mounted there that does not say so.
fn refuse_detour(
    root: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    at: &RootedPath,
) -> Result<(), Cause> {
    if ["/proc", "/sys", "/dev"].into_iter().any(|kernel| at.is_within(kernel)) {
        return Ok(());
    }

    let device = |of: BorrowedFd<'_>| rustix::fs::fstat(of).map(|stat| stat.st_dev).map_err(errno);
    let (own, here) = (device(root)?, device(target)?);
    for kernel in [c"/proc", c"/sys", c"/sys/fs/cgroup", c"/dev"] {
        let Ok(place) = fd::open_in_root(root, kernel, OFlags::PATH) else { continue };
        let there = device(place.as_fd())?;
        if there == here && there != own {
            let what = "a link of the image leads there into a kernel file system".to_owned();
            return Err(Cause::with_detail(Errno::ELOOP, what));
        }
    }
    Ok(())
}

fn is_directory(tree: BorrowedFd<'_>) -> Result<bool, Cause> {
    let stat = rustix::fs::fstat(tree).map_err(errno)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn open_real(root: BorrowedFd<'_>, at: &RootedPath) -> Result<OwnedFd, Cause> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    fd::open_resolved(root, at.as_c_str(), flags, resolve).map_err(|error| {
        let what = if error == Errno::ELOOP {
            "the image has a symbolic link there; it must be mounted on ordinary directory"
        } else if error == Errno::ENOTDIR {
            "the image has something there that is not a directory"
        } else {
            return error.into();
        };
        Cause::with_detail(error, what.to_owned())
    })
}

/// What masks are made of: runtime-made, never the image's. The first of each kind is kept, and
/// every later one is a copy of it.
///
/// Of what is not attached, a kernel before 6.15 makes no copies. So what is kept is attached.
#[derive(Debug, Default)]
pub(in crate::engine) struct Masks {
    directory: Option<OwnedFd>,
    file: Option<OwnedFd>,
}

impl Masks {
    /// Covers what is at `at`, if anything is: a directory with an empty one, anything else
    /// with an empty file.
    pub(in crate::engine) fn cover(
        &mut self,
        root: BorrowedFd<'_>,
        at: &RootedPath,
        label: Option<&FsOption>,
    ) -> Result<(), Cause> {
        let target = match fd::open_in_root(root, at.as_c_str(), OFlags::PATH) {
            Ok(target) => target,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let directory = is_directory(target.as_fd())?;
        let first = if directory { &mut self.directory } else { &mut self.file };
        let cover = match first {
            Some(first) => mount::copy_tree(first.as_fd(), c"", false)?,
            None if directory => mask(c"2", label)?.mount(MASK | mount_attr::RDONLY)?,
            None => empty_file(root, label)?,
        };
        mount::attach(cover.as_fd(), target.as_fd())?;
        first.get_or_insert(cover);
        Ok(())
    }
}

/// Flags of every mask.
const MASK: u64 = mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC;

/// A tmpfs that is to hold half as many files, its root among them: where SELinux is in force, the
/// label of each takes from the room for inodes, since Linux 6.6.
fn mask(inodes: &CStr, label: Option<&FsOption>) -> Result<NewFilesystem, Cause> {
    let filesystem = NewFilesystem::open(c"tmpfs")?;
    filesystem.set(c"source", c"mask")?;
    filesystem.set(c"mode", c"0555")?;
    filesystem.set(c"nr_inodes", inodes)?;
    if let Some((key, Some(label))) = label {
        filesystem.set(key.as_c_str(), label.as_c_str())?;
    }
    Ok(filesystem)
}

/// A mount that is one empty file.
fn empty_file(root: BorrowedFd<'_>, label: Option<&FsOption>) -> Result<OwnedFd, Cause> {
    let tree = mask(c"4", label)?.mount(MASK)?;

    let make = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::openat(&tree, c"f", make, Mode::from_raw_mode(0o444)).map_err(errno)?;
    mount::make_read_only(tree.as_fd(), false)?;
    match mount::copy_tree(tree.as_fd(), c"f", false) {
        // Before Linux 6.15: for the moment of the copy it lies on top of the root.
        Err(Errno::EINVAL) => {
            mount::attach(tree.as_fd(), root)?;
            let file = mount::copy_tree(tree.as_fd(), c"f", false);
            rustix::process::fchdir(&tree).map_err(errno)?;
            mount::detach_here()?;
            Ok(file?)
        }
        other => Ok(other?),
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
    mount::make_read_only(copy.as_fd(), true)?;
    mount::attach(copy.as_fd(), target.as_fd())?;
    Ok(())
}
