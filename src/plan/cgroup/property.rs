//! Limits as properties of a unit: what systemd is told, so that it knows what holds and does not
//! write something else when it reloads.
//!
//! The exact values are written to the group's files as well; systemd rounds some of them.
//! Reference: systemd.resource-control(5), org.freedesktop.systemd1(5).

use serde::{Deserialize, Serialize};

use super::{Setting, Write};

/// One property of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitProperty {
    /// Its name on the bus.
    pub name: String,
    /// What it is set to.
    pub value: UnitValue,
}

/// A value, in the types of the bus that properties of units have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitValue {
    /// `b`
    Bool(bool),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `s`
    Text(String),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`
    Uint32s(Vec<u32>),
    /// `as`
    Texts(Vec<String>),
}

/// No limit.
const INFINITY: u64 = u64::MAX;
/// What systemd keeps of a quota: hundredths of one processor, in microseconds per second.
const QUOTA_STEP_USEC: u64 = 10_000;

/// The properties that stand for these limits on a systemd of this version, where `is_v1` tells of a
/// controller whether it is on a v1 hierarchy. What systemd has no property for is held by the files
/// alone.
#[must_use]
pub fn unit_properties(
    settings: &[Setting],
    version: u32,
    is_v1: impl Fn(&str) -> bool,
) -> Vec<UnitProperty> {
    let mut properties = Vec::<UnitProperty>::new();
    let mut set = |name: &str, value: UnitValue| {
        // The last word on a property is the one that holds, as with the files.
        properties.retain(|property| property.name != name);
        properties.push(UnitProperty { name: name.to_owned(), value });
    };
    for setting in settings {
        let Some(write) = &setting.v2 else { continue };
        let value = write.value.as_str();
        match write.file.as_ref() {
            "cpu.max" => {
                if let Some((quota, period_usec)) = quota_per_second(value) {
                    set("CPUQuotaPerSecUSec", UnitValue::Uint64(quota));
                    if version >= 242 {
                        set("CPUQuotaPeriodUSec", UnitValue::Uint64(period_usec));
                    }
                }
            }
            // 0 is what systemd calls idle; taking it back takes a weight.
            "cpu.idle" if value == "1" && version >= 252 => {
                set("CPUWeight", UnitValue::Uint64(0));
            }
            "cpuset.cpus" | "cpuset.mems" if version >= 244 => {
                let name =
                    if write.file == "cpuset.cpus" { "AllowedCPUs" } else { "AllowedMemoryNodes" };
                if let Some(bits) = bits(value) {
                    set(name, UnitValue::Bytes(bits));
                }
            }
            file => {
                let v1 = setting.v1.as_ref().filter(|write| is_v1(&write.controller));
                if let Some((name, number)) = v1.and_then(weight_of_v1) {
                    set(name, UnitValue::Uint64(number));
                    continue;
                }
                let known = NUMBERS.iter().find(|(known, _)| *known == file);
                if let (Some((_, name)), Some(number)) = (known, number(value)) {
                    set(name, UnitValue::Uint64(number));
                }
            }
        }
    }
    properties
}

/// Files with one number, and what systemd calls them.
const NUMBERS: [(&str, &str); 8] = [
    ("cpu.weight", "CPUWeight"),
    ("io.weight", "IOWeight"),
    ("memory.high", "MemoryHigh"),
    ("memory.low", "MemoryLow"),
    ("memory.max", "MemoryMax"),
    ("memory.min", "MemoryMin"),
    ("memory.swap.max", "MemorySwapMax"),
    ("pids.max", "TasksMax"),
];

/// Weights on a v1 hierarchy, as systemd calls them. Told the weight of version 2, it would write what
/// it makes of that: 604 shares of a processor for 512.
fn weight_of_v1(write: &Write) -> Option<(&'static str, u64)> {
    let name = match write.file.as_ref() {
        "cpu.shares" => "CPUShares",
        "blkio.weight" => "BlockIOWeight",
        _ => return None,
    };
    Some((name, number(&write.value)?))
}

fn number(value: &str) -> Option<u64> {
    if value == "max" { Some(INFINITY) } else { value.parse().ok() }
}

/// `QUOTA PERIOD` as microseconds of each second, rounded up to what systemd keeps: less than
/// was asked for would be another limit.
fn quota_per_second(value: &str) -> Option<(u64, u64)> {
    let mut words = value.split_whitespace();
    let quota = words.next()?;
    let period_usec: u64 = words.next().map_or(Ok(100_000), str::parse).ok()?;
    if quota == "max" {
        return Some((INFINITY, period_usec));
    }
    let quota_usec: u64 = quota.parse().ok()?;
    let per_second = quota_usec.checked_mul(1_000_000)?.checked_div(period_usec)?;
    Some((per_second.checked_next_multiple_of(QUOTA_STEP_USEC)?, period_usec))
}

/// A list such as `0-3,7` as a mask, the lowest numbers in the first byte.
fn bits(list: &str) -> Option<Vec<u8>> {
    const MOST: usize = 8192;
    let mut mask = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        for number in first..=last.min(MOST) {
            if mask.len() <= number / 8 {
                mask.resize(number / 8 + 1, 0_u8);
            }
            *mask.get_mut(number / 8)? |= 1 << (number % 8);
        }
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cgroup::{CgroupRequest, StandardDevices, build_cgroup_plan};

    fn said(resources: &str, version: u32) -> Vec<String> {
        said_where(resources, version, |_| false)
    }

    fn said_where(resources: &str, version: u32, is_v1: impl Fn(&str) -> bool) -> Vec<String> {
        let resources = serde_json::from_str(resources).unwrap();
        let plan = build_cgroup_plan(&CgroupRequest {
            resources: Some(&resources),
            cgroups_path: None,
            default_pids_limit: None,
            standard_devices: StandardDevices::Open,
            driver: crate::plan::cgroup::Driver::Cgroupfs,
        });
        let properties = unit_properties(&plan.unwrap().settings, version, is_v1);
        properties.iter().map(|one| format!("{}={:?}", one.name, one.value)).collect()
    }

    #[test]
    fn limits_are_told_in_the_words_of_systemd() {
        let resources = r#"{"memory": {"limit": 1048576, "swap": 3145728, "reservation": 4096},
            "cpu": {"shares": 512, "quota": 33333, "period": 100000, "cpus": "0-1,9"},
            "pids": {"limit": -1}, "unified": {"memory.high": "max"}}"#;

        assert_eq!(
            said(resources, 252),
            [
                "MemorySwapMax=Uint64(2097152)",
                "MemoryMax=Uint64(1048576)",
                "MemoryLow=Uint64(4096)",
                "CPUWeight=Uint64(59)",
                "CPUQuotaPerSecUSec=Uint64(340000)",
                "CPUQuotaPeriodUSec=Uint64(100000)",
                "AllowedCPUs=Bytes([3, 2])",
                "TasksMax=Uint64(18446744073709551615)",
                "MemoryHigh=Uint64(18446744073709551615)",
            ]
        );
    }

    #[test]
    fn an_older_systemd_is_told_what_it_knows() {
        let resources = r#"{"cpu": {"quota": 50000, "period": 50000, "cpus": "0", "idle": 1}}"#;

        assert_eq!(said(resources, 241), ["CPUQuotaPerSecUSec=Uint64(1000000)"]);
        assert_eq!(
            said(resources, 252),
            [
                "CPUQuotaPerSecUSec=Uint64(1000000)",
                "CPUQuotaPeriodUSec=Uint64(50000)",
                "CPUWeight=Uint64(0)",
                "AllowedCPUs=Bytes([1])",
            ]
        );
    }

    #[test]
    fn weights_on_a_v1_hierarchy_are_told_as_they_are() {
        let resources = r#"{"cpu": {"shares": 512}, "blockIO": {"weight": 300},
            "memory": {"limit": 4096}}"#;

        assert_eq!(
            said_where(resources, 252, |controller| controller == "cpu"),
            ["MemoryMax=Uint64(4096)", "CPUShares=Uint64(512)"]
        );
        assert_eq!(
            said_where(resources, 252, |_| true),
            ["MemoryMax=Uint64(4096)", "CPUShares=Uint64(512)", "BlockIOWeight=Uint64(300)"]
        );
    }

    #[test]
    fn what_systemd_has_no_word_for_is_left_to_the_files() {
        let resources = r#"{"cpu": {"burst": 5}, "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
            "unified": {"io.max": "8:0 rbps=5"}}"#;

        assert_eq!(said(resources, 255), [""; 0]);
    }
}
