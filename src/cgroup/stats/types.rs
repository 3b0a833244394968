//! The document of `events --stats`. Names and order are runc's; so is what is left out.

use std::collections::BTreeMap;

use serde::Serialize;

/// Use and limits of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Processors and memory nodes.
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Tasks.
    pub pids: Pids,
    /// Block devices.
    pub blkio: BlockIo,
    /// Huge pages, by page size.
    pub hugetlb: BTreeMap<String, HugePages>,
}

/// Processor time.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Cpu {
    /// How much was used.
    pub usage: CpuTime,
    /// How often the quota was used up.
    #[serde(skip_serializing_if = "is_default")]
    pub throttling: Throttling,
    /// How long tasks waited for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Nanoseconds of processor time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CpuTime {
    /// All of it.
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
    /// On each processor. Only cgroup v1 counts this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In the program.
    pub user: u64,
}

/// How often the quota of processor time was used up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that have passed.
    #[serde(skip_serializing_if = "is_default")]
    pub periods: u64,
    /// Periods in which the quota was used up.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_periods: u64,
    /// Nanoseconds spent waiting for the next period.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_time: u64,
}

/// Pressure stall information: how long tasks waited for a resource.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Pressure {
    /// While at least one task waited.
    pub some: PressureAverages,
    /// While all of them did.
    pub full: PressureAverages,
}

/// Shares of time, in percent, and a sum.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PressureAverages {
    /// Of the last 10 seconds.
    pub avg10: f64,
    /// Of the last minute.
    pub avg60: f64,
    /// Of the last five minutes.
    pub avg300: f64,
    /// Microseconds since the group was made.
    pub total: u64,
}

/// Processors and memory nodes. Flags are those of cgroup v1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Cpuset {
    /// The processors it may run on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// Nobody else uses these processors.
    pub cpu_exclusive: u64,
    /// The memory nodes it may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    /// The kernel's own allocations keep to them as well.
    pub mem_hardwall: u64,
    /// Nobody else uses these nodes.
    pub mem_exclusive: u64,
    /// Pages move when the list of nodes changes.
    pub memory_migrate: u64,
    /// Page cache is spread over the nodes.
    pub memory_spread_page: u64,
    /// Slab objects are spread over the nodes.
    pub memory_spread_slab: u64,
    /// How hard it is to free memory.
    pub memory_pressure: u64,
    /// The scheduler balances load within the set.
    pub sched_load_balance: u64,
    /// How far it does.
    pub sched_relax_domain_level: i64,
}

/// Memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Memory {
    /// Bytes of page cache.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: u64,
    /// Memory.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: MemoryUse,
    /// Memory and swap together, as cgroup v1 counts.
    #[serde(skip_serializing_if = "is_default")]
    pub swap: MemoryUse,
    /// The kernel's own memory.
    #[serde(skip_serializing_if = "is_default")]
    pub kernel: MemoryUse,
    /// Buffers of TCP.
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_default")]
    pub kernel_tcp: MemoryUse,
    /// `memory.stat`, as the kernel has it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// How long tasks waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
    /// Processes that the kernel killed for want of memory. No part of the document.
    #[serde(skip)]
    pub oom_kills: Option<u64>,
}

/// Bytes in use, and their limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MemoryUse {
    /// The limit; the highest number is none.
    pub limit: u64,
    /// What is in use.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most that was.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// Tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Pids {
    /// How many there are.
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    /// How many there may be; 0 is no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// Block devices. Each list has one entry for a device and a kind of operation.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockIo {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlockIoEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlockIoEntry>,
    /// Operations that wait.
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlockIoEntry>,
    /// Nanoseconds in the device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlockIoEntry>,
    /// Nanoseconds before the device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlockIoEntry>,
    /// Operations that were joined to others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlockIoEntry>,
    /// Milliseconds of the device's time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlockIoEntry>,
    /// Sectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlockIoEntry>,
    /// How long tasks waited for devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One number of one device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BlockIoEntry {
    /// The device's major number.
    #[serde(skip_serializing_if = "is_default")]
    pub major: u64,
    /// Its minor number.
    #[serde(skip_serializing_if = "is_default")]
    pub minor: u64,
    /// `Read`, `Write` and the like; empty where the kernel does not tell them apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "is_default")]
    pub value: u64,
}

/// Huge pages of one size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HugePages {
    /// Bytes in use.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most that was. Only cgroup v1 counts this.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
