//! Steps of the supervisor that build mounts, detached: seen by nobody until they are attached.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::engine::cause::{Cause, Ids};
use rustix::fs::{OFlags, ResolveFlags};

use crate::engine::steps::{dev, rootfs};
use crate::plan::mount::{Filesystem, FsOption, MountAttributes};
use crate::plan::text::HostPath;
use crate::sys::mount::{self, NewFilesystem};
use crate::sys::{Errno, fd, flags::mount_attr};

/// Builds a mount.
pub(in crate::engine) fn build(
    filesystem: &Filesystem,
    attributes: MountAttributes,
    ids: &Ids<'_>,
) -> Result<OwnedFd, Cause> {
    match filesystem {
        Filesystem::Proc { options } => plain(c"proc", c"proc", options, attributes),
        Filesystem::Sysfs { options } => plain(c"sysfs", c"sysfs", options, attributes),
        Filesystem::Mqueue => plain(c"mqueue", c"mqueue", &[], attributes),
        Filesystem::Cgroup => plain(c"cgroup2", c"cgroup", &[], attributes),
        Filesystem::Devpts { options, group } => devpts(options, *group, attributes, ids),
        Filesystem::Tmpfs { options, owner, .. } => {
            let (uid, gid) = (ids.user(owner.0)?, ids.group(owner.1)?);
            tmpfs(options, (uid, gid), attributes)
        }
        Filesystem::Dev(tree) => dev::build(tree, attributes, ids),
        Filesystem::Bind { source, recursive } => bind(source, *recursive, attributes, ids.mapping),
        Filesystem::Other { kind, source, options } => {
            plain(kind.as_c_str(), source.as_c_str(), options, attributes)
        }
    }
}

fn set_all(filesystem: &NewFilesystem, options: &[FsOption]) -> Result<(), Cause> {
    for (key, value) in options {
        let set = match value {
            Some(value) => filesystem.set(key.as_c_str(), value.as_c_str()),
            None => filesystem.set_flag(key.as_c_str()),
        };
        set.map_err(|error| rootfs::said(filesystem, error))?;
    }
    Ok(())
}

fn plain(
    kind: &std::ffi::CStr,
    source: &std::ffi::CStr,
    options: &[FsOption],
    attributes: MountAttributes,
) -> Result<OwnedFd, Cause> {
    let filesystem = NewFilesystem::open(kind)?;
    filesystem.set(c"source", source)?;
    set_all(&filesystem, options)?;
    filesystem.mount(attributes.set).map_err(|error| rootfs::said(&filesystem, error))
}

fn devpts(
    options: &[FsOption],
    group: Option<u32>,
    attributes: MountAttributes,
    ids: &Ids<'_>,
) -> Result<OwnedFd, Cause> {
    let filesystem = NewFilesystem::open(c"devpts")?;
    filesystem.set(c"source", c"devpts")?;
    set_all(&filesystem, options)?;
    if let Some(group) = group {
        set_number(&filesystem, c"gid", ids.group(group)?)?;
    }
    filesystem.mount(attributes.set).map_err(|error| rootfs::said(&filesystem, error))
}

fn set_number(filesystem: &NewFilesystem, key: &std::ffi::CStr, number: u32) -> Result<(), Cause> {
    let value = CString::new(number.to_string()).map_err(|_| Errno::EINVAL)?;
    filesystem.set(key, &value).map_err(|error| rootfs::said(filesystem, error))
}

/// A tmpfs whose root directory belongs to these host ids.
pub(in crate::engine) fn tmpfs(
    options: &[FsOption],
    owner: (u32, u32),
    attributes: MountAttributes,
) -> Result<OwnedFd, Cause> {
    let filesystem = NewFilesystem::open(c"tmpfs")?;
    filesystem.set(c"source", c"tmpfs")?;
    set_all(&filesystem, options)?;
    set_number(&filesystem, c"uid", owner.0)?;
    set_number(&filesystem, c"gid", owner.1)?;
    filesystem.mount(attributes.set).map_err(|error| rootfs::said(&filesystem, error))
}

/// A copy of a mount of the host, or of a tree of them, with flags and translated ids.
fn bind(
    source: &HostPath,
    recursive: bool,
    attributes: MountAttributes,
    mapping: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Cause> {
    // The path was followed when it was judged: a link that stands there now is somebody's race.
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let place = fd::open_resolved(rustix::fs::CWD, source.as_c_str(), OFlags::PATH, resolve)?;
    let tree = mount::copy_tree(place.as_fd(), c"", recursive)?;
    let all = rootfs::change(attributes, mapping);
    // Id translation and the flags that are meant recursively go to every mount of the tree in
    // one call, all or none; the others to its top alone.
    let deep = mount::Attributes {
        set: attributes.recursive_set | (all.set & mount_attr::IDMAP),
        clear: attributes.recursive_clear,
        propagation: all.propagation,
        mapping: all.mapping,
    };
    mount::set_attributes(tree.as_fd(), recursive, &deep)
        .map_err(|error| unmappable(error, attributes.mapped))?;
    let top = mount::Attributes {
        set: attributes.set,
        clear: attributes.clear,
        propagation: 0,
        mapping: None,
    };
    if top.set != 0 || top.clear != 0 {
        mount::set_attributes(tree.as_fd(), false, &top)?;
    }
    Ok(tree)
}

fn unmappable(error: Errno, mapped: bool) -> Cause {
    if mapped && error == Errno::EINVAL {
        return Cause::with_detail(
            error,
            "ids cannot be translated on the file system it is on".to_owned(),
        );
    }
    error.into()
}
