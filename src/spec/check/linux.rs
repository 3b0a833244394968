//! `/linux`: namespaces, id mappings, devices, sysctls and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceType, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType,
    LinuxSeccomp,
};

use super::process::NO_ID;
use super::{Report, namespace_word};
use crate::spec::paths;
use crate::spec::pointer::Pointer;
use crate::spec::words::Quoted;

/// Most lines of an id map. Reference: `user_namespaces(7)`.
const MAX_MAPPINGS: usize = 340;

/// Largest device numbers. Reference: `MKDEV`, linux/kdev_t.h.
const MAX_MAJOR: i64 = 0xfff;
const MAX_MINOR: i64 = 0xf_ffff;

/// The bits of a mode that are permissions, and those that are the type of the file.
const MODE_BITS: u32 = 0o7777;
const TYPE_BITS: u32 = 0o170_000;

pub(super) fn check(report: &mut Report, linux: &Linux) {
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    check_namespaces(report, namespaces);
    check_id_maps(report, linux, namespaces);
    check_devices(report, linux.devices().as_deref().unwrap_or_default());
    // Sorted, so that two reports on one config are the same.
    for (key, value) in linux.sysctl().iter().flatten().collect::<BTreeMap<_, _>>() {
        check_sysctl(report, key, value);
    }
    if let Some(path) = linux.cgroups_path() {
        check_cgroups_path(report, &path.to_string_lossy());
    }
    if let Some(seccomp) = linux.seccomp() {
        check_listener(report, seccomp);
    }
    if let Some(word) = linux.rootfs_propagation() {
        check_propagation(report, word);
    }
    super::task::linux(report, linux);
    super::network::check(report, linux);
    for (at, list) in [
        ("/linux/maskedPaths", linux.masked_paths()),
        ("/linux/readonlyPaths", linux.readonly_paths()),
    ] {
        for (i, path) in list.iter().flatten().enumerate() {
            if path.is_empty() {
                report.say(Pointer::of(at).index(i), "is empty".to_owned());
            }
        }
    }
}

fn check_listener(report: &mut Report, seccomp: &LinuxSeccomp) {
    let at = |key| Pointer::of("/linux/seccomp").key(key);
    match seccomp.listener_path() {
        Some(path) if !path.is_absolute() => {
            report.say(
                at("listenerPath"),
                format!("not absolute: {}", Quoted(&path.to_string_lossy())),
            );
        }
        None if seccomp.listener_metadata().is_some() => {
            report.say(
                at("listenerMetadata"),
                "is for an agent, and listenerPath names none".to_owned(),
            );
        }
        Some(_) | None => {}
    }
}

fn check_namespaces(report: &mut Report, namespaces: &[LinuxNamespace]) {
    let mut named: Vec<LinuxNamespaceType> = Vec::new();
    for (i, namespace) in namespaces.iter().enumerate() {
        let at = || Pointer::of("/linux/namespaces").index(i);
        let word = namespace_word(namespace.typ());
        if named.contains(&namespace.typ()) {
            report.say(at().key("type"), format!("`{word}` stands twice"));
        } else {
            named.push(namespace.typ());
        }
        let path = namespace.path().as_deref().unwrap_or_else(|| Path::new(""));
        if path.is_relative() && !path.as_os_str().is_empty() {
            let what = format!("not absolute: {}", Quoted(&path.to_string_lossy()));
            report.say(at().key("path"), what);
        }
    }
}

fn check_id_maps(report: &mut Report, linux: &Linux, namespaces: &[LinuxNamespace]) {
    let uids = linux.uid_mappings().as_deref().unwrap_or_default();
    let gids = linux.gid_mappings().as_deref().unwrap_or_default();
    check_mappings(report, &Pointer::of("/linux/uidMappings"), uids);
    check_mappings(report, &Pointer::of("/linux/gidMappings"), gids);
    match (uids, gids) {
        ([], []) => return,
        ([], [_, ..]) => report.say(Pointer::of("/linux/uidMappings"), "missing; groups have one"),
        ([_, ..], []) => report.say(Pointer::of("/linux/gidMappings"), "missing; users have one"),
        ([_, ..], [_, ..]) => {}
    }
    if !namespaces.iter().any(|n| n.typ() == LinuxNamespaceType::User) {
        let what = "has no `user`, and the id mappings need it";
        report.say(Pointer::of("/linux/namespaces"), what);
    }
}

pub(super) fn check_mappings(report: &mut Report, at: &Pointer, mappings: &[LinuxIdMapping]) {
    if mappings.len() > MAX_MAPPINGS {
        let what = format!("{} mappings; the kernel takes 340", mappings.len());
        report.say(at.clone(), what);
        return;
    }
    for (i, mapping) in mappings.iter().enumerate() {
        let here = || at.clone().index(i);
        if mapping.size() == 0 {
            report.say(here().key("size"), "zero; the mapping maps nothing");
        }
        let earlier = mappings.iter().take(i);
        for (name, first) in named_starts(mapping) {
            if first.checked_add(mapping.size()).is_none() {
                report.say(here().key(name), "reaches 4294967295, which is no id");
            }
            let mut starts = earlier.clone().map(|other| (start_of(other, name), other.size()));
            if starts.any(|(start, size)| overlap((first, mapping.size()), (start, size))) {
                report.say(here().key(name), "overlaps an earlier mapping");
            }
        }
    }
}

fn named_starts(mapping: &LinuxIdMapping) -> [(&'static str, u32); 2] {
    [("containerID", mapping.container_id()), ("hostID", mapping.host_id())]
}

fn start_of(mapping: &LinuxIdMapping, name: &str) -> u32 {
    if name == "hostID" { mapping.host_id() } else { mapping.container_id() }
}

/// Whether two ranges, each given by first id and size, share an id.
fn overlap(a: (u32, u32), b: (u32, u32)) -> bool {
    let end = |(first, size): (u32, u32)| u64::from(first) + u64::from(size);
    a.1 > 0 && b.1 > 0 && u64::from(a.0) < end(b) && u64::from(b.0) < end(a)
}

fn check_devices(report: &mut Report, devices: &[LinuxDevice]) {
    let mut places = BTreeSet::<PathBuf>::new();
    for (i, device) in devices.iter().enumerate() {
        let at = Pointer::of("/linux/devices").index(i);
        let path = Quoted(&device.path().to_string_lossy()).to_string();
        if !device.path().is_absolute() {
            report.say(at.clone().key("path"), format!("not absolute: {path}"));
        } else if paths::climbs(device.path()) {
            report.say(at.clone().key("path"), format!("has a `..`: {path}"));
        }
        if !places.insert(paths::inside_root(device.path())) {
            report.say(at.clone().key("path"), format!("stands twice: {path}"));
        }
        check_device(report, &at, device);
    }
}

fn check_device(report: &mut Report, at: &Pointer, device: &LinuxDevice) {
    let type_bits = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => 0o020_000,
        LinuxDeviceType::B => 0o060_000,
        LinuxDeviceType::P => 0o010_000,
        LinuxDeviceType::A => {
            report.say(at.clone().key("type"), "`a` is for device rules; a node is c, b, u or p");
            return;
        }
    };
    let is_numbered = device.typ() != LinuxDeviceType::P;
    if is_numbered && device.major() == 0 && device.minor() == 0 {
        report.say(at.clone(), "`major` and `minor` missing, or both zero: no device has these");
    }
    for (name, number, most) in
        [("major", device.major(), MAX_MAJOR), ("minor", device.minor(), MAX_MINOR)]
    {
        if is_numbered && !(0..=most).contains(&number) {
            report.say(at.clone().key(name), format!("not from 0 to {most}: {number}"));
        }
    }
    // Engines copy a mode from stat(2), with the type of the file in it.
    let mode = device.file_mode().unwrap_or_default();
    let mode_type = mode & TYPE_BITS;
    if mode & !(TYPE_BITS | MODE_BITS) != 0 || (mode_type != 0 && mode_type != type_bits) {
        report.say(at.clone().key("fileMode"), format!("not the mode of such a node: 0{mode:o}"));
    }
    for (name, id) in [("uid", device.uid()), ("gid", device.gid())] {
        if id == Some(NO_ID) {
            report.say(at.clone().key(name), "4294967295 is no id");
        }
    }
}

/// One form only, that with dots: two spellings of a key would be two keys to a policy.
fn check_sysctl(report: &mut Report, key: &str, value: &str) {
    let at = || Pointer::of("/linux/sysctl").key(key);
    if !is_sysctl_key(key) {
        report.say(at(), "not the name of a sysctl, such as `net.ipv4.ip_forward`");
    }
    if value.contains('\n') {
        report.say(at(), format!("has a line feed in its value: {}", Quoted(value)));
    }
}

/// `[a-z0-9_-]+(\.[A-Za-z0-9_:*-]+)+`
fn is_sysctl_key(key: &str) -> bool {
    let mut parts = key.split('.');
    let is_first = |part: &str| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        !part.is_empty() && part.bytes().all(fits)
    };
    let is_other = |part: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_:*-".contains(&b);
        !part.is_empty() && part.bytes().all(fits)
    };
    parts.next().is_some_and(is_first) && key.contains('.') && parts.all(is_other)
}

/// Both forms: a path, and `slice:prefix:name`, which is a path, too, where systemd is not asked.
fn check_cgroups_path(report: &mut Report, path: &str) {
    let at = || Pointer::of("/linux/cgroupsPath");
    if path.split(['/', ':']).any(|part| part == "..") {
        report.say(at(), format!("has a `..`: {}", Quoted(path)));
    }
    if path.chars().any(char::is_control) {
        report.say(at(), format!("has a control character: {}", Quoted(path)));
    }
}

fn check_propagation(report: &mut Report, word: &str) {
    let known = ["", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable"];
    if !known.contains(&word) && word != "runbindable" {
        let what = format!("not a propagation type: {}", Quoted(word));
        report.say(Pointer::of("/linux/rootfsPropagation"), what);
    }
}
