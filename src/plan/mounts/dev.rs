//! `/dev`: what is in it, whatever the image has there.

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use super::{Setting, Wanted};
use crate::plan::build::PlanError;
use crate::plan::mount::{DevTree, DeviceNode, Filesystem, FsOption};
use crate::plan::text::{HostPath, RootedPath, Text};

/// The nodes that every container has: name, major, minor.
const STANDARD: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// The links that every container has.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// File type bits of mknod(2).
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;
const PIPE: u32 = 0o010_000;

/// The content of `/dev`: the standard nodes, then what the bundle adds.
pub(in crate::plan) fn tree(
    source: Text,
    options: Vec<FsOption>,
    setting: Setting<'_>,
) -> Result<DevTree, PlanError> {
    let text_of = |name: &str| {
        Text::new(name).map_err(|error| PlanError::new("/linux/devices".into(), error.to_string()))
    };
    let mut nodes = Vec::with_capacity(STANDARD.len());
    for (name, major, minor) in STANDARD {
        let mode = CHARACTER | 0o666;
        nodes.push(DeviceNode { name: text_of(name)?, mode, major, minor, owner: (0, 0) });
    }
    for (index, device) in setting.devices.iter().enumerate() {
        let pointer = format!("/linux/devices/{index}");
        let (path, mut node) = node(device, &pointer)?;
        let Some(name) = path.as_str().strip_prefix("/dev/") else { continue };
        let is_usual = |(usual, ..): &(&str, u32, u32)| *usual == name;
        if !setting.makes_nodes && !is_pipe(&node) && !STANDARD.iter().any(is_usual) {
            let what = "is a device node, which only root can make: bind it as a mount instead";
            return Err(PlanError::new(pointer, what.to_owned()));
        }
        node.name = text_of(name)?;
        match nodes.iter_mut().find(|there| there.name == node.name) {
            Some(there) if (there.major, there.minor) == (node.major, node.minor) => *there = node,
            Some(_) => {
                let what = format!("/dev/{} is another device for every container", node.name);
                return Err(PlanError::new(pointer, what));
            }
            None => nodes.push(node),
        }
    }
    let links = LINKS.iter().map(|(name, target)| Ok((text_of(name)?, text_of(target)?)));
    Ok(DevTree {
        source,
        options,
        nodes,
        links: links.collect::<Result<_, PlanError>>()?,
        directories: Vec::new(),
        files: if setting.terminal { vec![text_of("console")?] } else { Vec::new() },
        as_sources: Vec::new(),
    })
}

/// Whether a node is no device but a named pipe, which anyone can make.
pub(in crate::plan) fn is_pipe(node: &DeviceNode) -> bool {
    node.mode & 0o170_000 == PIPE
}

/// A node, named by its whole path, and that path.
pub(in crate::plan) fn node(
    device: &LinuxDevice,
    pointer: &str,
) -> Result<(RootedPath, DeviceNode), PlanError> {
    let fault = |what: &str| PlanError::new(pointer.to_owned(), what.to_owned());
    let path = RootedPath::new(device.path().to_str().unwrap_or_default())
        .map_err(|_| fault("its path holds a NUL"))?;
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => CHARACTER,
        LinuxDeviceType::B => BLOCK,
        LinuxDeviceType::P => PIPE,
        LinuxDeviceType::A => return Err(fault("type `a` is no kind of node")),
    };
    let small = |number: i64| u32::try_from(number).map_err(|_| fault("a number is out of range"));
    let pipe = kind == PIPE;
    let node = DeviceNode {
        name: Text::new(path.as_str()).map_err(|_| fault("its path holds a NUL"))?,
        mode: kind | (device.file_mode().unwrap_or(0o666) & 0o777),
        major: if pipe { 0 } else { small(device.major())? },
        minor: if pipe { 0 } else { small(device.minor())? },
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    };
    Ok((path, node))
}

/// Gives the `/dev` of ours a place for every mount below it.
pub(in crate::plan) fn make_room(wanted: &mut [Wanted]) {
    let below: Vec<(RootedPath, Option<HostPath>)> = wanted
        .iter()
        .filter(|mount| mount.at.is_within("/dev") && mount.at.as_str() != "/dev")
        .map(|mount| (mount.at.clone(), mount.source().cloned()))
        .collect();
    let tree = wanted.iter_mut().find_map(|mount| {
        let Filesystem::Dev(tree) = &mut mount.filesystem else { return None };
        Some(tree)
    });
    let Some(tree) = tree else { return };
    for (at, source) in below {
        let Some(name) = at.as_str().strip_prefix("/dev/").and_then(|name| Text::new(name).ok())
        else {
            continue;
        };
        match source {
            Some(source) => tree.as_sources.push((name, source)),
            None => tree.directories.push(name),
        }
    }
}
