//! The chapter on mounts: from the bundle's list to what is built, and where it goes.

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Mount};

use super::build::PlanError;
use super::mount::{DevTree, DeviceNode, Filesystem, FsOption, MountAttributes};
use super::text::{HostPath, RootedPath, Text};
use crate::spec::mount_options::{Bind, MountOptions, PropagationMode, SuperblockFlag};
use crate::sys::flags::mount_attr;

/// A mount of the bundle, ready to become steps.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Its JSON pointer.
    pub pointer: String,
    /// Where it goes.
    pub at: RootedPath,
    /// What it is.
    pub filesystem: Filesystem,
    /// Its flags.
    pub attributes: MountAttributes,
}

impl Wanted {
    /// What is bound there, if it is a bind mount.
    pub(super) fn source(&self) -> Option<&HostPath> {
        let Filesystem::Bind { source, .. } = &self.filesystem else { return None };
        Some(source)
    }
}

/// What the chapter decides from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Whether ids of binds are translated.
    pub mapped: bool,
    /// Whether the level holds anything back.
    pub hardened: bool,
    /// Whether the program has a terminal.
    pub terminal: bool,
    /// `/linux/devices`.
    pub devices: &'a [LinuxDevice],
    /// The directory that relative sources are relative to.
    pub bundle: &'a str,
}

/// Converts every mount of the bundle.
pub(super) fn convert(
    mounts: &[Mount],
    setting: Setting<'_>,
    errors: &mut Vec<PlanError>,
) -> Vec<Wanted> {
    let mut wanted = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.iter().enumerate() {
        let pointer = format!("/mounts/{index}");
        match one(mount, &pointer, setting) {
            Ok(mount) => wanted.push(mount),
            Err(fault) => errors.push(fault),
        }
    }
    wanted
}

fn one(mount: &Mount, pointer: &str, setting: Setting<'_>) -> Result<Wanted, PlanError> {
    let fault = |at: &str, what: String| PlanError::new(format!("{pointer}{at}"), what);
    let words = mount.options().clone().unwrap_or_default();
    let typ = mount.typ().as_deref();
    let options = MountOptions::parse(typ, &words).map_err(|bad| {
        let what = bad.into_iter().map(|bad| bad.what).collect::<Vec<_>>().join("; ");
        fault("/options", what)
    })?;
    if options.remount {
        return Err(fault("/options", "`remount` is not applied by this version".to_owned()));
    }
    let to = mount.destination().to_str().unwrap_or_default();
    let at = RootedPath::new(to).map_err(|error| fault("/destination", error.to_string()))?;
    let kind = filesystem(mount, &at, &options, pointer, setting)?;
    let attributes = attributes(&options, &kind, setting);
    Ok(Wanted { pointer: pointer.to_owned(), at, filesystem: kind, attributes })
}

fn attributes(
    options: &MountOptions,
    filesystem: &Filesystem,
    setting: Setting<'_>,
) -> MountAttributes {
    let propagation = options.propagation.map_or(libc_private(), |given| match given.mode {
        PropagationMode::Private => libc_private(),
        PropagationMode::Shared => mount_attr::MS_SHARED,
        PropagationMode::Slave => mount_attr::MS_SLAVE,
        PropagationMode::Unbindable => mount_attr::MS_UNBINDABLE,
    });
    let bind = matches!(filesystem, Filesystem::Bind { .. });
    // Under a level that holds back, what a bind brings along below it is held back, too.
    let deep = if bind && setting.hardened {
        options.attributes.set & (mount_attr::NOSUID | mount_attr::NODEV | mount_attr::RDONLY)
    } else {
        0
    };
    MountAttributes {
        set: options.attributes.set,
        clear: if bind { options.attributes.clear } else { 0 },
        recursive_set: options.recursive.set | deep,
        recursive_clear: options.recursive.clear,
        propagation: if bind { propagation } else { 0 },
        mapped: bind && setting.mapped,
    }
}

fn libc_private() -> u64 {
    mount_attr::MS_PRIVATE
}

fn filesystem(
    mount: &Mount,
    at: &RootedPath,
    options: &MountOptions,
    pointer: &str,
    setting: Setting<'_>,
) -> Result<Filesystem, PlanError> {
    let fault = |at: &str, what: String| PlanError::new(format!("{pointer}{at}"), what);
    if options.bind != Bind::No {
        return bind(mount, options, setting).map_err(|what| fault("/source", what));
    }
    let mut data = texts(options).map_err(|what| fault("/options", what))?;
    Ok(match mount.typ().as_deref().unwrap_or_default() {
        "proc" => Filesystem::Proc { options: data },
        "sysfs" => Filesystem::Sysfs { options: data },
        "mqueue" => Filesystem::Mqueue,
        "cgroup" | "cgroup2" => Filesystem::Cgroup,
        "devpts" => {
            let group = number(&mut data, "gid").map_err(|what| fault("/options", what))?;
            // Every instance is a new one since Linux 4.7.
            data.retain(|(key, _)| key.as_str() != "newinstance");
            Filesystem::Devpts { options: data, group }
        }
        "tmpfs" => {
            let uid = number(&mut data, "uid").map_err(|what| fault("/options", what))?;
            let gid = number(&mut data, "gid").map_err(|what| fault("/options", what))?;
            if at.as_str() == "/dev" {
                let tree = dev_tree(data, setting)?;
                return Ok(Filesystem::Dev(Box::new(tree)));
            }
            Filesystem::Tmpfs {
                options: data,
                owner: (uid.unwrap_or(0), gid.unwrap_or(0)),
                copy_up: options.copy_up.then(|| at.clone()),
            }
        }
        other => Filesystem::Other {
            kind: text(other).map_err(|what| fault("/type", what))?,
            source: text(&source(mount)).map_err(|what| fault("/source", what))?,
            options: data,
        },
    })
}

fn text(text: &str) -> Result<Text, String> {
    Text::new(text).map_err(|error| error.to_string())
}

fn source(mount: &Mount) -> String {
    let source = mount.source().as_ref().and_then(|source| source.to_str());
    source.or(mount.typ().as_deref()).unwrap_or("none").to_owned()
}

/// Everything that is left for the file system itself: its own words, and superblock flags.
fn texts(options: &MountOptions) -> Result<Vec<FsOption>, String> {
    let mut data = Vec::with_capacity(options.data.len());
    for (key, value) in &options.data {
        data.push((text(key)?, value.as_deref().map(text).transpose()?));
    }
    // Read-only is a flag of our mount: the file system itself must be writable while it is
    // furnished, and may be shared with other mounts of it.
    let kept = options.superblock.iter().filter(|flag| flag.flag != SuperblockFlag::ReadOnly);
    for flag in kept {
        if let Some(key) = flag.flag.fsconfig_key(flag.on) {
            data.push((text(key)?, None));
        }
    }
    Ok(data)
}

/// Takes a number out of the options.
fn number(data: &mut Vec<FsOption>, name: &str) -> Result<Option<u32>, String> {
    let Some(at) = data.iter().position(|(key, _)| key.as_str() == name) else { return Ok(None) };
    let (_, value) = data.remove(at);
    let value = value.as_ref().map_or("", Text::as_str);
    value.parse().map(Some).map_err(|_| format!("`{name}={value}` is not a number"))
}

fn bind(mount: &Mount, options: &MountOptions, setting: Setting<'_>) -> Result<Filesystem, String> {
    let source = mount.source().as_ref().and_then(|source| source.to_str());
    let source = source.filter(|source| !source.is_empty()).ok_or("is missing")?;
    let path = if source.starts_with('/') {
        HostPath::new(source)
    } else {
        HostPath::new(&format!("{}/{source}", setting.bundle))
    };
    Ok(Filesystem::Bind { source: path?, recursive: options.bind == Bind::Recursive })
}

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
pub(super) fn dev_tree(options: Vec<FsOption>, setting: Setting<'_>) -> Result<DevTree, PlanError> {
    let text_of = |name: &str| {
        Text::new(name).map_err(|error| PlanError::new("/linux/devices".into(), error.to_string()))
    };
    let mut nodes = Vec::with_capacity(STANDARD.len());
    for (name, major, minor) in STANDARD {
        let mode = CHARACTER | 0o666;
        nodes.push(DeviceNode { name: text_of(name)?, mode, major, minor, owner: (0, 0) });
    }
    for (index, device) in setting.devices.iter().enumerate() {
        let node = device_node(device, &format!("/linux/devices/{index}"))?;
        match nodes.iter_mut().find(|there| there.name == node.name) {
            Some(there) if (there.major, there.minor) == (node.major, node.minor) => *there = node,
            Some(_) => {
                let what = format!("/dev/{} is another device for every container", node.name);
                return Err(PlanError::new(format!("/linux/devices/{index}"), what));
            }
            None => nodes.push(node),
        }
    }
    let links = LINKS.iter().map(|(name, target)| Ok((text_of(name)?, text_of(target)?)));
    Ok(DevTree {
        options,
        nodes,
        links: links.collect::<Result<_, PlanError>>()?,
        directories: Vec::new(),
        files: if setting.terminal { vec![text_of("console")?] } else { Vec::new() },
        as_sources: Vec::new(),
    })
}

fn device_node(device: &LinuxDevice, pointer: &str) -> Result<DeviceNode, PlanError> {
    let fault = |what: &str| PlanError::new(pointer.to_owned(), what.to_owned());
    let path = RootedPath::new(device.path().to_str().unwrap_or_default())
        .map_err(|_| fault("its path holds a NUL"))?;
    let name = path.as_str().strip_prefix("/dev/");
    let name = name.ok_or_else(|| fault("a device outside /dev is not applied by this version"))?;
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => CHARACTER,
        LinuxDeviceType::B => BLOCK,
        LinuxDeviceType::P => PIPE,
        LinuxDeviceType::A => return Err(fault("type `a` is no kind of node")),
    };
    let small = |number: i64| u32::try_from(number).map_err(|_| fault("a number is out of range"));
    let pipe = kind == PIPE;
    Ok(DeviceNode {
        name: Text::new(name).map_err(|_| fault("its path holds a NUL"))?,
        mode: kind | (device.file_mode().unwrap_or(0o666) & 0o777),
        major: if pipe { 0 } else { small(device.major())? },
        minor: if pipe { 0 } else { small(device.minor())? },
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    })
}

/// Gives the `/dev` of ours a place for every mount below it.
pub(super) fn prepare_dev(wanted: &mut [Wanted]) {
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
