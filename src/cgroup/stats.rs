//! What a control group has used, from whichever hierarchy counts it.
//!
//! The form is that of runc's `events`: engines read its names, its units and its zeros. What no
//! hierarchy counts for this container is left out, or zero where the form has no way to leave
//! it out; nothing of another group's is ever reported in its place.

mod parse;
mod types;
mod v1;
mod v2;

pub use types::{
    BlockIo, BlockIoEntry, Cpu, CpuTime, Cpuset, HugePages, Memory, MemoryUse, Pids, Pressure,
    PressureAverages, Stats, Throttling,
};

use super::{Cgroup, CgroupError, Hierarchies};

impl Cgroup {
    /// Reads what the container has used so far.
    ///
    /// # Errors
    /// [`CgroupError::System`] when the group is gone.
    pub fn stats(&self, hierarchies: &Hierarchies) -> Result<Stats, CgroupError> {
        let path = self.path.as_str();
        let mut stats = v2::read(&self.leaf).map_err(CgroupError::system("read", path))?;
        let joined = |controller: &str| {
            let mount = hierarchies.facts().v1.get(controller)?;
            self.v1.iter().find(|group| group.mount == *mount).map(|group| &group.leaf)
        };
        v1::add(&mut stats, joined);
        Ok(stats)
    }
}
