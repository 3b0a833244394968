//! The steps themselves: a function per action. Those of init allocate nothing.

pub(super) mod attach;
pub(super) mod copy_up;
pub(super) mod cover;
pub(super) mod dev;
pub(super) mod home;
pub(super) mod io;
pub(super) mod label;
mod locked;
pub(super) mod mapping;
pub(super) mod mount;
pub(super) mod mount_point;
pub(super) mod namespace;
pub(super) mod netdev;
pub(super) mod overlay;
pub(super) mod privileges;
pub(super) mod resctrl;
pub(super) mod rootfs;
pub(super) mod shift;
pub(super) mod shown;
pub(super) mod task;
