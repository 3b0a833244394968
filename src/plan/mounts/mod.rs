//! The chapter on mounts: from the bundle's list to what is built, and where it goes.

pub(super) mod dev;
mod filesystem;
pub(super) mod ground;
mod groups;

use oci_spec::runtime::{LinuxDevice, Mount};

use super::build::PlanError;
use super::cgroup::HierarchyView;
use super::mount::{BindIds, DeviceNode, Filesystem, FsOption, MountAttributes};
use super::text::{HostPath, RootedPath};
use crate::spec::mount_options::{Attributes, MountOptions, Propagation, PropagationMode};
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
    /// What of it has no effect here.
    pub notes: Vec<String>,
}

impl Wanted {
    /// What of the host is bound there, if it is such a bind mount.
    pub(super) fn source(&self) -> Option<&HostPath> {
        let Filesystem::Bind { source, inside: None, .. } = &self.filesystem else { return None };
        Some(source)
    }
}

/// What the chapter decides from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Whether ids of binds are translated.
    pub mapped: bool,
    /// Whether there is a user namespace by whose mapping they could be.
    pub has_ids: bool,
    /// Whether the level holds anything back.
    pub hardened: bool,
    /// Whether flags of the host's mounts can be taken back: where no user namespace is between.
    pub unlocks: bool,
    /// Whether the bundle has a user namespace of its own: inside, flags of the host's mounts
    /// would be locked.
    pub locks: bool,
    /// The option that labels what is made for the container.
    pub label: Option<&'a FsOption>,
    /// Whether the IPC namespace, and with it the message queues, is not the host's.
    pub own_queues: bool,
    /// Whether the program has a terminal.
    pub terminal: bool,
    /// Whether device nodes can be made: by root of the host alone.
    pub makes_nodes: bool,
    /// `/linux/devices`.
    pub devices: &'a [LinuxDevice],
    /// What is shown of control groups where the host has hierarchies of version 1.
    pub hierarchies: &'a [HierarchyView],
    /// The directory that relative sources are relative to.
    pub bundle: &'a str,
    /// Where the root file system is on the host.
    pub rootfs: &'a str,
}

#[cfg(test)]
impl Setting<'_> {
    /// Nothing is mapped, held back, labelled or asked for, and root of the host calls.
    const fn plain() -> Self {
        Self {
            mapped: false,
            has_ids: false,
            hardened: false,
            unlocks: false,
            locks: false,
            label: None,
            own_queues: false,
            terminal: false,
            makes_nodes: true,
            devices: &[],
            hierarchies: &[],
            bundle: "/bundle",
            rootfs: "/bundle/rootfs",
        }
    }
}

/// Has the host's own nodes bound where none can be made.
pub(super) fn bind_nodes(wanted: &mut Vec<Wanted>) {
    let dev = wanted.iter_mut().find_map(|mount| {
        let Filesystem::Dev(tree) = &mut mount.filesystem else { return None };
        let pointer = mount.pointer.clone();
        let is_device = |node: &mut DeviceNode| !dev::is_pipe(node);
        Some((pointer, tree.nodes.extract_if(.., is_device).collect::<Vec<_>>()))
    });
    let Some((pointer, nodes)) = dev else { return };
    for node in nodes {
        let path = format!("/dev/{}", node.name);
        let (Ok(source), Ok(at)) = (HostPath::new(&path), RootedPath::new(&path)) else { continue };
        if wanted.iter().any(|mount| mount.at == at) {
            continue;
        }
        let flags = mount_attr::NOSUID | mount_attr::NOEXEC;
        wanted.push(Wanted {
            pointer: pointer.clone(),
            at,
            filesystem: Filesystem::Bind { source, recursive: false, inside: None, ids: None },
            attributes: MountAttributes {
                propagation: mount_attr::MS_PRIVATE,
                ..MountAttributes::plain(flags)
            },
            notes: Vec::new(),
        });
    }
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
            Ok(mount) => {
                let shown = groups::below(&mount, setting.hierarchies);
                wanted.push(mount);
                wanted.extend(shown);
            }
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
    let to = mount.destination().to_str().unwrap_or_default();
    let at = RootedPath::new(to).map_err(|error| fault("/destination", error.to_string()))?;
    // Some callers name a place in the container by where it is on the host.
    let on_host = if setting.hardened { None } else { filesystem::inside(to, setting.rootfs) };
    let at = on_host.unwrap_or(at);
    let filesystem = filesystem::of(mount, &at, &options, pointer, setting)?;
    let attributes = attributes(&options, &filesystem, setting);
    if let Filesystem::Bind { ids: Some(BindIds { own: None, .. }), .. } = filesystem
        && !setting.has_ids
    {
        let what = "`idmap` needs a mapping: the container has no user namespace to take it from";
        return Err(fault("/options", what.to_owned()));
    }
    let notes = filesystem::notes(mount, &options, pointer);
    Ok(Wanted { pointer: pointer.to_owned(), at, filesystem, attributes, notes })
}

fn attributes(
    options: &MountOptions,
    filesystem: &Filesystem,
    setting: Setting<'_>,
) -> MountAttributes {
    let bind = matches!(filesystem, Filesystem::Bind { .. });
    let old = bind || matches!(filesystem, Filesystem::Present { .. } | Filesystem::Group { .. });
    let below = options.recursive;
    let top = if bind && !setting.hardened {
        as_mount(options.attributes, setting)
    } else {
        // What the host forbids on a mount is allowed again by name alone.
        options.attributes
    };
    // Under a level that holds back, what a bind brings along below it is held back, too.
    let deep = if bind && setting.hardened {
        top.set & (mount_attr::NOSUID | mount_attr::NODEV | mount_attr::RDONLY)
    } else {
        0
    };
    let locked = setting.locks && matches!(filesystem, Filesystem::Bind { inside: None, .. });
    let top = if locked { without_diratime(top) } else { top };
    let [first, then] = propagation(&options.propagation, filesystem);
    let top = prevail(top, below);
    // A mount that is made has no mount below it, and nothing yet to be cleared.
    let made = Attributes { set: below.applied_to(top.set), clear: 0 };
    let (top, below) = if old { (top, below) } else { (made, Attributes::default()) };
    MountAttributes {
        set: top.set,
        clear: top.clear,
        recursive_set: below.set | deep,
        recursive_clear: below.clear,
        propagation: first,
        then_propagation: then,
        locked,
        mapped: match filesystem {
            Filesystem::Bind { ids: None, .. } => setting.mapped,
            Filesystem::Bind { ids: Some(ids), .. } => ids.own.is_none(),
            Filesystem::Proc { .. }
            | Filesystem::Sysfs { .. }
            | Filesystem::Mqueue { .. }
            | Filesystem::Cgroup { .. }
            | Filesystem::Groups(_)
            | Filesystem::Group { .. }
            | Filesystem::Devpts { .. }
            | Filesystem::Tmpfs { .. }
            | Filesystem::Dev(_)
            | Filesystem::Other { .. }
            | Filesystem::Notify
            | Filesystem::Present { .. } => false,
        },
    }
}

/// The flags of a bind mount as runc has them, and mount(2): once one is said, none but those
/// that are said. Inside a user namespace the kernel holds on to what the host forbids.
fn as_mount(asked: Attributes, setting: Setting<'_>) -> Attributes {
    const FREE: u64 = mount_attr::NOSYMFOLLOW;
    const LOCKED: u64 =
        mount_attr::RDONLY | mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC;
    if asked.is_empty() {
        return asked;
    }
    let mut cleared = if setting.unlocks { FREE | LOCKED } else { FREE };
    // With a word about access times, what none names is the kernel's default.
    if (asked.set & mount_attr::NODIRATIME) | (asked.clear & mount_attr::ATIME_MASK) != 0 {
        cleared |= mount_attr::ATIME_MASK | mount_attr::NODIRATIME;
    }
    Attributes { set: asked.set, clear: asked.clear | (cleared & !asked.set) }
}

/// `diratime` takes nothing back where access times are locked, with other runtimes, either.
fn without_diratime(asked: Attributes) -> Attributes {
    Attributes { clear: asked.clear & !(mount_attr::NODIRATIME & !asked.set), ..asked }
}

/// What is left for the top alone when `below` goes to every mount of the tree.
fn prevail(top: Attributes, below: Attributes) -> Attributes {
    let mut theirs = below.set | below.clear;
    if theirs & mount_attr::ATIME_MASK != 0 {
        theirs |= mount_attr::ATIME_MASK;
    }
    Attributes { set: top.set & !theirs, clear: top.clear & !theirs }
}

/// What is asked for, one after the other; a bind is private where nothing is.
fn propagation(asked: &[Propagation], filesystem: &Filesystem) -> [u64; 2] {
    let mut steps = asked.iter().map(|one| {
        let mode = match one.mode {
            PropagationMode::Private => mount_attr::MS_PRIVATE,
            PropagationMode::Shared => mount_attr::MS_SHARED,
            PropagationMode::Slave => mount_attr::MS_SLAVE,
            PropagationMode::Unbindable => mount_attr::MS_UNBINDABLE,
        };
        mode | if one.recursive { mount_attr::MS_REC } else { 0 }
    });
    let default = match filesystem {
        Filesystem::Bind { recursive: true, .. } => mount_attr::MS_PRIVATE | mount_attr::MS_REC,
        Filesystem::Bind { recursive: false, .. } | Filesystem::Group { .. } => {
            mount_attr::MS_PRIVATE
        }
        Filesystem::Proc { .. }
        | Filesystem::Sysfs { .. }
        | Filesystem::Mqueue { .. }
        | Filesystem::Cgroup { .. }
        | Filesystem::Groups(_)
        | Filesystem::Devpts { .. }
        | Filesystem::Tmpfs { .. }
        | Filesystem::Dev(_)
        | Filesystem::Other { .. }
        | Filesystem::Notify
        | Filesystem::Present { .. } => 0,
    };
    [steps.next().unwrap_or(default), steps.next().unwrap_or(0)]
}
