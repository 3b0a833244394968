//! Steps of init that decide who it is. Nothing here allocates.

use crate::plan::action::CapabilitySets;
use crate::sys::{Result, caps, process};

/// Becomes user and group 0 of the user namespace it is in.
pub(in crate::engine) fn become_root() -> Result<()> {
    process::set_gid(0)?;
    process::set_uid(0)
}

/// Sets groups, group and user, in this order: each needs what the next takes away.
pub(in crate::engine) fn set_ids(uid: u32, gid: u32, groups: &[u32]) -> Result<()> {
    process::set_groups(groups)?;
    process::set_gid(gid)?;
    caps::keep_across_ids()?;
    process::set_uid(uid)
}

/// Sets the capability sets; the bounding set was cut before.
pub(in crate::engine) fn set_capabilities(sets: &CapabilitySets) -> Result<()> {
    caps::set(&caps::Sets {
        effective: sets.effective,
        permitted: sets.permitted,
        inheritable: sets.inheritable,
    })?;
    caps::set_ambient(sets.ambient)
}
