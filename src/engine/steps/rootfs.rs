//! Steps of the supervisor around the root file system: opened once, completed through the
//! engine's own mount, copied or put together again with translated ids.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::engine::cause::Cause;
use crate::plan::action::Overlay;
use crate::plan::mount::MountAttributes;
use crate::plan::text::{HostPath, RootedPath};
use crate::sys::flags::mount_attr;
use crate::sys::mount::{Attributes, NewFilesystem};
use crate::sys::{Errno, fd, mount};

/// A file or directory that was made as a mount point: its parent and its name.
#[derive(Debug)]
pub(in crate::engine) struct Made {
    parent: OwnedFd,
    name: CString,
    directory: bool,
}

impl Made {
    /// Removes it again, if nobody put anything into it.
    pub(in crate::engine) fn take_back(&self) {
        let flags = if self.directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let empty = self.directory
            || rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| stat.st_size == 0);
        if empty {
            let _ = rustix::fs::unlinkat(&self.parent, &self.name, flags);
        }
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// Opens the root file system; its last component must be a directory, not a link to one.
pub(in crate::engine) fn open(path: &HostPath) -> Result<OwnedFd, Cause> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path.as_c_str(), flags, Mode::empty()).map_err(|error| errno(error).into())
}

/// Makes what is missing of the path `at`, and returns what was made, topmost first.
///
/// Links of the image are followed inside the root only, one component at a time, so that a
/// link that appears in between leads nowhere else. What is made belongs to the host ids in
/// `owner`, or to this process.
pub(in crate::engine) fn make_mount_point(
    root: BorrowedFd<'_>,
    at: &RootedPath,
    file: bool,
    owner: Option<(u32, u32)>,
) -> Result<Vec<Made>, Cause> {
    let looked_up = fd::open_in_root(root, at.as_c_str(), OFlags::PATH);
    match looked_up {
        Ok(_) => return Ok(Vec::new()),
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let mut made = Vec::new();
    let parts: Vec<&str> = at.components().collect();
    let mut walked = String::new();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index.saturating_add(1) == parts.len();
        let parent_path = CString::new(if walked.is_empty() { "/" } else { &walked })
            .map_err(|_| Errno::EINVAL)?;
        walked.push('/');
        walked.push_str(part);
        let path = CString::new(walked.as_str()).map_err(|_| Errno::EINVAL)?;
        match fd::open_in_root(root, &path, OFlags::PATH) {
            Ok(_) => continue,
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let parent = fd::open_in_root(root, &parent_path, OFlags::PATH | OFlags::DIRECTORY)?;
        let name = CString::new(*part).map_err(|_| Errno::EINVAL)?;
        let directory = !(is_last && file);
        if make_entry(parent.as_fd(), &name, directory)? {
            if let Some((uid, gid)) = owner {
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&parent, &name, Some(uid), Some(gid), flags).map_err(errno)?;
            }
            made.push(Made { parent, name, directory });
        }
    }
    Ok(made)
}

/// Makes one entry; `false` when somebody else made it meanwhile.
fn make_entry(parent: BorrowedFd<'_>, name: &CString, directory: bool) -> Result<bool, Cause> {
    let made = if directory {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    };
    match made {
        Ok(()) => Ok(true),
        // A link to nowhere is there, which the walk cannot see through; or a race.
        Err(rustix::io::Errno::EXIST) => {
            let there = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
            match there.map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode)) {
                Ok(rustix::fs::FileType::Symlink) => Err(Cause::with_detail(
                    Errno::ELOOP,
                    "the image has a symbolic link there that leads nowhere".to_owned(),
                )),
                _ => Ok(false),
            }
        }
        Err(error) => Err(errno(error).into()),
    }
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
    let layers = overlay.layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let data = overlay.data_layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let tree = match layers.as_slice() {
        // The kernel wants two lower layers; a single one is its own overlay.
        [only] if data.is_empty() => {
            mount::set_attributes(only.as_fd(), false, &change(attributes, None))?;
            mount::copy_tree(only.as_fd(), c"", false)?
        }
        _ => stack(overlay, &layers, &data, attributes)?,
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
