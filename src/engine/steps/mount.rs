//! Steps of the supervisor that build mounts, detached: seen by nobody until they are attached.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::engine::cause::{Cause, Ids};
use rustix::fs::OFlags;

use crate::cgroup::{Cgroup, Hierarchies};
use crate::engine::steps::{dev, locked, rootfs};
use crate::plan::mount::{DevTree, Filesystem, FsOption, GroupsTree, MountAttributes};
use crate::plan::text::Text;
use crate::sys::mount::{self, Attributes, NewFilesystem};
use crate::sys::{Errno, fd, flags::mount_attr};

/// What a mount depends on beside its own description.
#[derive(Debug)]
pub(in crate::engine) struct Surroundings<'fd> {
    /// The container's root, as far as it is made.
    pub root: Option<BorrowedFd<'fd>>,
    /// The mode of a tmpfs that has none of its own.
    pub mode: Option<u32>,
    /// The directory of the notification socket.
    pub notify: Option<BorrowedFd<'fd>>,
    /// The container's group, and the hierarchies that it is in.
    pub groups: Option<(&'fd Cgroup, &'fd Hierarchies)>,
}

/// Builds a mount.
pub(in crate::engine) fn build(
    filesystem: &Filesystem,
    attributes: MountAttributes,
    ids: &Ids<'_>,
    around: &Surroundings<'_>,
) -> Result<OwnedFd, Cause> {
    match filesystem {
        Filesystem::Proc { source, options } => plain(c"proc", source, options, attributes),
        Filesystem::Sysfs { source, options } => plain(c"sysfs", source, options, attributes),
        Filesystem::Mqueue { source, options, label } => {
            queues(source, options, label.as_ref(), attributes)
        }
        Filesystem::Cgroup { source, options } => plain(c"cgroup2", source, options, attributes),
        Filesystem::Devpts { source, options, group } => {
            let group = group.map(|group| ids.group(group)).transpose()?;
            devpts(source, options, group, attributes)
        }
        Filesystem::Tmpfs { source, options, owner, .. } => {
            let owner = (ids.user(owner.0)?, ids.group(owner.1)?);
            let filesystem = begin_tmpfs(source, options, owner)?;
            if let Some(mode) = around.mode {
                let mode = CString::new(format!("{mode:o}")).map_err(|_| Errno::EINVAL)?;
                filesystem.set(c"mode", &mode)?;
            }
            finish(&filesystem, attributes)
        }
        Filesystem::Dev(tree) => dev::build(tree, attributes, ids),
        Filesystem::Groups(tree) => groups(tree, attributes, ids),
        Filesystem::Group { hierarchy } => {
            let (cgroup, hierarchies) = around.groups.ok_or(Errno::EBADF)?;
            let group = cgroup.directory(hierarchy.as_str(), hierarchies).ok_or(Errno::ENOENT)?;
            let tree = mount::copy_tree(group, c"", false)?;
            shape(tree.as_fd(), attributes, None)?;
            Ok(tree)
        }
        Filesystem::Bind { source, recursive, inside, ids: own } => {
            let place = match inside {
                Some(path) => {
                    let root = around.root.ok_or(Errno::EBADF)?;
                    fd::open_in_root(root, path.as_c_str(), OFlags::PATH)?
                }
                None => rootfs::open_source(source)?,
            };
            // Below it, too, where the level says that every bind is translated.
            let deep = own.as_ref().map_or(*recursive, |own| own.recursive);
            let mapping = if attributes.mapped { ids.mapping } else { ids.own };
            let mapping = mapping.map(|mapping| (mapping, deep));
            if attributes.locked {
                locked::check(place.as_fd(), source, attributes, *recursive)?;
            }
            let tree = mount::copy_tree(place.as_fd(), c"", *recursive)?;
            shape(tree.as_fd(), attributes, mapping)?;
            Ok(tree)
        }
        Filesystem::Other { kind, source, options } => {
            plain(kind.as_c_str(), source, options, attributes)
        }
        Filesystem::Notify => {
            let directory = around.notify.ok_or(Errno::EBADF)?;
            let tree = mount::copy_tree(directory, c"", false)?;
            shape(tree.as_fd(), attributes, None)?;
            Ok(tree)
        }
        Filesystem::Present { .. } => Err(Errno::EOPNOTSUPP.into()),
    }
}

/// Memory with a directory for each hierarchy.
fn groups(tree: &GroupsTree, attributes: MountAttributes, ids: &Ids<'_>) -> Result<OwnedFd, Cause> {
    let dev = DevTree {
        source: tree.source.clone(),
        options: tree.options.clone(),
        nodes: Vec::new(),
        links: tree.links.clone(),
        directories: tree.directories.clone(),
        files: Vec::new(),
        as_sources: Vec::new(),
    };
    dev::build(&dev, attributes, ids)
}

fn set_all(filesystem: &NewFilesystem, options: &[FsOption]) -> Result<(), Cause> {
    for (key, value) in options {
        let set = match value {
            Some(value) => filesystem.set(key.as_c_str(), value.as_c_str()),
            None => filesystem.set_flag(key.as_c_str()),
        };
        set.map_err(|error| {
            let cause = rootfs::said(filesystem, error);
            // Of labels and the like it says nothing: then at least which option it was.
            let option =
                || value.as_ref().map_or(key.to_string(), |value| format!("{key}={value}"));
            Cause { detail: cause.detail.or_else(|| Some(option())), ..cause }
        })?;
    }
    Ok(())
}

fn plain(
    kind: &CStr,
    source: &Text,
    options: &[FsOption],
    attributes: MountAttributes,
) -> Result<OwnedFd, Cause> {
    let filesystem = begin(kind, source, options)?;
    finish(&filesystem, attributes)
}

fn begin(kind: &CStr, source: &Text, options: &[FsOption]) -> Result<NewFilesystem, Cause> {
    let filesystem = NewFilesystem::open(kind)?;
    filesystem.set(c"source", source.as_c_str())?;
    set_all(&filesystem, options)?;
    Ok(filesystem)
}

/// Makes the file system; it is detached and has no mount below it.
fn finish(filesystem: &NewFilesystem, attributes: MountAttributes) -> Result<OwnedFd, Cause> {
    let made = filesystem.mount(attributes.set).map_err(|error| rootfs::said(filesystem, error))?;
    mount::propagate(made.as_fd(), attributes.propagation)?;
    mount::propagate(made.as_fd(), attributes.then_propagation)?;
    Ok(made)
}

fn devpts(
    source: &Text,
    options: &[FsOption],
    group: Option<u32>,
    attributes: MountAttributes,
) -> Result<OwnedFd, Cause> {
    let filesystem = begin(c"devpts", source, options)?;
    if let Some(group) = group {
        set_number(&filesystem, c"gid", group)?;
    }
    finish(&filesystem, attributes)
}

/// Message queues. Their file system is older than this mount of it.
fn queues(
    source: &Text,
    options: &[FsOption],
    label: Option<&Text>,
    attributes: MountAttributes,
) -> Result<OwnedFd, Cause> {
    let Some(label) = label else { return plain(c"mqueue", source, options, attributes) };
    let writable = MountAttributes { set: attributes.set & !mount_attr::RDONLY, ..attributes };
    let queues = plain(c"mqueue", source, options, writable)?;
    let root = fd::open_beneath(queues.as_fd(), c".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    fd::set_selinux_label(root.as_fd(), label.as_c_str())
        .map_err(|error| Cause::with_detail(error, label.to_string()))?;
    if attributes.set & mount_attr::RDONLY != 0 {
        mount::make_read_only(queues.as_fd(), false)?;
    }
    Ok(queues)
}

fn set_number(filesystem: &NewFilesystem, key: &CStr, number: u32) -> Result<(), Cause> {
    let value = CString::new(number.to_string()).map_err(|_| Errno::EINVAL)?;
    filesystem.set(key, &value).map_err(|error| rootfs::said(filesystem, error))
}

/// A tmpfs whose root directory belongs to these host ids.
pub(in crate::engine) fn tmpfs(
    source: &Text,
    options: &[FsOption],
    owner: (u32, u32),
    attributes: MountAttributes,
) -> Result<OwnedFd, Cause> {
    finish(&begin_tmpfs(source, options, owner)?, attributes)
}

fn begin_tmpfs(
    source: &Text,
    options: &[FsOption],
    owner: (u32, u32),
) -> Result<NewFilesystem, Cause> {
    let filesystem = begin(c"tmpfs", source, options)?;
    set_number(&filesystem, c"uid", owner.0)?;
    set_number(&filesystem, c"gid", owner.1)?;
    Ok(filesystem)
}

/// Changes the mount that `place` is on, and options of its file system.
pub(in crate::engine) fn change(
    place: BorrowedFd<'_>,
    options: &[FsOption],
    attributes: MountAttributes,
) -> Result<(), Cause> {
    if !options.is_empty() {
        let filesystem = NewFilesystem::of(place)?;
        set_all(&filesystem, options)?;
        filesystem.reconfigure().map_err(|error| rootfs::said(&filesystem, error))?;
    }
    shape(place, attributes, None)
}

/// Gives a mount, and those below it, the attributes asked for. `mapping` goes to the mounts
/// below, too, if its flag says so: to all of them in one call, or to none.
fn shape(
    tree: BorrowedFd<'_>,
    attributes: MountAttributes,
    mapping: Option<(BorrowedFd<'_>, bool)>,
) -> Result<(), Cause> {
    let first = attributes.propagation;
    for is_deep in [true, false] {
        let mapping = mapping.filter(|(_, deep)| *deep == is_deep).map(|(mapping, _)| mapping);
        let idmap = if mapping.is_some() { mount_attr::IDMAP } else { 0 };
        let (set, clear) = if is_deep {
            (attributes.recursive_set, attributes.recursive_clear)
        } else {
            (attributes.set, attributes.clear)
        };
        let spreads = first & mount_attr::MS_REC != 0;
        let propagation = if spreads == is_deep { first & !mount_attr::MS_REC } else { 0 };
        if (set | idmap | clear | propagation) != 0 {
            let change = Attributes { set: set | idmap, clear, propagation, mapping };
            mount::set_attributes(tree, is_deep, &change)
                .map_err(|error| unmappable(error, mapping.is_some()))?;
        }
    }
    Ok(mount::propagate(tree, attributes.then_propagation)?)
}

fn unmappable(error: Errno, mapped: bool) -> Cause {
    if mapped && error == Errno::EINVAL {
        return Cause::with_detail(
            error,
            "ids cannot be translated on the file system it is on, or one mounted below it"
                .to_owned(),
        );
    }
    error.into()
}
