//! Steps of the supervisor around the root file system: opened once, completed through the
//! engine's own mount, copied or put together again with translated ids.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::engine::cause::Cause;
use crate::plan::mount::MountAttributes;
use crate::plan::text::HostPath;
use crate::sys::flags::mount_attr;
use crate::sys::mount::{Attributes, NewFilesystem};
use crate::sys::{Errno, errno, fd, mount};

/// Opens the root file system; its last component must be a directory, not a link to one.
pub(in crate::engine) fn open(path: &HostPath) -> Result<OwnedFd, Cause> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path.as_c_str(), flags, Mode::empty()).map_err(|error| errno(error).into())
}

/// Opens what will be bound. The path was followed when it was judged: a link that stands there
/// now is somebody's race.
pub(in crate::engine) fn open_source(path: &HostPath) -> Result<OwnedFd, Cause> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(fd::open_resolved(rustix::fs::CWD, path.as_c_str(), OFlags::PATH, resolve)?)
}

fn clear_bits(attributes: MountAttributes) -> u64 {
    attributes.clear | attributes.recursive_clear
}

/// What `mount_setattr(2)` is told for one of our mounts.
pub(in crate::engine) fn change<'fd>(
    attributes: MountAttributes,
    mapping: Option<BorrowedFd<'fd>>,
) -> Attributes<'fd> {
    let mapping = if attributes.mapped { mapping } else { None };
    let idmap = if mapping.is_some() { mount_attr::IDMAP } else { 0 };
    Attributes {
        set: attributes.set | attributes.recursive_set | idmap,
        clear: clear_bits(attributes),
        propagation: attributes.propagation,
        mapping,
    }
}

/// Copies the root file system's mount, with the mounts below it if all of them are given to
/// the container's ids; what is mounted there by others stays theirs.
pub(in crate::engine) fn copy(
    root: BorrowedFd<'_>,
    attributes: MountAttributes,
    mapping: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Cause> {
    let deep = attributes.mapped || mapping.is_none();
    let tree = mount::copy_tree(root, c"", deep)?;
    mount::set_attributes(tree.as_fd(), deep, &change(attributes, mapping))?;
    Ok(tree)
}

/// The error, with the kernel's own sentence about it.
pub(in crate::engine) fn said(filesystem: &NewFilesystem, error: Errno) -> Cause {
    match filesystem.complaint() {
        Some(complaint) => Cause::with_detail(error, complaint),
        None => error.into(),
    }
}
