//! `linux.resources.cpu`.

use oci_spec::runtime::LinuxCpu;

use super::{Conversion, Write};

const AT: &str = "/linux/resources/cpu";

/// What a new group has: `cpu.shares` 1024, `cpu.weight` 100.
const DEFAULT_SHARES: u64 = 1024;
/// The kernel's default of `cpu.max`, in microseconds.
const DEFAULT_PERIOD_USEC: u64 = 100_000;
/// What the kernel takes as a period, in microseconds: 1 ms to 1 s.
const PERIOD_RANGE_USEC: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;
/// The least quota that the kernel takes, in microseconds.
const MIN_QUOTA_USEC: i64 = 1_000;

pub(super) fn convert(cpu: &LinuxCpu, out: &mut Conversion) {
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        // Engines send the default as often as not.
        out.set_unless(
            shares == DEFAULT_SHARES,
            format!("{AT}/shares"),
            Some(Write::new("cpu", "cpu.weight", weight_of_shares(shares))),
            Some(Write::new("cpu", "cpu.shares", shares)),
        );
    }
    convert_bandwidth(cpu, out);
    convert_realtime(cpu, out);
    // After the weight: the weight of an idle group cannot be changed.
    match cpu.idle() {
        None => {}
        Some(idle @ (0 | 1)) => out.set_unless(
            idle == 0,
            format!("{AT}/idle"),
            Some(Write::new("cpu", "cpu.idle", idle)),
            Some(Write::new("cpu", "cpu.idle", idle)),
        ),
        Some(other) => out.refuse(format!("{AT}/idle"), format!("{other} is neither 0 nor 1")),
    }
    convert_list(cpu.cpus().as_deref(), "cpus", out);
    convert_list(cpu.mems().as_deref(), "mems", out);
}

/// `shares` (2 to 262144, default 1024) as a weight (1 to 10000, default 100).
///
/// The quadratic curve goes through minimum, default and maximum; the older straight line gave
/// the default of one 39 in the other's 100.
pub(super) fn weight_of_shares(shares: u64) -> u16 {
    const MAX_WEIGHT: u16 = 10_000;
    let shares = match u32::try_from(shares) {
        Ok(0..=2) => return 1,
        Ok(shares @ 3..262_144) => f64::from(shares),
        Ok(262_144..) | Err(_) => return MAX_WEIGHT,
    };
    let log = shares.log2();
    let exact = 10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil();
    // The least weight that is not below the curve: a conversion without a lossy cast.
    let (mut low, mut high) = (1, MAX_WEIGHT);
    while low < high {
        let middle = low.midpoint(high);
        if f64::from(middle) < exact { low = middle + 1 } else { high = middle }
    }
    low
}

/// `quota`, `period` and `burst`: one file on v2, three on v1.
fn convert_bandwidth(cpu: &LinuxCpu, out: &mut Conversion) {
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if let Some(quota) = quota.filter(|quota| *quota != -1 && *quota < MIN_QUOTA_USEC) {
        let why = format!("{quota} µs is less than the kernel's least, {MIN_QUOTA_USEC}");
        return out.refuse(format!("{AT}/quota"), why);
    }
    if let Some(period) = period.filter(|period| !PERIOD_RANGE_USEC.contains(period)) {
        let why = format!("{period} µs is not between 1000 and 1000000");
        return out.refuse(format!("{AT}/period"), why);
    }
    if let Some(period) = period {
        // On v2 both are one line, below, unless only the period was given.
        let v2 = Write::new("cpu", "cpu.max", format!("max {period}"));
        let v1 = Write::new("cpu", "cpu.cfs_period_us", period);
        out.set_unless(period == DEFAULT_PERIOD_USEC, format!("{AT}/period"), Some(v2), Some(v1));
    }
    if let Some(quota) = quota {
        let no_limit = quota == -1;
        let period = period.unwrap_or(DEFAULT_PERIOD_USEC);
        let line = format!("{} {period}", super::or_max(quota));
        let v2 = Write::new("cpu", "cpu.max", line);
        let v1 = Write::new("cpu", "cpu.cfs_quota_us", quota);
        out.set_unless(no_limit, format!("{AT}/quota"), Some(v2), Some(v1));
    }
    if let Some(burst) = cpu.burst() {
        let v2 = Write::new("cpu", "cpu.max.burst", burst);
        let v1 = Write::new("cpu", "cpu.cfs_burst_us", burst);
        out.set(format!("{AT}/burst"), Some(v2), Some(v1));
    }
}

/// Real-time bandwidth, which only v1 has. The period first: the runtime must fit into it.
fn convert_realtime(cpu: &LinuxCpu, out: &mut Conversion) {
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        let v1 = Write::new("cpu", "cpu.rt_period_us", period);
        out.set(format!("{AT}/realtimePeriod"), None, Some(v1));
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        let v1 = Write::new("cpu", "cpu.rt_runtime_us", runtime);
        out.set(format!("{AT}/realtimeRuntime"), None, Some(v1));
    }
}

/// `cpus` and `mems`: lists such as `0-3,7`.
fn convert_list(list: Option<&str>, name: &str, out: &mut Conversion) {
    let Some(list) = list.filter(|list| !list.is_empty()) else { return };
    let pointer = format!("{AT}/{name}");
    if !list.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ',' | ' ')) {
        return out.refuse(pointer, format!("{list:?} is not a list such as `0-3,7`"));
    }
    let write = || Write::new("cpuset", format!("cpuset.{name}"), list);
    out.set(pointer, Some(write()), Some(write()));
}
