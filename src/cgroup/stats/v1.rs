//! What the joined hierarchies of cgroup v1 count, over what v2 said.

use super::parse::{blkio, find, list, number, table};
use super::types::{BlockIo, BlockIoEntry, Cpuset, HugePages, Memory, MemoryUse, Stats};
use super::v2::page_sizes;
use crate::cgroup::directory::Directory;

/// Adds what each controller counts; `joined` gives its directory if the container is in one.
pub(super) fn add<'a>(stats: &mut Stats, joined: impl Fn(&str) -> Option<&'a Directory>) {
    if let Some(group) = joined("cpu") {
        let stat = group.read("cpu.stat").unwrap_or_default();
        let value = |key: &str| find(&stat, key).unwrap_or_default();
        stats.cpu.throttling.periods = value("nr_periods");
        stats.cpu.throttling.throttled_periods = value("nr_throttled");
        stats.cpu.throttling.throttled_time = value("throttled_time");
    }
    if let Some(group) = joined("cpuacct") {
        let each = group.read("cpuacct.usage_percpu").unwrap_or_default();
        stats.cpu.usage.percpu = each.split_whitespace().flat_map(str::parse).collect();
    }
    if let Some(group) = joined("cpuset") {
        stats.cpuset = cpuset(group);
    }
    if let Some(group) = joined("memory") {
        stats.memory = Memory { psi: stats.memory.psi.take(), ..memory(group) };
    }
    if let Some(group) = joined("pids") {
        stats.pids.current = number(group, "pids.current").unwrap_or_default();
        let limit = number(group, "pids.max").filter(|max| *max != u64::MAX);
        stats.pids.limit = limit.unwrap_or_default();
    }
    if let Some(group) = joined("blkio") {
        stats.blkio = BlockIo { psi: stats.blkio.psi.take(), ..block_io(group) };
    }
    if let Some(group) = joined("hugetlb") {
        for size in page_sizes() {
            let value = |file: &str| number(group, &format!("hugetlb.{size}.{file}"));
            let Some(usage) = value("usage_in_bytes") else { continue };
            let max = value("max_usage_in_bytes").unwrap_or_default();
            let failcnt = value("failcnt").unwrap_or_default();
            stats.hugetlb.insert(size, HugePages { usage, max, failcnt });
        }
    }
}

fn cpuset(group: &Directory) -> Cpuset {
    let members = |file: &str| group.read(file).map(|text| list(&text)).unwrap_or_default();
    let flag = |file: &str| number(group, file).unwrap_or_default();
    let level = group.read("cpuset.sched_relax_domain_level").ok();
    Cpuset {
        cpus: members("cpuset.cpus"),
        cpu_exclusive: flag("cpuset.cpu_exclusive"),
        mems: members("cpuset.mems"),
        mem_hardwall: flag("cpuset.mem_hardwall"),
        mem_exclusive: flag("cpuset.mem_exclusive"),
        memory_migrate: flag("cpuset.memory_migrate"),
        memory_spread_page: flag("cpuset.memory_spread_page"),
        memory_spread_slab: flag("cpuset.memory_spread_slab"),
        memory_pressure: flag("cpuset.memory_pressure"),
        sched_load_balance: flag("cpuset.sched_load_balance"),
        sched_relax_domain_level: level
            .and_then(|level| level.trim().parse().ok())
            .unwrap_or_default(),
    }
}

fn memory(group: &Directory) -> Memory {
    let raw = group.read("memory.stat").map(|text| table(&text)).unwrap_or_default();
    let usage = |kind: &str| {
        let value = |file: &str| number(group, &format!("memory.{kind}{file}")).unwrap_or_default();
        MemoryUse {
            limit: value("limit_in_bytes"),
            usage: value("usage_in_bytes"),
            max: value("max_usage_in_bytes"),
            failcnt: value("failcnt"),
        }
    };
    let oom = group.read("memory.oom_control").unwrap_or_default();
    Memory {
        cache: raw.get("cache").copied().unwrap_or_default(),
        usage: usage(""),
        swap: usage("memsw."),
        kernel: usage("kmem."),
        kernel_tcp: usage("kmem.tcp."),
        oom_kills: find(&oom, "oom_kill"),
        raw,
        psi: None,
    }
}

/// Which files there are depends on the scheduler; the first set that is there is taken.
fn block_io(group: &Directory) -> BlockIo {
    let entries = |file: &str| -> Vec<BlockIoEntry> {
        group.read(&format!("blkio.{file}")).map(|text| blkio(&text)).unwrap_or_default()
    };
    for prefix in ["bfq.", ""] {
        let bytes = entries(&format!("{prefix}io_service_bytes_recursive"));
        if bytes.is_empty() {
            continue;
        }
        let other = |name: &str| entries(&format!("{prefix}{name}_recursive"));
        return BlockIo {
            io_service_bytes_recursive: bytes,
            io_serviced_recursive: other("io_serviced"),
            io_queued_recursive: other("io_queued"),
            io_service_time_recursive: other("io_service_time"),
            io_wait_time_recursive: other("io_wait_time"),
            io_merged_recursive: other("io_merged"),
            io_time_recursive: other("time"),
            sectors_recursive: other("sectors"),
            psi: None,
        };
    }
    let throttled = |name: &str| {
        let all = entries(&format!("throttle.{name}_recursive"));
        if all.is_empty() { entries(&format!("throttle.{name}")) } else { all }
    };
    BlockIo {
        io_service_bytes_recursive: throttled("io_service_bytes"),
        io_serviced_recursive: throttled("io_serviced"),
        ..BlockIo::default()
    }
}
