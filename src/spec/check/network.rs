//! `/linux/netDevices`: names that the kernel takes.

use oci_spec::runtime::Linux;

use super::Report;
use crate::spec::pointer::Pointer;
use crate::spec::words::Quoted;

/// Longest name of a network device, in bytes. Reference: `IFNAMSIZ`, linux/if.h.
const MAX_NAME: usize = 15;

pub(super) fn check(report: &mut Report, linux: &Linux) {
    let Some(devices) = linux.net_devices() else { return };
    let mut sorted: Vec<_> = devices.iter().collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    for (name, device) in sorted {
        let at = || Pointer::of("/linux/netDevices").key(name);
        if let Some(what) = fault(name) {
            report.say(at(), what);
        }
        let inside = device.name().as_deref().filter(|name| !name.is_empty());
        if let Some(what) = inside.and_then(fault) {
            report.say(at().key("name"), what);
        }
    }
}

fn fault(name: &str) -> Option<String> {
    let is_odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name == "." || name == ".." || name.contains(is_odd) {
        return Some(format!("not the name of a network device: {}", Quoted(name)));
    }
    (name.len() > MAX_NAME).then(|| format!("longer than {MAX_NAME} bytes: {}", Quoted(name)))
}
