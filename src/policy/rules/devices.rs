//! Devices: the standard nodes, and no others.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::policy::case::list_of;
use crate::policy::{Case, RuleId};
use crate::spec::paths;

const STANDARD_ONLY: RuleId = RuleId("dev.standard-only");
const OWN: RuleId = RuleId("dev.own");
const CGROUP_DEVICES: RuleId = RuleId("cgroup.devices");

pub(super) fn apply(case: &mut Case<'_>) {
    nodes(case);
    access_rules(case);
}

fn letter(typ: LinuxDeviceType) -> &'static str {
    match typ {
        LinuxDeviceType::C | LinuxDeviceType::U => "c",
        LinuxDeviceType::B => "b",
        LinuxDeviceType::P => "p",
        LinuxDeviceType::A => "a",
    }
}

/// The word of a list that allows a device; `None` for a number means any.
fn allowed_by<'a>(
    list: &[&'a str],
    typ: &str,
    major: Option<i64>,
    minor: Option<i64>,
) -> Option<&'a str> {
    let major = major?;
    let any = format!("{typ} {major}:*");
    let exact = minor.map(|minor| format!("{typ} {major}:{minor}"));
    let allows = |word: &&&str| **word == any || exact.as_deref() == Some(**word);
    list.iter().find(allows).copied()
}

/// Whether a device is one of the standard ones.
fn is_standard(typ: &str, major: Option<i64>, minor: Option<i64>) -> bool {
    allowed_by(list_of(STANDARD_ONLY), typ, major, minor).is_some()
}

fn nodes(case: &mut Case<'_>) {
    let Some(devices) = case.spec.linux().as_ref().and_then(|linux| linux.devices().clone()) else {
        return;
    };
    for (index, device) in devices.iter().enumerate() {
        let typ = letter(device.typ());
        let standard = is_standard(typ, Some(device.major()), Some(device.minor()));
        let outside = !paths::inside_root(device.path()).starts_with("/dev");
        if typ != "p" && outside {
            case.refuse(
                OWN,
                format!("/linux/devices/{index}/path"),
                format!("is {}, and no device opens outside /dev", device.path().display()),
                "put it below /dev",
            );
        }
        // A named pipe is no way to the host.
        if typ == "p" || standard {
            continue;
        }
        let added = case.added(STANDARD_ONLY);
        let exception = allowed_by(&added, typ, Some(device.major()), Some(device.minor()));
        let at = format!("/linux/devices/{index}");
        if let Some(word) = exception {
            let what = format!("has the device {}", device.path().display());
            case.used(STANDARD_ONLY, word, &at, &what);
        } else {
            let what = if typ == "b" { "block device" } else { "character device" };
            case.refuse(
                STANDARD_ONLY,
                at,
                format!("asks for the {what} {}", device.path().display()),
                "leave the device out, or let an administrator add it to the policy",
            );
        }
    }
}

/// Access that the bundle allows beyond the standard nodes is withheld: there is no node to
/// use it on, so this changes what an attacker finds, not what a workload can do.
fn access_rules(case: &mut Case<'_>) {
    let resources = case.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let Some(rules) = resources.and_then(|resources| resources.devices().clone()) else { return };
    let added = case.added(STANDARD_ONLY);
    let keep = |rule: &LinuxDeviceCgroup| {
        let typ = rule.typ().map_or("a", letter);
        let standard = is_standard(typ, rule.major(), rule.minor());
        !rule.allow() || standard || allowed_by(&added, typ, rule.major(), rule.minor()).is_some()
    };
    let kept: Vec<_> = rules.iter().filter(|rule| keep(rule)).cloned().collect();
    if kept.len() != rules.len() {
        let lost = rules.iter().filter(|rule| !keep(rule)).map(ToString::to_string);
        let lost: Vec<_> = lost.collect();
        case.change(
            CGROUP_DEVICES,
            "/linux/resources/devices",
            format!("access to {}", lost.join("; ")),
            "access to the standard devices only",
        );
        let linux = case.spec.linux_mut().as_mut();
        if let Some(resources) = linux.and_then(|linux| linux.resources_mut().as_mut()) {
            resources.set_devices(Some(kept));
        }
    }
}
