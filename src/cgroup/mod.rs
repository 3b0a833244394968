//! Control groups: makes, limits, asks and removes them.
//!
//! The v2 hierarchy holds every container on every host: membership, freezing, killing and
//! device rules are always there. A limit whose controller sits on a v1 hierarchy is written in
//! that one, and only then does init join it ([`Cgroup::join_v1`]).
//!
//! Every file is opened from a descriptor of its hierarchy's root, never across links or other
//! mounts. Nothing above the container's own path is ever removed, unless this container made
//! it, and no process is signalled that is not in a group that this container owns.

mod before;
mod create;
mod delegate;
mod devices_v1;
mod directory;
mod ebpf;
mod enter;
mod error;
mod hierarchies;
mod limits;
mod place;
mod processes;
mod remove;
mod saved;
mod scoped;
pub mod stats;
pub mod systemd;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod visit;
mod watch;

pub use create::Cgroup;
use create::V1Group;
pub use enter::Entrance;
pub use error::CgroupError;
pub use hierarchies::Hierarchies;
pub use remove::{remove_marked, remove_planned, remove_saved};
pub use saved::{Claimant, CreatedDirectory, SavedCgroup};
pub use stats::Stats;
pub use visit::HomeGroups;
pub use watch::{Happened, Watch};
