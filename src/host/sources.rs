//! Follows the sources of bind mounts to what they are, once: what is judged is what is mounted.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use rustix::fs::{FileType, Mode, OFlags};

use super::bundle::Bundle;
use super::mountinfo::{self, Below};
use crate::spec::paths::inside_root;

/// File systems that are the kernel's own: names, and the numbers of <linux/magic.h>.
const KERNEL: [(&str, u64); 11] = [
    ("proc", 0x9fa0),
    ("sysfs", 0x6265_6572),
    ("cgroup", 0x0027_e0eb),
    ("cgroup2", 0x6367_7270),
    ("devpts", 0x1cd1),
    ("debugfs", 0x6462_6720),
    ("tracefs", 0x7472_6163),
    ("securityfs", 0x7363_6673),
    ("nsfs", 0x6e73_6673),
    ("bpf", 0xcafe_4a11),
    ("selinuxfs", 0xf97c_ff8c),
];

/// The host's devices, which share their number with tmpfs.
const DEVICES: &str = "devtmpfs";

/// Puts the real path of every bind mount's source, and of the root, in the place of what the
/// bundle wrote; gives the indexes of mounts whose source is a kernel file system, or brings one
/// along. The latter is asked only where ids are given: where they are translated, the kernel refuses
/// what it cannot translate.
///
/// A source that is not there may be by the time it is mounted: another mount may have its place made
/// there, or this command its own directories. So it is judged, and later mounted, as an absolute
/// path without `..`; whoever mounts it follows no link.
#[must_use]
pub fn resolve(spec: &mut Spec, bundle: &Bundle) -> Vec<usize> {
    let mut kernel = Vec::new();
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let has_users =
        namespaces.is_some_and(|all| all.iter().any(|one| one.typ() == LinuxNamespaceType::User));
    for (index, mount) in spec.mounts_mut().iter_mut().flatten().enumerate() {
        if !is_bind(mount) {
            continue;
        }
        let Some(source) = mount.source() else { continue };
        let written = bundle.path().join(source);
        let Some((found, path)) = open(&written) else {
            mount.set_source(Some(inside_root(&written)));
            continue;
        };
        let is_kernels =
            rustix::fs::fstatfs(&found).is_ok_and(|fs| is_kernels(u64::try_from(fs.f_type)));
        if is_kernels || has_users && is_recursive(mount) && brings_kernels(&found) {
            kernel.push(index);
        }
        mount.set_source(Some(path));
    }
    kernel
}

fn is_kernels(magic: Result<u64, std::num::TryFromIntError>) -> bool {
    magic.is_ok_and(|magic| KERNEL.iter().any(|(_, of)| *of == magic & 0xffff_ffff))
}

fn is_recursive(mount: &Mount) -> bool {
    mount.options().iter().flatten().any(|word| word == "rbind")
}

/// Whether a kernel file system is mounted somewhere below a directory. Where that cannot be told,
/// the answer is yes.
fn brings_kernels(directory: &OwnedFd) -> bool {
    let is_file = rustix::fs::fstat(directory)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory);
    let is_kernels =
        |mount: &Below| mount.kind == DEVICES || KERNEL.iter().any(|(name, _)| *name == mount.kind);
    !is_file
        && mountinfo::mounts_below(directory.as_fd()).map_or(true, |all| all.iter().any(is_kernels))
}

fn is_bind(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("bind")
        || mount.options().iter().flatten().any(|word| word == "bind" || word == "rbind")
}

/// Where a directory is, or will be, that need not be there yet: the links on the way to it, as far
/// as there is one, are followed.
#[must_use]
pub fn place_of(directory: &Path) -> PathBuf {
    let whole = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let found = whole.ancestors().find_map(|above| {
        let rest = whole.strip_prefix(above).ok()?;
        Some(std::fs::canonicalize(above).ok()?.join(rest))
    });
    inside_root(&found.unwrap_or(whole))
}

fn open(path: &Path) -> Option<(OwnedFd, PathBuf)> {
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new()).ok()?.into_string().ok()?;
    path.starts_with('/').then(|| (found, PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_yet_has_its_place_behind_the_links_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir(real.join("real")).unwrap();
        std::os::unix::fs::symlink("real", real.join("link")).unwrap();

        for (asked, place) in [
            ("link", "real"),
            ("link/a/b", "real/a/b"),
            ("none/../real", "real"),
            ("link/./a/../b", "real/b"),
        ] {
            assert_eq!(place_of(&dir.path().join(asked)), real.join(place), "{asked}");
        }
        assert_eq!(place_of(Path::new("/")), Path::new("/"));
    }
}
