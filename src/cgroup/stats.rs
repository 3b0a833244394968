//! What a control group has used, from whichever hierarchy counts it.

use serde::Serialize;

use super::directory::Directory;
use super::{Cgroup, CgroupError, Hierarchies};
use crate::sys::Errno;

/// Use and limits of a container. `None` where no hierarchy that it is in counts this.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stats {
    /// Processor time, in microseconds.
    pub cpu_usage_usec: Option<u64>,
    /// Processor time in user mode, in microseconds.
    pub cpu_user_usec: Option<u64>,
    /// Processor time in the kernel, in microseconds.
    pub cpu_system_usec: Option<u64>,
    /// Periods in which the quota was used up.
    pub cpu_throttled_periods: Option<u64>,
    /// Time spent waiting for the next period, in microseconds.
    pub cpu_throttled_usec: Option<u64>,
    /// Memory in use, in bytes.
    pub memory_bytes: Option<u64>,
    /// The limit of that; `None` is none.
    pub memory_limit_bytes: Option<u64>,
    /// Swap in use, in bytes (with v1: memory and swap together).
    pub memory_swap_bytes: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Tasks.
    pub pids: Option<u64>,
    /// The limit of that; `None` is none.
    pub pids_limit: Option<u64>,
    /// Input and output of each block device.
    pub io: Vec<DeviceIo>,
}

/// Input and output of one block device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DeviceIo {
    /// `MAJOR:MINOR`.
    pub device: String,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

/// v1 says "no limit" with the largest multiple of a page.
const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_0000;

impl Cgroup {
    /// Reads what the container has used so far.
    ///
    /// # Errors
    /// [`CgroupError::System`] when the group is gone.
    pub fn stats(&self, hierarchies: &Hierarchies) -> Result<Stats, CgroupError> {
        let mut stats = self.v2_stats().map_err(CgroupError::system("read", self.path.as_str()))?;
        let joined = |controller: &str| {
            let mount = hierarchies.facts().v1.get(controller)?;
            self.v1.iter().find(|group| group.mount == *mount).map(|group| &group.leaf)
        };
        if let Some(memory) = joined("memory") {
            let limit = number(memory, "memory.limit_in_bytes");
            stats.memory_bytes = number(memory, "memory.usage_in_bytes");
            stats.memory_limit_bytes = limit.filter(|limit| *limit < V1_UNLIMITED);
            stats.memory_swap_bytes = number(memory, "memory.memsw.usage_in_bytes");
            stats.oom_kills = keyed(memory, "memory.oom_control", "oom_kill");
        }
        if let Some(pids) = joined("pids") {
            stats.pids = number(pids, "pids.current");
            stats.pids_limit = number(pids, "pids.max");
        }
        if let Some(cpu) = joined("cpu") {
            stats.cpu_throttled_periods = keyed(cpu, "cpu.stat", "nr_throttled");
            stats.cpu_throttled_usec =
                keyed(cpu, "cpu.stat", "throttled_time").map(|nsec| nsec / 1000);
        }
        Ok(stats)
    }

    fn v2_stats(&self) -> Result<Stats, Errno> {
        let leaf = &self.leaf;
        // Every group has this file, controller or not.
        let cpu = leaf.read("cpu.stat")?;
        let throttled = find(&cpu, "nr_throttled");
        Ok(Stats {
            cpu_usage_usec: find(&cpu, "usage_usec"),
            cpu_user_usec: find(&cpu, "user_usec"),
            cpu_system_usec: find(&cpu, "system_usec"),
            cpu_throttled_periods: throttled,
            cpu_throttled_usec: find(&cpu, "throttled_usec"),
            memory_bytes: number(leaf, "memory.current"),
            memory_limit_bytes: number(leaf, "memory.max"),
            memory_swap_bytes: number(leaf, "memory.swap.current"),
            oom_kills: keyed(leaf, "memory.events", "oom_kill"),
            pids: number(leaf, "pids.current"),
            pids_limit: number(leaf, "pids.max"),
            io: leaf.read("io.stat").map(|text| parse_io(&text)).unwrap_or_default(),
        })
    }
}

/// A file that holds one number; `None` for `max`, and for no file.
fn number(group: &Directory, file: &str) -> Option<u64> {
    group.read(file).ok()?.trim().parse().ok()
}

/// A file of lines `KEY VALUE`.
fn keyed(group: &Directory, file: &str, key: &str) -> Option<u64> {
    find(&group.read(file).ok()?, key)
}

fn find(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

/// Lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn parse_io(text: &str) -> Vec<DeviceIo> {
    let parse = |line: &str| {
        let (device, values) = line.split_once(' ')?;
        let value = |key: &str| {
            values.split(' ').find_map(|pair| pair.strip_prefix(key)?.parse().ok()).unwrap_or(0)
        };
        Some(DeviceIo {
            device: device.to_owned(),
            read_bytes: value("rbytes="),
            written_bytes: value("wbytes="),
        })
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_lines_are_read_by_key() {
        let io = parse_io("8:0 rbytes=4096 wbytes=12 rios=1 wios=0\n7:1 \n");

        assert_eq!(io.len(), 2);
        assert_eq!(
            (io[0].device.as_str(), io[0].read_bytes, io[0].written_bytes),
            ("8:0", 4096, 12)
        );
    }

    #[test]
    fn a_key_is_not_found_by_its_beginning() {
        assert_eq!(find("oom 3\noom_kill 2\n", "oom_kill"), Some(2));
        assert_eq!(find("oom_kill 2\n", "oom"), None);
    }
}
