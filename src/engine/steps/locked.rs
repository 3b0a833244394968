//! What a mount of the host forbids, and a bundle with a user namespace would allow again.
//!
//! The kernel refuses that to whoever mounts inside such a namespace. Our mounts are made outside:
//! nothing but this check would stand in the way. Reference: mount_namespaces(7), "Restrictions on
//! mount namespaces".

use std::os::fd::BorrowedFd;

use rustix::fs::StatVfsMountFlags;

use crate::engine::cause::Cause;
use crate::plan::mount::MountAttributes;
use crate::plan::text::HostPath;
use crate::sys::flags::mount_attr;
use crate::sys::{Errno, errno};

/// The flags as statvfs(3) gives them, as mounts have them, and as people write them.
const FLAGS: [(StatVfsMountFlags, u64, &str); 4] = [
    (StatVfsMountFlags::RDONLY, mount_attr::RDONLY, "ro"),
    (StatVfsMountFlags::NOSUID, mount_attr::NOSUID, "nosuid"),
    (StatVfsMountFlags::NODEV, mount_attr::NODEV, "nodev"),
    (StatVfsMountFlags::NOEXEC, mount_attr::NOEXEC, "noexec"),
];

/// Refuses attributes that take back a flag of the mount that `place` is on.
///
/// # Errors
/// `EPERM`, with the flags; what the kernel says about the place.
pub(super) fn check(
    place: BorrowedFd<'_>,
    source: &HostPath,
    attributes: MountAttributes,
) -> Result<(), Cause> {
    let has = rustix::fs::fstatvfs(place).map_err(errno)?.f_flag;
    let clear = attributes.clear | attributes.recursive_clear;
    let lost = FLAGS.iter().filter(|(flag, bit, _)| has.contains(*flag) && clear & bit != 0);
    let mut lost: Vec<_> = lost.map(|(_, _, word)| *word).collect();
    if changes_times(has, attributes) {
        lost.push("access times");
    }
    if lost.is_empty() {
        return Ok(());
    }
    let what = format!(
        "error mounting {:?}: cannot clear locked flags of the host's mount ({}): operation not \
         permitted",
        source.as_str(),
        lost.join(", ")
    );
    Err(Cause::with_detail(Errno::EPERM, what))
}

/// Whether access times would be kept in another way than by the host's mount: none is stricter
/// than another, so any change is refused.
fn changes_times(has: StatVfsMountFlags, attributes: MountAttributes) -> bool {
    let mode = if has.contains(StatVfsMountFlags::NOATIME) {
        mount_attr::NOATIME
    } else if has.contains(StatVfsMountFlags::RELATIME) {
        mount_attr::RELATIME
    } else {
        mount_attr::STRICTATIME
    };
    let directories = has.contains(StatVfsMountFlags::NODIRATIME);
    let before = mode | if directories { mount_attr::NODIRATIME } else { 0 };
    let set = attributes.set | attributes.recursive_set;
    let clear = attributes.clear | attributes.recursive_clear;
    let times = mount_attr::ATIME_MASK | mount_attr::NODIRATIME;
    ((before & !clear) | set) & times != before
}
