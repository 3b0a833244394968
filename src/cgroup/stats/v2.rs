//! What cgroup v2 counts.

use super::parse::{find, io, list, number, pressure, table};
use super::types::{
    BlockIo, Cpu, CpuTime, Cpuset, HugePages, Memory, MemoryUse, Stats, Throttling,
};
use crate::cgroup::directory::Directory;
use crate::sys::Errno;

/// Reads the group's files. Every group counts processor time, controller or not.
pub(super) fn read(leaf: &Directory) -> Result<Stats, Errno> {
    let cpu_stat = leaf.read("cpu.stat")?;
    let mut stats = Stats {
        cpu: cpu(leaf, &cpu_stat),
        cpuset: cpuset(leaf),
        memory: memory(leaf),
        blkio: block_io(leaf),
        ..Stats::default()
    };
    stats.pids.current = number(leaf, "pids.current").unwrap_or_default();
    stats.pids.limit = number(leaf, "pids.max").filter(|max| *max != u64::MAX).unwrap_or_default();
    for size in page_sizes() {
        let current = number(leaf, &format!("hugetlb.{size}.rsvd.current"))
            .or_else(|| number(leaf, &format!("hugetlb.{size}.current")));
        if let Some(usage) = current {
            let events = leaf.read(&format!("hugetlb.{size}.events")).unwrap_or_default();
            let failcnt = find(&events, "max").unwrap_or_default();
            stats.hugetlb.insert(size, HugePages { usage, max: 0, failcnt });
        }
    }
    Ok(stats)
}

fn cpu(leaf: &Directory, stat: &str) -> Cpu {
    let value = |key: &str| find(stat, key).unwrap_or_default();
    let nsec = |key: &str| value(key).saturating_mul(1000);
    Cpu {
        usage: CpuTime {
            total: nsec("usage_usec"),
            percpu: Vec::new(),
            kernel: nsec("system_usec"),
            user: nsec("user_usec"),
        },
        throttling: Throttling {
            periods: value("nr_periods"),
            throttled_periods: value("nr_throttled"),
            throttled_time: nsec("throttled_usec"),
        },
        psi: pressure(leaf, "cpu.pressure"),
    }
}

fn cpuset(leaf: &Directory) -> Cpuset {
    let members = |file: &str| leaf.read(file).map(|text| list(&text)).unwrap_or_default();
    Cpuset {
        cpus: members("cpuset.cpus.effective"),
        mems: members("cpuset.mems.effective"),
        ..Cpuset::default()
    }
}

fn memory(leaf: &Directory) -> Memory {
    let psi = pressure(leaf, "memory.pressure");
    let Some(usage) = number(leaf, "memory.current") else {
        return Memory { psi, ..Memory::default() };
    };
    let raw = leaf.read("memory.stat").map(|text| table(&text)).unwrap_or_default();
    let events = leaf.read("memory.events").unwrap_or_default();
    let limit = number(leaf, "memory.max").unwrap_or(u64::MAX);
    let max = number(leaf, "memory.peak").unwrap_or_default();
    // v1, and with it the document, counts memory and swap together.
    let swap = number(leaf, "memory.swap.current").map(|swap| {
        let swap_limit = number(leaf, "memory.swap.max").unwrap_or(u64::MAX);
        MemoryUse {
            limit: swap_limit.saturating_add(limit),
            usage: swap.saturating_add(usage),
            ..MemoryUse::default()
        }
    });
    Memory {
        cache: raw.get("file").copied().unwrap_or_default(),
        usage: MemoryUse { limit, usage, max, failcnt: find(&events, "max").unwrap_or_default() },
        swap: swap.unwrap_or_default(),
        oom_kills: find(&events, "oom_kill"),
        raw,
        psi,
        ..Memory::default()
    }
}

fn block_io(leaf: &Directory) -> BlockIo {
    let stat = leaf.read("io.stat").unwrap_or_default();
    BlockIo {
        io_service_bytes_recursive: io(&stat, "rbytes=", "wbytes="),
        io_serviced_recursive: io(&stat, "rios=", "wios="),
        psi: pressure(leaf, "io.pressure"),
        ..BlockIo::default()
    }
}

/// The sizes of huge pages that this kernel has, as control groups write them.
pub(super) fn page_sizes() -> Vec<String> {
    let root = Directory::open_root(std::path::Path::new("/sys/kernel/mm/hugepages"));
    let names = root.and_then(|root| root.children()).unwrap_or_default();
    let mut sizes: Vec<u64> = names
        .iter()
        .filter_map(|name| name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok())
        .collect();
    sizes.sort_unstable();
    sizes.into_iter().map(size_name).collect()
}

/// Kilobytes, in the largest unit that divides them.
fn size_name(kilobytes: u64) -> String {
    let (mut number, mut units) = (kilobytes, ["KB", "MB", "GB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if number < 1024 {
            break;
        }
        (number, unit) = (number / 1024, larger);
    }
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes_are_named_as_the_kernel_names_them() {
        let names: Vec<_> = [64, 2048, 32_768, 1_048_576].into_iter().map(size_name).collect();

        assert_eq!(names, ["64KB", "2MB", "32MB", "1GB"]);
    }
}
