//! Reads the host: bundles, mount tables, kernel features. Changes nothing.

pub mod boxes;
pub mod bundle;
pub mod hooks;
pub mod lsm;
pub mod mountinfo;
pub mod namespaces;
pub mod outer;
pub mod policy_file;
pub mod probe;
pub mod resctrl;
pub mod rootfs;
pub mod sources;
