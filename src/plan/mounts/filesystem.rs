//! What a mount is of: from type, source and options to a file system.

use oci_spec::runtime::{LinuxIdMapping, Mount};

use super::{Setting, dev, groups};
use crate::plan::build::PlanError;
use crate::plan::mount::{BindIds, BindMapping, BindMappingLine, Filesystem, FsOption};
use crate::plan::text::{HostPath, RootedPath, Text};
use crate::spec::mount_options::{Bind, Idmap, MountOptions, OwnMappingLine, SuperblockFlag};

pub(super) fn of(
    mount: &Mount,
    at: &RootedPath,
    options: &MountOptions,
    pointer: &str,
    setting: Setting<'_>,
) -> Result<Filesystem, PlanError> {
    let fault = |at: &str, what: String| PlanError::new(format!("{pointer}{at}"), what);
    if options.bind != Bind::No && options.remount {
        // `mount -o remount,bind`: of the mount that is there, and not of its file system.
        return Ok(Filesystem::Present { options: Vec::new() });
    }
    if options.bind != Bind::No {
        return bind(mount, options, setting).map_err(|what| fault("/source", what));
    }
    let mut data = texts(options).map_err(|what| fault("/options", what))?;
    let typ = mount.typ().as_deref().unwrap_or_default();
    if options.remount {
        if let Some(read_only) = read_only(options) {
            data.push((text(read_only).map_err(|what| fault("/options", what))?, None));
        }
        return Ok(Filesystem::Present { options: data });
    }
    let source = text(&source(mount)).map_err(|what| fault("/source", what))?;
    let is_labelled = data.iter().any(|(key, _)| key.as_str().ends_with("context"));
    let label = setting.label.filter(|_| !is_labelled);
    // The kernel's own file systems have labels by themselves.
    let by_option = !matches!(typ, "proc" | "sysfs" | "cgroup" | "cgroup2" | "mqueue");
    data.extend(label.filter(|_| by_option).cloned());
    Ok(match typ {
        "proc" => Filesystem::Proc { source, options: data },
        "sysfs" => Filesystem::Sysfs { source, options: data },
        "mqueue" => {
            let label = label.filter(|_| setting.own_queues).and_then(|(_, label)| label.clone());
            Filesystem::Mqueue { source, options: data, label }
        }
        "cgroup" if !setting.hierarchies.is_empty() => {
            data.extend(label.cloned());
            let tree = groups::tree(source, data, setting.hierarchies);
            Filesystem::Groups(Box::new(tree.map_err(|what| fault("", what))?))
        }
        "cgroup" | "cgroup2" => Filesystem::Cgroup { source, options: data },
        "devpts" => {
            let group = number(&mut data, "gid").map_err(|what| fault("/options", what))?;
            // Every instance is a new one since Linux 4.7.
            data.retain(|(key, _)| key.as_str() != "newinstance");
            Filesystem::Devpts { source, options: data, group }
        }
        "tmpfs" => {
            let uid = number(&mut data, "uid").map_err(|what| fault("/options", what))?;
            let gid = number(&mut data, "gid").map_err(|what| fault("/options", what))?;
            if at.as_str() == "/dev" {
                let tree = dev::tree(source, data, setting)?;
                return Ok(Filesystem::Dev(Box::new(tree)));
            }
            let has_mode = data.iter().any(|(key, _)| key.as_str() == "mode");
            Filesystem::Tmpfs {
                source,
                options: data,
                owner: (uid.unwrap_or(0), gid.unwrap_or(0)),
                copy_up: options.copy_up.then(|| at.clone()),
                mode_of: (!has_mode).then(|| at.clone()),
            }
        }
        other => {
            if let Some(read_only) = read_only(options) {
                data.push((text(read_only).map_err(|what| fault("/options", what))?, None));
            }
            let kind = text(other).map_err(|what| fault("/type", what))?;
            Filesystem::Other { kind, source, options: data }
        }
    })
}

/// The word for the file system itself, if the bundle says one.
fn read_only(options: &MountOptions) -> Option<&'static str> {
    let said = options.superblock.iter().find(|flag| flag.flag == SuperblockFlag::ReadOnly)?;
    said.flag.fsconfig_key(said.on)
}

/// What is asked for and has no effect: it is said, not dropped.
pub(super) fn notes(mount: &Mount, options: &MountOptions, pointer: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if mount.destination().is_relative() {
        notes.push(format!("{pointer}/destination is relative, which is deprecated"));
    }
    for asked in &options.superblock {
        let why = match asked.flag {
            SuperblockFlag::InodeVersion => Some("each file system decides about it by itself"),
            SuperblockFlag::Silent => {
                asked.on.then_some("the kernel logs as much about such a mount as about any")
            }
            SuperblockFlag::ReadOnly => None,
            SuperblockFlag::Synchronous
            | SuperblockFlag::DirSync
            | SuperblockFlag::Mandatory
            | SuperblockFlag::LazyTime => {
                (options.bind != Bind::No).then_some("the file system that is bound stays as it is")
            }
        };
        if let Some(why) = why {
            let word = asked.flag.word(asked.on);
            notes.push(format!("{pointer}/options: `{word}` has no effect: {why}"));
        }
    }
    notes
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
    }?;
    let recursive = options.bind == Bind::Recursive;
    // A translated root is another tree than the one that has this path.
    let inside = if setting.mapped { None } else { inside(path.as_str(), setting.rootfs) };
    Ok(Filesystem::Bind { source: path, recursive, inside, ids: ids(mount, options) })
}

/// The path inside the root of what lies at a path of the host, if it lies in there.
pub(super) fn inside(path: &str, rootfs: &str) -> Option<RootedPath> {
    let path = RootedPath::new(path).ok()?;
    let rest = path.as_str().strip_prefix(rootfs)?;
    let is_below = rest.starts_with('/') && rootfs != "/";
    is_below.then(|| RootedPath::new(rest).ok()).flatten()
}

/// The mapping of a bind mount: its own properties go before what stands in the option.
fn ids(mount: &Mount, options: &MountOptions) -> Option<BindIds> {
    let recursive = options.idmap == Some(Idmap::Recursive);
    let given = |lines: &Option<Vec<LinuxIdMapping>>| {
        let line = |line: &LinuxIdMapping| BindMappingLine {
            on_disk: line.container_id(),
            seen_as: line.host_id(),
            size: line.size(),
            inside: false,
        };
        lines.iter().flatten().map(line).collect::<Vec<_>>()
    };
    let (uids, gids) = (given(mount.uid_mappings()), given(mount.gid_mappings()));
    if !uids.is_empty() {
        return Some(BindIds { recursive, own: Some(BindMapping { uids, gids }) });
    }
    options.idmap?;
    let own = options.mapping.as_ref().map(|mapping| {
        let lines = |lines: &[OwnMappingLine]| {
            let line = |line: &OwnMappingLine| BindMappingLine {
                on_disk: line.on_disk,
                seen_as: line.seen_as,
                size: line.size,
                inside: line.inside,
            };
            lines.iter().map(line).collect()
        };
        BindMapping { uids: lines(&mapping.uids), gids: lines(&mapping.gids) }
    });
    Some(BindIds { recursive, own })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a mount of this type is of, where mounts are to have a label.
    fn labelled(kind: &str, own_queues: bool) -> Filesystem {
        let label = (text("context").unwrap(), Some(text("a:b:c").unwrap()));
        let setting = Setting { label: Some(&label), own_queues, ..Setting::plain() };
        let mount = serde_json::from_value(json!({"destination": "/m", "type": kind})).unwrap();
        let at = RootedPath::new("/m").unwrap();
        of(&mount, &at, &MountOptions::default(), "/mounts/0", setting).unwrap()
    }

    #[test]
    fn the_kernel_is_told_the_label_of_what_it_makes_for_the_mount() {
        let is_told = |kind| format!("{:?}", labelled(kind, true)).contains("a:b:c");

        assert!(["tmpfs", "devpts", "ramfs"].into_iter().all(is_told));
        assert!(!["proc", "sysfs", "cgroup"].into_iter().any(is_told));
    }

    #[test]
    fn queues_are_labelled_once_they_are_there_unless_they_are_the_hosts() {
        for own_queues in [true, false] {
            let Filesystem::Mqueue { options, label, .. } = labelled("mqueue", own_queues) else {
                panic!("no queues")
            };

            assert_eq!(options, []);
            assert_eq!(label.is_some(), own_queues);
        }
    }
}
