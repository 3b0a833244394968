//! The launch plan: every step that will be taken, in order, each with its reason. Pure.
pub mod cgroup;
