//! The small sections of `linux.resources`: pids, huge pages, network, RDMA.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxRdma};

use super::{CgroupRequest, Conversion, IfAbsent, Setting, SettingOrigin, Write, or_max};

const AT: &str = "/linux/resources";
/// The file that limits tasks, in both versions.
pub(super) const PIDS_FILE: &str = "pids.max";

/// `pids.limit`: -1 is no limit, and 0 is a limit: no task beside init.
pub(super) fn pids(pids: &LinuxPids, out: &mut Conversion) {
    let pointer = format!("{AT}/pids/limit");
    match pids.limit() {
        ..-1 => out.refuse(pointer, format!("{} is neither a number nor -1", pids.limit())),
        limit => out.settings.push(pids_setting(SettingOrigin::Config(pointer), limit)),
    }
}

/// The policy's limit, where the bundle has none of its own.
pub(super) fn default_pids(request: &CgroupRequest<'_>, out: &mut Conversion) {
    let Some(limit) = request.default_pids_limit else { return };
    let asked = request.resources.is_some_and(|resources| {
        let unified = resources.unified().as_ref();
        resources.pids().is_some() || unified.is_some_and(|keys| keys.contains_key(PIDS_FILE))
    });
    if !asked {
        let origin = SettingOrigin::Level(PIDS_FILE.to_owned());
        out.settings.push(pids_setting(origin, limit.max(-1)));
    }
}

fn pids_setting(origin: SettingOrigin, limit: i64) -> Setting {
    // 0 and 1 both let nobody in beside init; but 0 would keep init itself out, and systemd has
    // no 0.
    let limit = if limit == 0 { 1 } else { limit };
    let write = || Some(Write::new("pids", PIDS_FILE, or_max(limit)));
    Setting { origin, v2: write(), v1: write(), is_default: limit == -1 }
}

/// Each limit twice: on use, and on reservation where the kernel has that (since 5.7).
pub(super) fn hugepages(limits: &[LinuxHugepageLimit], out: &mut Conversion) {
    for (i, limit) in limits.iter().enumerate() {
        let at = format!("{AT}/hugepageLimits/{i}");
        let (size, limit) = (limit.page_size(), limit.limit());
        if !is_page_size(size) {
            let why = format!("{size:?} is not a size such as `64KB`, `2MB` or `1GB`");
            out.refuse(format!("{at}/pageSize"), why);
            continue;
        }
        if limit < -1 {
            out.refuse(format!("{at}/limit"), format!("{limit} is neither bytes nor -1"));
            continue;
        }
        for (rsvd, if_absent) in [("", IfAbsent::Fail), (".rsvd", IfAbsent::Skip)] {
            let v2 = Write::new("hugetlb", format!("hugetlb.{size}{rsvd}.max"), or_max(limit));
            let v1 = Write::new("hugetlb", format!("hugetlb.{size}{rsvd}.limit_in_bytes"), limit);
            let v1 = v1.if_absent(if_absent.clone());
            let v2 = v2.if_absent(if_absent);
            out.set_unless(limit == -1, at.as_str(), Some(v2), Some(v1));
        }
    }
}

/// Digits without a leading zero, then `KB`, `MB` or `GB`.
fn is_page_size(size: &str) -> bool {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit));
    number.is_some_and(|number| {
        !number.is_empty()
            && !number.starts_with('0')
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Class and priorities of packets: v1 only. (On v2 firewalls match the group's path.)
pub(super) fn network(network: &LinuxNetwork, out: &mut Conversion) {
    if let Some(class) = network.class_id().filter(|class| *class != 0) {
        let v1 = Write::new("net_cls", "net_cls.classid", class);
        out.set(format!("{AT}/network/classID"), None, Some(v1));
    }
    for (i, priority) in network.priorities().as_deref().unwrap_or_default().iter().enumerate() {
        let pointer = format!("{AT}/network/priorities/{i}");
        if !is_word(priority.name()) {
            out.refuse(pointer, format!("{:?} is no name of an interface", priority.name()));
            continue;
        }
        let line = format!("{} {}", priority.name(), priority.priority());
        out.set(pointer, None, Some(Write::new("net_prio", "net_prio.ifpriomap", line)));
    }
}

/// Handles and objects of each device; the same file in both versions.
pub(super) fn rdma(devices: &HashMap<String, LinuxRdma>, out: &mut Conversion) {
    let mut devices: Vec<_> = devices.iter().collect();
    devices.sort_by_key(|(name, _)| *name);
    for (name, limits) in devices {
        let pointer = format!("{AT}/rdma/{}", name.replace('~', "~0").replace('/', "~1"));
        if !is_word(name) {
            out.refuse(pointer, format!("{name:?} is no name of a device"));
            continue;
        }
        let mut line = name.clone();
        for (key, value) in
            [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())]
        {
            if let Some(value) = value {
                line.push_str(&format!(" {key}={value}"));
            }
        }
        if line == *name {
            out.refuse(pointer, "has neither `hcaHandles` nor `hcaObjects`");
            continue;
        }
        let write = || Some(Write::new("rdma", "rdma.max", &line));
        out.set(pointer, write(), write());
    }
}

/// Not empty, and nothing that would start another field or line.
fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control())
}
