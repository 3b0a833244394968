//! Which security modules the kernel has switched on.

use crate::plan::facts::LsmFacts;

/// `SELINUX_MAGIC` of `linux/magic.h`.
const SELINUX_MAGIC: u64 = 0xf97c_ff8c;

/// Looks at the modules that could be asked for.
#[must_use]
pub fn facts() -> LsmFacts {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    let selinux = rustix::fs::statfs("/sys/fs/selinux").ok();
    let magic = selinux.and_then(|found| u64::try_from(found.f_type).ok());
    LsmFacts {
        apparmor: enabled.is_ok_and(|text| text.first() == Some(&b'Y')),
        selinux: magic.is_some_and(|magic| magic & 0xffff_ffff == SELINUX_MAGIC),
    }
}
