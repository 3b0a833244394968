//! Finds out what the root file system is, and how a user namespace can be given it.
//!
//! It is looked up once, by descriptor, and never through a link in its last place. A plain
//! directory costs a handful of system calls; mount tables are read for overlays alone.

mod filesystem;
mod options;
mod overlay;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};

use self::filesystem::{Class, Filesystem};
use super::bundle::Bundle;
use super::mountinfo;
use super::probe::ProbeError;
use crate::plan::facts::{RootfsFacts, RootfsKind};
use crate::plan::text::HostPath;
use crate::sys::errno;

/// Looks at the root file system that the bundle names.
///
/// # Errors
/// Those of [`ProbeError`] that are about the root.
pub fn facts(spec: &Spec, bundle: &Bundle) -> Result<RootfsFacts, ProbeError> {
    let given = spec.root().as_ref().map(|root| root.path().as_path());
    let given = given.filter(|path| !path.as_os_str().is_empty()).ok_or(ProbeError::NoRoot)?;
    let root = open(given, bundle)?;
    let failed = |error| ProbeError::RootOpen { path: given.into(), source: errno(error) };
    let wanted = StatxFlags::TYPE | StatxFlags::NLINK | StatxFlags::INO | mountinfo::MOUNT_ID;
    let stat = rustix::fs::statx(&root, c"", AtFlags::EMPTY_PATH, wanted).map_err(failed)?;
    check_directory(&stat, given)?;
    let path = path_of(&root, given)?;
    let magic = rustix::fs::fstatfs(&root).map_err(failed)?.f_type;
    let filesystem = Filesystem::of(magic);
    let kind = match filesystem.class {
        Class::Mappable => RootfsKind::Mappable,
        Class::Unmappable => RootfsKind::Unmappable(filesystem.why_unmappable()),
        Class::Overlay => overlay_kind(&root, &stat, &path)?,
    };
    Ok(RootfsFacts { path, fs_type: filesystem.name, kind })
}

/// Opens without following a link in the last place, and a relative path inside the bundle only.
fn open(given: &Path, bundle: &Bundle) -> Result<OwnedFd, ProbeError> {
    // A slash or a dot at the end would have the kernel follow a link before it: `components`
    // drops both.
    let path: PathBuf = given.components().collect();
    let resolve = if given.is_absolute() {
        ResolveFlags::NO_MAGICLINKS
    } else {
        ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH
    };
    let dir = if given.is_absolute() { CWD } else { bundle.dir() };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(dir, &path, flags, Mode::empty(), resolve);
    opened.map_err(|error| {
        let path = given.to_owned();
        match error {
            rustix::io::Errno::NOENT => ProbeError::RootMissing { path },
            rustix::io::Errno::NOTDIR => {
                ProbeError::RootNotDirectory { path, found: "below a file" }
            }
            rustix::io::Errno::XDEV => ProbeError::RootOutside { path },
            error => ProbeError::RootOpen { path, source: errno(error) },
        }
    })
}

fn check_directory(stat: &Statx, given: &Path) -> Result<(), ProbeError> {
    let path = given.to_owned();
    let found = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Directory if stat.stx_nlink == 0 => {
            return Err(ProbeError::RootNameless { path, why: "it was removed" });
        }
        FileType::Directory => return Ok(()),
        FileType::Symlink => return Err(ProbeError::RootLink { path }),
        FileType::RegularFile => "a file",
        FileType::Fifo => "a FIFO",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Socket => "a socket",
        FileType::Unknown => "of an unknown kind",
    };
    Err(ProbeError::RootNotDirectory { path, found })
}

/// Where the open directory is: absolute and without links, from the kernel.
fn path_of(root: &OwnedFd, given: &Path) -> Result<HostPath, ProbeError> {
    let nameless = |why| ProbeError::RootNameless { path: given.into(), why };
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", root.as_raw_fd()), Vec::new());
    let link =
        link.map_err(|error| ProbeError::RootOpen { path: given.into(), source: errno(error) })?;
    let text = link.into_string().map_err(|_| nameless("it is not UTF-8"))?;
    HostPath::new(&text).map_err(|_| nameless("it is outside the root directory"))
}

fn overlay_kind(root: &OwnedFd, stat: &Statx, path: &HostPath) -> Result<RootfsKind, ProbeError> {
    let mount = match mountinfo::describe(root.as_fd(), stat) {
        Ok(mount) => mount,
        Err(error) => {
            let why = format!("is on an overlay whose mount cannot be found ({error:?})");
            return Ok(RootfsKind::Unmappable(why));
        }
    };
    match overlay::take_apart(&mount, path, stat.stx_ino) {
        Ok(overlay) => Ok(RootfsKind::Overlay(overlay)),
        Err(overlay::Fault::Unmappable(why)) => Ok(RootfsKind::Unmappable(why)),
        Err(overlay::Fault::Replaced { layer }) => {
            Err(ProbeError::LayerReplaced { path: path.to_string(), layer })
        }
    }
}

#[cfg(test)]
mod tests;
