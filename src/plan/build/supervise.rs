//! What the supervisor does beside init: everything that is mounted.

use super::Builder;
use super::ids::UserNamespace;
use super::init::OwnMounts;
use crate::plan::action::{Action, Gate, Limit, Namespace, Place, Slot, Track};
use crate::plan::facts::{FoundNamespace, NamespaceFacts};
use crate::plan::hooks::Stage;
use crate::plan::mount::Filesystem;
use crate::plan::mounts::Wanted;
use crate::plan::mounts::ground::{self, Ground};
use crate::plan::text::{RootedPath, Text};
use crate::plan::{Origin, process, task};
use crate::sys::flags::mount_attr;

/// A mount on its way to its place.
pub(super) struct Attached {
    /// `None` for a change to what is there already.
    pub(super) slot: Option<Slot>,
    pub(super) at: RootedPath,
    pub(super) place: Place,
    pub(super) origin: Origin,
    /// What is done first: a change, or for what can only be built inside the container's namespaces.
    pub(super) build: Option<Action>,
    pub(super) late: bool,
}

impl Builder<'_> {
    /// A container that sees its own control group as the root, mounted writable, and has users of
    /// its own, may divide the group. Spec: config-linux.md, "Cgroup ownership".
    fn delegate_cgroup(&mut self) {
        let writable = self.mounts.iter().find(|mount| {
            matches!(mount.filesystem, Filesystem::Cgroup { .. })
                && mount.attributes.set & mount_attr::RDONLY == 0
        });
        let Some(pointer) = writable.map(|mount| mount.pointer.clone()) else { return };
        let has_users = self.user != UserNamespace::None;
        let has_group = self.inputs.cgroup.is_some();
        // On hosts with v1 the limits are elsewhere, and so would be those of groups below.
        if has_users && has_group && self.has_new(Namespace::Cgroup) && !self.inputs.joins_v1 {
            let action = Action::DelegateCgroup { uid: self.process.user().uid() };
            self.asked(Track::Supervisor, action, &pointer);
        }
    }

    /// The supervisor, beside init.
    pub(super) fn supervise(&mut self, own: &OwnMounts, raised: &[Limit]) {
        let track = Track::Supervisor;
        let wait = "init has its user namespace";
        self.builtin(track, Action::Await { gate: Gate::UserNamespace }, wait);
        if let Some(ids) = self.ids.clone() {
            let origin = self.user_origin();
            match self.user {
                UserNamespace::New => self.push(track, Action::WriteIdMaps { ids }, origin),
                UserNamespace::Given => self.push(track, Action::CheckIdMaps { ids }, origin),
                UserNamespace::None | UserNamespace::OfPod => {}
            }
        }
        self.delegate_cgroup();
        let why = "what only init could build";
        for slot in own.slots() {
            self.builtin(track, Action::FetchMount { slot }, why);
        }
        let done = "ids are mapped, and what it built was fetched";
        self.builtin(track, Action::Open { gate: Gate::IdMaps }, done);
        let sealed = self.root_tree();
        let attached = self.build_mounts(own);
        let net = self.net_sysctls();
        if !net.is_empty() {
            self.builtin(track, Action::KeepSysctl, "before /proc/sys is read-only");
        }
        self.builtin(track, Action::EnterMounts, "to attach what was built");
        let hooked = self.has_early_hooks();
        self.attach_root(hooked);
        let (late, early): (Vec<_>, Vec<_>) = attached.into_iter().partition(|mount| mount.late);
        early.into_iter().for_each(|mount| self.attach(mount));
        self.devices(Track::Supervisor);
        if let Some((at, Ground::Memory)) = self.directory() {
            self.asked(track, Action::MakeDirectory { at }, "/process/cwd");
        }
        self.note_relative_covers();
        let (covers, late_covers): (Vec<_>, Vec<_>) =
            self.covers().into_iter().partition(|(action, _)| is_in_proc(action));
        covers.into_iter().for_each(|(action, origin)| self.push(track, action, origin));
        // Without root, a new sysfs is to be had only where one is in sight, and copies of this
        // process are made under the host's `/proc`.
        let in_sight = self.inputs.facts.caller.is_some();
        if !hooked && !in_sight {
            // Here, because taking the host's mounts away takes as long as init needs for its
            // namespaces. What comes later is attached by descriptors of the new root.
            self.pivot();
        }
        self.limits(raised);
        let made = "init has its network, IPC and UTS namespaces";
        self.builtin(track, Action::Await { gate: Gate::Namespaces }, made);
        if !late.is_empty() || !net.is_empty() {
            let why = "sysfs and mqueue bind to the namespaces of who opens them";
            let enter = match self.inputs.facts.caller {
                None => Action::EnterNetworkAndIpc,
                Some(_) => Action::VisitNetworkAndIpc,
            };
            self.builtin(track, enter, why);
        }
        late.into_iter().for_each(|mount| self.attach(mount));
        for (name, value, origin) in net {
            self.push(track, Action::SetNetSysctl { name, value }, origin);
        }
        if !hooked && in_sight {
            self.pivot();
        }
        self.terminal();
        late_covers.into_iter().for_each(|(action, origin)| self.push(track, action, origin));
        if !hooked {
            self.propagate_root();
        }
        self.builtin(track, Action::ComeHome, "the rest is done outside");
        self.net_devices();
        self.builtin(track, Action::Await { gate: Gate::Ready }, "init waits for start");
        if hooked {
            // Everything exists, and nothing of the image has run.
            let stages = [Stage::Prestart, Stage::CreateRuntime, Stage::CreateContainer];
            self.hooks(track, &stages);
            self.builtin(track, Action::EnterMounts, "hooks have seen the host's files");
            for (at, origin) in sealed.into_iter().chain(std::mem::take(&mut self.sealed)) {
                self.push(track, Action::Seal { at }, origin);
            }
            self.pivot();
            self.propagate_root();
            self.builtin(track, Action::ComeHome, "the rest is done outside");
        }
        if self.takes_root_along() {
            let why = "everything is mounted, in a namespace that nobody else is in";
            self.builtin(track, Action::Open { gate: Gate::Mounts }, why);
            let done = "init is where the bundle wants it";
            self.builtin(track, Action::Await { gate: Gate::Placed }, done);
            if !self.joined.contains(&Namespace::Mount) {
                // In the runtime's own, mounts are seen, and more can be made inside.
                let over = self.inputs.facts.rootfs.path.clone();
                self.asked(track, Action::AttachRoot { over }, "/linux/namespaces");
            }
        }
    }

    fn pivot(&mut self) {
        let track = Track::Supervisor;
        self.asked(track, Action::CheckProgram, "/process/args");
        self.builtin(track, Action::Pivot, "the host's files are gone from inside");
    }

    /// What only the supervisor may do to init.
    fn limits(&mut self, raised: &[Limit]) {
        let track = Track::Supervisor;
        for limit in raised {
            let action = Action::RaiseLimit { limit: *limit };
            self.asked(track, action, "/process/rlimits");
        }
        if let Some(score) = self.process.oom_score_adj() {
            self.asked(track, Action::SetOomScore { score }, "/process/oomScoreAdj");
        }
        if let Some(asked) = self.process.io_priority() {
            let priority = task::io_priority(asked);
            self.asked(track, Action::SetIoPriority { priority }, "/process/ioPriority");
        }
        if let Some(asked) = self.process.scheduler() {
            let scheduler = task::scheduler(asked);
            self.asked(track, Action::SetScheduler { scheduler }, "/process/scheduler");
        }
    }

    /// Builds what can be built beforehand, and returns everything that is to be attached, in
    /// its order.
    fn build_mounts(&mut self, own: &OwnMounts) -> Vec<Attached> {
        let mut attached = self.scratch();
        let grounds: Vec<_> = (0..self.mounts.len())
            .map(|index| {
                let ground = self.ground(index);
                let mount = self.mounts.get(index);
                let place = mount.map_or(Place::Existing, |mount| ground::place(mount, ground));
                (place, ground == Ground::Image)
            })
            .collect();
        let mounts = std::mem::take(&mut self.mounts);
        let late: Vec<RootedPath> = mounts
            .iter()
            .filter(|m| m.filesystem.is_of_network_or_ipc())
            .map(|m| m.at.clone())
            .collect();
        for (mount, (place, on_image)) in mounts.iter().zip(grounds) {
            let touches = |other: &RootedPath| {
                other.is_within(mount.at.as_str()) && !carries_others(mount)
                    || mount.at.is_within(other.as_str())
            };
            let origin = self.origin(&mount.pointer);
            let mut build = None;
            let slot = if let Some(slot) = own.slot_of(&mount.pointer) {
                Some(slot)
            } else if matches!(mount.filesystem, Filesystem::Present { .. }) {
                None
            } else {
                let slot = self.slot();
                let filesystem = mount.filesystem.clone();
                let attributes = mount.attributes;
                let action = Action::BuildMount { slot, filesystem, attributes };
                if mount.filesystem.is_of_network_or_ipc()
                    || looks_inside(&mount.filesystem, on_image)
                {
                    build = Some(action);
                } else {
                    self.push(Track::Supervisor, action, origin.clone());
                }
                Some(slot)
            };
            if let Filesystem::Present { options } = &mount.filesystem {
                build = Some(Action::Remount {
                    at: mount.at.clone(),
                    options: options.clone(),
                    attributes: mount.attributes,
                });
            }
            let late = late.iter().any(touches);
            attached.push(Attached { slot, at: mount.at.clone(), place, origin, build, late });
        }
        self.mounts = mounts;
        attached
    }

    fn attach(&mut self, mount: Attached) {
        if let Some(build) = mount.build {
            self.push(Track::Supervisor, build, mount.origin.clone());
        }
        if let Some(slot) = mount.slot {
            let action = Action::Attach { slot, at: mount.at, place: mount.place };
            self.push(Track::Supervisor, action, mount.origin);
        }
    }

    fn net_sysctls(&self) -> Vec<(Text, Text, Origin)> {
        let mut all: Vec<_> = self
            .sysctls(|name| name.starts_with("net."))
            .into_iter()
            .map(|(name, value, pointer)| (name, value, self.origin(&pointer)))
            .collect();
        let asked = |wanted: &str| all.iter().any(|(name, _, _)| name.as_str() == wanted);
        let ports = "net/ipv4/ip_unprivileged_port_start";
        // Inside a network namespace that belongs to the host, no capability of the container
        // counts: what it may do there must be allowed to everyone.
        // In the network of a pod, whoever made the pod has done so, or chose not to.
        let hosts =
            |of: &NamespaceFacts| of.kind == Namespace::Network && of.found == FoundNamespace::Host;
        let foreign = self.joined.contains(&Namespace::Network)
            && !self.inputs.facts.namespaces.iter().any(hosts)
            && self.ids.is_some()
            && self.user != UserNamespace::OfPod;
        if foreign
            && !asked(ports)
            && let (Ok(name), Ok(value)) = (Text::new(ports), Text::new("0"))
        {
            let why = "root of another user namespace may not use low ports otherwise";
            all.push((name, value, Origin::Builtin(why.to_owned())));
        }
        all
    }

    fn net_devices(&mut self) {
        let linux = self.spec.linux().as_ref();
        let devices = linux.and_then(|linux| linux.net_devices().clone()).unwrap_or_default();
        if devices.is_empty() {
            return;
        }
        if !self.has_new(Namespace::Network) && !self.joined.contains(&Namespace::Network) {
            let what = "needs a `network` namespace for the devices to be moved to";
            self.fault("/linux/netDevices", what);
        }
        let mut devices: Vec<_> = devices.into_iter().collect();
        devices.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, device) in devices {
            let inside = device.name().clone().filter(|name| !name.is_empty());
            let inside = inside.unwrap_or_else(|| name.clone());
            let pointer = format!("/linux/netDevices/{name}");
            if let (Ok(host), Ok(inside)) = (Text::new(name), Text::new(inside)) {
                let action = Action::MoveNetDevice { host, inside };
                self.asked(Track::Supervisor, action, &pointer);
            }
        }
    }

    fn terminal(&mut self) {
        if self.process.terminal() != Some(true) {
            return;
        }
        let size = process::console_size(self.process);
        let owner = process::terminal_owner(self.process, self.ids.as_ref());
        let action = Action::MakeTerminal { size, owner };
        self.asked(Track::Supervisor, action, "/process/terminal");
    }

    /// The specification wants absolute paths. Other runtimes stand in the root when they read
    /// them: what is meant is covered rather than left open.
    fn note_relative_covers(&mut self) {
        let Some(linux) = self.spec.linux().as_ref() else { return };
        for (list, paths) in
            [("maskedPaths", linux.masked_paths()), ("readonlyPaths", linux.readonly_paths())]
        {
            for (index, path) in paths.iter().flatten().enumerate() {
                if !path.starts_with('/') {
                    let note = format!("/linux/{list}/{index}: taken as a path from the root");
                    self.inputs.notes.push(note);
                }
            }
        }
    }

    /// Read-only and masked paths, in this order: a mask lies on top.
    fn covers(&self) -> Vec<(Action, Origin)> {
        let mut covers = Vec::new();
        let Some(linux) = self.spec.linux().as_ref() else { return covers };
        let mut seen = Vec::new();
        for (index, path) in linux.readonly_paths().iter().flatten().enumerate() {
            let Ok(at) = RootedPath::new(path) else { continue };
            if seen.contains(&at) {
                continue;
            }
            seen.push(at.clone());
            let pointer = format!("/linux/readonlyPaths/{index}");
            let origin = self.list_origin("proc.read-only", path, &pointer);
            covers.push((Action::MakeReadonly { at }, origin));
        }
        seen.clear();
        for (index, path) in linux.masked_paths().iter().flatten().enumerate() {
            let Ok(at) = RootedPath::new(path) else { continue };
            if seen.contains(&at) {
                continue;
            }
            seen.push(at.clone());
            let pointer = format!("/linux/maskedPaths/{index}");
            let origin = self.list_origin("proc.masked", path, &pointer);
            covers.push((Action::Mask { at, label: self.label.clone() }, origin));
        }
        covers
    }

    /// The control that added `path` to a list, or the bundle.
    fn list_origin(&self, rule: &str, path: &str, pointer: &str) -> Origin {
        let added =
            self.inputs.judged.changes.iter().any(|change| {
                change.rule == rule && change.to.split(' ').any(|added| added == path)
            });
        if added { Self::rule(rule) } else { Origin::Config(pointer.to_owned()) }
    }
}

/// Whether a path that is covered lies in procfs, which is attached early: no link of the image
/// leads there or away from there.
fn is_in_proc(action: &Action) -> bool {
    let (Action::Mask { at, .. } | Action::MakeReadonly { at }) = action else { return false };
    at.is_within("/proc")
}

/// Whether it depends on what the mounts before it have made of the container's root.
fn looks_inside(filesystem: &Filesystem, on_image: bool) -> bool {
    match filesystem {
        Filesystem::Bind { inside, .. } => inside.is_some(),
        Filesystem::Tmpfs { copy_up, mode_of, .. } => {
            !on_image && (copy_up.is_some() || mode_of.is_some())
        }
        Filesystem::Proc { .. }
        | Filesystem::Sysfs { .. }
        | Filesystem::Mqueue { .. }
        | Filesystem::Cgroup { .. }
        | Filesystem::Groups(_)
        | Filesystem::Group { .. }
        | Filesystem::Devpts { .. }
        | Filesystem::Dev(_)
        | Filesystem::Other { .. }
        | Filesystem::Notify
        | Filesystem::Present { .. } => false,
    }
}

/// A file system for others to be mounted in: what is late inside does not make it late.
fn carries_others(mount: &Wanted) -> bool {
    matches!(mount.filesystem, Filesystem::Dev(_) | Filesystem::Groups(_))
        || mount.at.as_str() == "/"
}
