//! Steps of the supervisor around the root file system: opened once, completed through the
//! engine's own mount, copied or put together again with translated ids.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::engine::cause::Cause;
use crate::plan::action::Overlay;
use crate::plan::mount::MountAttributes;
use crate::plan::text::HostPath;
use crate::sys::flags::mount_attr;
use crate::sys::mount::{Attributes, NewFilesystem};
use crate::sys::{Errno, fd, mount};

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

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

/// Puts an overlay together from copies of its layers whose ids are translated.
///
/// The copies must stay open until the superblock exists. Nothing of the engine's overlay is
/// used but its layers, and all of them as lower ones: what it writes later stays its own.
pub(in crate::engine) fn assemble(
    overlay: &Overlay,
    attributes: MountAttributes,
    mapping: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Cause> {
    let layer = MountAttributes { set: mount_attr::RDONLY, mapped: true, ..attributes };
    let open = |path: &HostPath| copy_layer(path, layer, mapping);
    let mut layers = overlay.layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let data = overlay.data_layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // The kernel wants two lower layers; a single one is its own overlay.
    let only = if data.is_empty() && layers.len() == 1 { layers.pop() } else { None };
    let tree = match only {
        Some(only) => {
            mount::set_attributes(only.as_fd(), false, &change(attributes, None))?;
            only
        }
        None => stack(overlay, &layers, &data, attributes)?,
    };
    if overlay.subdirectory.as_str() == "/" {
        return Ok(tree);
    }
    let below = fd::open_in_root(tree.as_fd(), overlay.subdirectory.as_c_str(), OFlags::PATH)?;
    Ok(mount::copy_tree(below.as_fd(), c"", false)?)
}

fn copy_layer(
    path: &HostPath,
    attributes: MountAttributes,
    mapping: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Cause> {
    let named = |error: Errno| Cause::with_detail(error, format!("layer {path}"));
    let tree = mount::copy_tree(rustix::fs::CWD, path.as_c_str(), false).map_err(named)?;
    mount::set_attributes(tree.as_fd(), false, &change(attributes, mapping)).map_err(named)?;
    Ok(tree)
}

fn stack(
    overlay: &Overlay,
    layers: &[OwnedFd],
    data: &[OwnedFd],
    attributes: MountAttributes,
) -> Result<OwnedFd, Cause> {
    let filesystem = NewFilesystem::open(c"overlay")?;
    let add = |key: &std::ffi::CStr, layer: &OwnedFd| -> Result<(), Cause> {
        let path = CString::new(format!("/proc/self/fd/{}", layer.as_raw_fd()))
            .map_err(|_| Errno::EINVAL)?;
        filesystem.set(key, &path).map_err(|error| said(&filesystem, error))
    };
    filesystem.set(c"source", c"overlay")?;
    layers.iter().try_for_each(|layer| add(c"lowerdir+", layer))?;
    data.iter().try_for_each(|layer| add(c"datadir+", layer))?;
    if overlay.userxattr {
        filesystem.set_flag(c"userxattr").map_err(|error| said(&filesystem, error))?;
    } else {
        filesystem.set(c"redirect_dir", c"follow").map_err(|error| said(&filesystem, error))?;
        if overlay.metacopy {
            filesystem.set(c"metacopy", c"on").map_err(|error| said(&filesystem, error))?;
        }
    }
    filesystem.mount(attributes.set).map_err(|error| said(&filesystem, error))
}

/// The error, with the kernel's own sentence about it.
pub(in crate::engine) fn said(filesystem: &NewFilesystem, error: Errno) -> Cause {
    match filesystem.complaint() {
        Some(complaint) => Cause::with_detail(error, complaint),
        None => error.into(),
    }
}
