//! Follows the sources of bind mounts to what they are, once: what is judged is what is mounted.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::{Mode, OFlags};

use super::bundle::Bundle;

/// File systems that are the kernel's own, by the numbers of <linux/magic.h>: proc, sysfs,
/// cgroup, cgroup2, devpts, debugfs, tracefs, securityfs, nsfs, bpf, selinuxfs.
const KERNEL: [u64; 11] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x6e73_6673,
    0xcafe_4a11,
    0xf97c_ff8c,
];

/// Puts the real path of every bind mount's source, and of the root, in the place of what the
/// bundle wrote; gives the indexes of mounts whose source is a kernel file system.
///
/// A source that is not there stays as it is written: whoever mounts it follows no link.
#[must_use]
pub fn resolve(spec: &mut Spec, bundle: &Bundle) -> Vec<usize> {
    let mut kernel = Vec::new();
    for (index, mount) in spec.mounts_mut().iter_mut().flatten().enumerate() {
        if !is_bind(mount) {
            continue;
        }
        let Some(source) = mount.source() else { continue };
        let written = bundle.path().join(source);
        let Some((found, path)) = open(&written) else { continue };
        if rustix::fs::fstatfs(&found).is_ok_and(|fs| is_kernels(u64::try_from(fs.f_type))) {
            kernel.push(index);
        }
        mount.set_source(Some(path));
    }
    kernel
}

fn is_kernels(magic: Result<u64, std::num::TryFromIntError>) -> bool {
    magic.is_ok_and(|magic| KERNEL.contains(&(magic & 0xffff_ffff)))
}

fn is_bind(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("bind")
        || mount.options().iter().flatten().any(|word| word == "bind" || word == "rbind")
}

fn open(path: &Path) -> Option<(OwnedFd, PathBuf)> {
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new()).ok()?.into_string().ok()?;
    path.starts_with('/').then(|| (found, PathBuf::from(path)))
}
