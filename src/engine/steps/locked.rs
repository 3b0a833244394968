//! What a mount of the host forbids, and a bundle with a user namespace would allow again.
//!
//! The kernel refuses that to whoever mounts inside such a namespace. Our mounts are made outside:
//! nothing but this check would stand in the way. Reference: mount_namespaces(7), "Restrictions on
//! mount namespaces".

use std::os::fd::BorrowedFd;

use rustix::fs::StatVfsMountFlags;

use crate::engine::cause::Cause;
use crate::host::mountinfo;
use crate::plan::mount::MountAttributes;
use crate::plan::text::HostPath;
use crate::sys::flags::mount_attr;
use crate::sys::{Errno, errno};

/// The flags as statvfs(3) gives them, as mounts have them, and as people write them.
const FLAGS: [(StatVfsMountFlags, u64, &str); 7] = [
    (StatVfsMountFlags::RDONLY, mount_attr::RDONLY, "ro"),
    (StatVfsMountFlags::NOSUID, mount_attr::NOSUID, "nosuid"),
    (StatVfsMountFlags::NODEV, mount_attr::NODEV, "nodev"),
    (StatVfsMountFlags::NOEXEC, mount_attr::NOEXEC, "noexec"),
    (StatVfsMountFlags::NODIRATIME, mount_attr::NODIRATIME, "nodiratime"),
    (StatVfsMountFlags::NOATIME, mount_attr::NOATIME, "noatime"),
    (StatVfsMountFlags::RELATIME, mount_attr::RELATIME, "relatime"),
];

/// How access times are kept: none is stricter than another, so any change is refused.
const TIMES: u64 = mount_attr::ATIME_MASK | mount_attr::NODIRATIME;

/// Refuses attributes that take back a flag of the mount that `place` is on, or of one below it, if
/// those are taken along.
///
/// # Errors
/// `EPERM`, with the flags; what the kernel says about the place.
pub(super) fn check(
    place: BorrowedFd<'_>,
    source: &HostPath,
    attributes: MountAttributes,
    recursive: bool,
) -> Result<(), Cause> {
    let deep = |flags: u64| (flags & !attributes.recursive_clear) | attributes.recursive_set;
    let top = |flags: u64| (deep(flags) & !attributes.clear) | attributes.set;
    let has = rustix::fs::fstatvfs(place).map_err(errno)?.f_flag;
    let before = flags(|flag, _| has.contains(flag));
    let mut lost = taken_back(before, top(before));
    if recursive && (attributes.recursive_clear | attributes.recursive_set) != 0 {
        for mount in mountinfo::mounts_below(place)? {
            let before = flags(|_, word| mount.flags.iter().any(|one| one == word));
            lost.extend(taken_back(before, deep(before)));
        }
    }
    lost.sort_unstable();
    lost.dedup();
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

/// The flags of a mount that has those for which this is true.
fn flags(has: impl Fn(StatVfsMountFlags, &str) -> bool) -> u64 {
    // Of access times that are kept strictly, neither statvfs(3) nor the table has a word.
    let [noatime, relatime] =
        [has(StatVfsMountFlags::NOATIME, "noatime"), has(StatVfsMountFlags::RELATIME, "relatime")];
    let times = if noatime || relatime { 0 } else { mount_attr::STRICTATIME };
    let found = FLAGS.iter().filter(|(flag, _, word)| has(*flag, word));
    found.fold(times, |all, (_, bit, _)| all | bit)
}

/// What a mount loses that has these flags before and after, in words.
fn taken_back(before: u64, after: u64) -> Vec<&'static str> {
    let lost = FLAGS.iter().filter(|(_, bit, _)| bit & !TIMES & before & !after != 0);
    let times = ((before ^ after) & TIMES != 0).then_some("access times");
    lost.map(|(_, _, word)| *word).chain(times).collect()
}
