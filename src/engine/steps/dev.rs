//! `/dev`: a tmpfs of our own, whatever the image has there.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use super::mount::tmpfs;
use super::mount_point::{self, Made};
use crate::engine::cause::{Cause, Ids};
use crate::plan::mount::{DevTree, DeviceNode, MountAttributes};
use crate::plan::text::{HostPath, RootedPath};
use crate::sys::flags::mount_attr;
use crate::sys::{Errno, errno, fd, mount};

/// Builds the tree, and only then makes it read-only if it shall be: afterwards a detached
/// mount cannot be changed.
pub(in crate::engine) fn build(
    tree: &DevTree,
    attributes: MountAttributes,
    ids: &Ids<'_>,
) -> Result<OwnedFd, Cause> {
    let writable = MountAttributes { set: attributes.set & !mount_attr::RDONLY, ..attributes };
    let owner = (ids.user(0)?, ids.group(0)?);
    let dev = tmpfs(&tree.source, &tree.options, owner, writable)?;
    let at = dev.as_fd();
    for directory in &tree.directories {
        make_directories(at, directory.as_str(), owner)?;
    }
    for node in &tree.nodes {
        make_node(at, node, ids)?;
    }
    for file in &tree.files {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = rustix::fs::openat(at, file.as_c_str(), flags, Mode::from_raw_mode(0o644));
        tolerate_existing(made.map(drop))?;
    }
    for (name, source) in &tree.as_sources {
        make_as_source(at, name.as_str(), source, owner)?;
    }
    for (name, target) in &tree.links {
        tolerate_existing(rustix::fs::symlinkat(target.as_c_str(), at, name.as_c_str()))?;
    }
    if attributes.set & mount_attr::RDONLY != 0 {
        mount::make_read_only(at, false)?;
    }
    Ok(dev)
}

/// Makes a mount point that is a directory if the source is one, and a file otherwise.
fn make_as_source(
    at: BorrowedFd<'_>,
    name: &str,
    source: &HostPath,
    owner: (u32, u32),
) -> Result<(), Cause> {
    let stat = rustix::fs::stat(source.as_c_str()).map_err(errno)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return make_directories(at, name, owner);
    }
    if let Some((parent, _)) = name.rsplit_once('/') {
        make_directories(at, parent, owner)?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    tolerate_existing(rustix::fs::openat(at, &name, flags, Mode::from_raw_mode(0o644)).map(drop))
}

fn tolerate_existing(made: rustix::io::Result<()>) -> Result<(), Cause> {
    match made {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(errno(error).into()),
    }
}

/// Makes a directory and those above it.
fn make_directories(at: BorrowedFd<'_>, path: &str, owner: (u32, u32)) -> Result<(), Cause> {
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        let Some(prefix) = path.get(..end).filter(|prefix| !prefix.is_empty()) else { continue };
        let name = CString::new(prefix).map_err(|_| Errno::EINVAL)?;
        match rustix::fs::mkdirat(at, &name, Mode::from_raw_mode(0o755)) {
            Ok(()) => give(at, &name, owner)?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(errno(error).into()),
        }
    }
    Ok(())
}

/// Makes a node whose name is a path inside `root`, which belongs to these ids. One that is there
/// already is as good; anything else in its place is not.
pub(in crate::engine) fn make_anywhere(
    root: BorrowedFd<'_>,
    node: &DeviceNode,
    owner: (u32, u32),
    made: &mut Vec<Made>,
) -> Result<(), Cause> {
    let path = RootedPath::new(node.name.as_str()).map_err(|_| Errno::EINVAL)?;
    let (above, name) = path.as_str().rsplit_once('/').ok_or(Errno::EINVAL)?;
    let above = RootedPath::new(above).map_err(|_| Errno::EINVAL)?;
    mount_point::make(root, &above, false, None, made)?;
    let parent = fd::open_in_root(root, above.as_c_str(), OFlags::PATH | OFlags::DIRECTORY)?;
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let device = rustix::fs::makedev(node.major, node.minor);
    let kind = FileType::from_raw_mode(node.mode);
    let permissions = Mode::from_raw_mode(node.mode & 0o7777);
    match rustix::fs::mknodat(&parent, &name, kind, permissions, device) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => {
            let there = rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW);
            let there = there.map_err(errno)?;
            let is_it = FileType::from_raw_mode(there.st_mode) == kind
                && (kind == FileType::Fifo || there.st_rdev == device);
            return if is_it {
                Ok(())
            } else {
                let what = "another file is there already".to_owned();
                Err(Cause::with_detail(Errno::EEXIST, what))
            };
        }
        Err(error) => return Err(errno(error).into()),
    }
    let given = rustix::fs::chmodat(&parent, &name, permissions, AtFlags::empty())
        .map_err(|error| errno(error).into())
        .and_then(|()| give(parent.as_fd(), &name, owner));
    made.push(Made::file(parent, name));
    given
}

fn make_node(at: BorrowedFd<'_>, node: &DeviceNode, ids: &Ids<'_>) -> Result<(), Cause> {
    let owner = (ids.user(node.owner.0)?, ids.group(node.owner.1)?);
    if let Some((parent, _)) = node.name.as_str().rsplit_once('/') {
        make_directories(at, parent, (ids.user(0)?, ids.group(0)?))?;
    }
    let device = rustix::fs::makedev(node.major, node.minor);
    let permissions = Mode::from_raw_mode(node.mode & 0o7777);
    let name = node.name.as_c_str();
    let named = |error| Cause::with_detail(errno(error), format!("/dev/{}", node.name));
    rustix::fs::mknodat(at, name, FileType::from_raw_mode(node.mode), permissions, device)
        .map_err(named)?;
    // The caller's umask must not decide what a device may be used for.
    rustix::fs::chmodat(at, name, permissions, AtFlags::empty()).map_err(named)?;
    give(at, name, owner)
}

fn give(at: BorrowedFd<'_>, name: &CStr, owner: (u32, u32)) -> Result<(), Cause> {
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    rustix::fs::chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| errno(error).into())
}
