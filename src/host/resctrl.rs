//! Where the host has its resctrl file system.

use crate::plan::text::HostPath;

/// Where it is usually mounted.
const USUAL: &str = "/sys/fs/resctrl";

/// `RDTGROUP_SUPER_MAGIC` of `linux/magic.h`.
const RESCTRL_MAGIC: rustix::fs::FsWord = 0x0765_5821;

/// The place where resctrl is mounted, if it is.
#[must_use]
pub fn root() -> Option<HostPath> {
    #[cfg(feature = "fault")]
    if let Ok(stand_in) = std::env::var("CASEMATE_RESCTRL") {
        return HostPath::new(&stand_in).ok();
    }
    if rustix::fs::statfs(USUAL).is_ok_and(|found| found.f_type == RESCTRL_MAGIC) {
        return HostPath::new(USUAL).ok();
    }
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    table.lines().find_map(mounted_at)
}

/// The place of a line of mountinfo, if it is one of resctrl.
fn mounted_at(line: &str) -> Option<HostPath> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let kind = filesystem.split(' ').next()?;
    // A place with a blank in its name is written otherwise here, and nobody's.
    let place = mount.split(' ').nth(4).filter(|place| !place.contains('\\'))?;
    (kind == "resctrl").then(|| HostPath::new(place).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_of_resctrl_is_told_by_its_type() {
        let line = "40 27 0:33 / /mnt/rdt rw,nosuid shared:9 - resctrl resctrl rw";
        assert_eq!(mounted_at(line).unwrap().as_str(), "/mnt/rdt");
        let other = "40 27 0:33 / /sys/fs/resctrl rw shared:9 - sysfs resctrl rw";
        assert_eq!(mounted_at(other), None);
    }
}
