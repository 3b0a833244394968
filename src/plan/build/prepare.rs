//! What is prepared before the new process exists.

use super::Builder;
use super::ids::UserNamespace;
use crate::plan::action::{Action, ClockOffset, ClockOffsets, Gate, MountPoint, Namespace, Track};
use crate::plan::facts::FoundNamespace;
use crate::plan::mount::Filesystem;
use crate::plan::mounts::ground::{self, Ground, below};
use crate::plan::mounts::{self, Wanted};
use crate::plan::resctrl::{self, Resctrl};
use crate::plan::text::{HostPath, RootedPath};
use crate::policy::Ids;
use crate::sys::flags::mount_attr;

impl Builder<'_> {
    pub(super) fn prepare(&mut self) {
        let track = Track::Prepare;
        match (self.inputs.judged.ids, self.ids.clone()) {
            (Ids::OwnRange, _) => self.push(track, Action::TakeIds, Self::rule("ids.own-range")),
            (Ids::OfPod, Some(ids)) => {
                self.push(track, Action::JoinPod { ids }, Self::rule("ids.one-per-pod"));
            }
            (Ids::OfPod | Ids::AsWritten, _) => {}
        }
        if let Some(mut cgroup) = self.inputs.cgroup.clone().map(Box::new) {
            let shows = |mount: &Wanted| matches!(mount.filesystem, Filesystem::Groups(_));
            cgroup.in_all = self.mounts.iter().any(shows);
            let path = self.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
            let is_named = path.is_some_and(|path| !path.as_os_str().is_empty());
            let action = Action::MakeCgroup { cgroup };
            if is_named {
                self.asked(track, action, "/linux/cgroupsPath");
            } else {
                self.builtin(track, action, "the bundle names no group: the container's id does");
            }
        }
        let resctrl = self.resctrl();
        if let Some(resctrl) = resctrl.clone() {
            self.asked(track, Action::MakeResctrl(resctrl), "/linux/intelRdt");
        }
        let path = self.inputs.facts.rootfs.path.clone();
        self.asked(track, Action::OpenRootfs { path }, "/root/path");
        self.mount_points();
        self.mount_namespace();
        let facts = self.inputs.facts;
        // The user namespace of a pod is kept with its container.
        let of_pod = |kind| kind == Namespace::User && self.user == UserNamespace::OfPod;
        let opened: Vec<_> = facts.namespaces.iter().filter(|found| !of_pod(found.kind)).collect();
        for found in opened {
            if let (Namespace::Time, FoundNamespace::Wrong(why)) = (found.kind, &found.found) {
                self.fault("/linux/namespaces", format!("the path of `time` {why}"));
            }
            let action = Action::OpenNamespace { kind: found.kind, path: found.path.clone() };
            self.asked(track, action, "/linux/namespaces");
        }
        self.clocks();
        let births: Vec<_> = [Namespace::Mount, Namespace::Pid]
            .into_iter()
            .filter(|kind| self.has_new(*kind) || *kind == Namespace::Mount)
            .collect();
        let seen = self.joined.contains(&Namespace::Pid) && self.user == UserNamespace::OfPod;
        // Without root, what it makes is to be had only where the host's mounts are in sight.
        let is_user = facts.caller.is_some();
        let hides = seen && !self.has_early_hooks() && !is_user;
        if is_user && self.joined.contains(&Namespace::Pid) && self.has_early_hooks() {
            let what = "cannot be run beside a pid namespace that is joined: without root, what \
                        joins it cannot come back, and they would be born there";
            self.fault("/hooks", what);
        }
        if seen && is_user {
            let why = "neighbours in the pod's pid namespace can read the caller's mount table \
                       until the container is created";
            self.inputs.notes.push(why.to_owned());
        } else if seen && !hides {
            let why = "/hooks: a hook needs the host's mounts, so neighbours in the pod's pid \
                       namespace can read the host's mount table until it has run";
            self.inputs.notes.push(why.to_owned());
        }
        if hides {
            let why = "neighbours that see the new process see no mount or device of the host";
            self.builtin(track, Action::EnterPod, why);
        }
        self.asked(track, Action::Spawn { namespaces: births }, "/linux/namespaces");
        if hides {
            self.builtin(Track::Supervisor, Action::ComeHome, "what is built is of the host");
        }
        if let Some(resctrl) = resctrl {
            let join = Action::JoinResctrl(resctrl);
            self.asked(Track::Supervisor, join, "/linux/intelRdt");
        }
        if self.inputs.joins_v1 {
            let why = "a cgroup namespace begins where its maker is";
            self.builtin(Track::Supervisor, Action::Open { gate: Gate::Cgroups }, why);
        }
    }

    /// The mounts are always made in a namespace of the container's own. It stays in there,
    /// unless the bundle says otherwise and nothing is held back.
    fn mount_namespace(&mut self) {
        let joins = self.joined.contains(&Namespace::Mount);
        if !self.takes_root_along() {
            if joins {
                let what = "joins a mount namespace: a container that has users of its own is \
                            always put into one of its own";
                self.fault("/linux/namespaces", what);
            } else if !self.has_new(Namespace::Mount) {
                let what = "/linux/namespaces has no `mount`: the container gets one of its own";
                self.inputs.notes.push(what.to_owned());
            }
            return;
        }
        if !joins && let Ok(path) = HostPath::new("/proc/self/ns/mnt") {
            let action = Action::OpenNamespace { kind: Namespace::Mount, path };
            self.asked(Track::Prepare, action, "/linux/namespaces");
        }
        let kept = |mount: &Wanted| {
            let both = mount.attributes.propagation | mount.attributes.then_propagation;
            both & mount_attr::MS_UNBINDABLE != 0
        };
        let root = self.root_propagation()[1];
        if self.mounts.iter().any(kept) || root & mount_attr::MS_UNBINDABLE != 0 {
            let what = "has no new `mount`, and an unbindable mount cannot be taken elsewhere";
            self.fault("/linux/namespaces", what);
        }
    }

    /// Whether the container is in a mount namespace of others: init goes there once everything
    /// is mounted. Without users of its own alone, for whoever has entered a user namespace may
    /// not leave a mount namespace for one that lies outside.
    pub(super) fn takes_root_along(&self) -> bool {
        let apart = self.hardened() || self.user != UserNamespace::None;
        !apart && !self.has_new(Namespace::Mount)
    }

    fn resctrl(&mut self) -> Option<Box<Resctrl>> {
        let asked = self.spec.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref())?;
        match resctrl::group(asked, self.inputs.facts.resctrl.as_ref()) {
            Ok(group) => Some(Box::new(group)),
            Err((at, what)) => {
                self.fault(&format!("/linux/intelRdt{at}"), what);
                None
            }
        }
    }

    fn clocks(&mut self) {
        if !self.has_new(Namespace::Time) {
            return;
        }
        let given = self.spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
        let offset = |clock: &str| {
            let given = given?.get(clock)?;
            Some(ClockOffset {
                secs: given.secs().unwrap_or(0),
                nanosecs: given.nanosecs().unwrap_or(0),
            })
        };
        let offsets = ClockOffsets { monotonic: offset("monotonic"), boottime: offset("boottime") };
        self.asked(Track::Prepare, Action::ShiftClocks { offsets }, "/linux/timeOffsets");
    }

    /// Mount points that the image may lack, made through the engine's own mount; so are those
    /// in directories of the host that are bound before. Those below a mount of memory are made
    /// there, those of `/dev` with it.
    fn mount_points(&mut self) {
        let mut missing = Vec::new();
        for (index, mount) in self.mounts.iter().enumerate() {
            let kind = match &mount.filesystem {
                Filesystem::Present { .. } | Filesystem::Bind { inside: Some(_), .. } => continue,
                Filesystem::Bind { source, .. } => MountPoint::AsSource { source: source.clone() },
                Filesystem::Proc { .. }
                | Filesystem::Sysfs { .. }
                | Filesystem::Mqueue { .. }
                | Filesystem::Cgroup { .. }
                | Filesystem::Groups(_)
                | Filesystem::Group { .. }
                | Filesystem::Devpts { .. }
                | Filesystem::Tmpfs { .. }
                | Filesystem::Dev(_)
                | Filesystem::Notify
                | Filesystem::Other { .. } => MountPoint::Directory,
            };
            let (at, within) = match self.ground(index) {
                Ground::Image if mount.at.as_str() != "/" => (Some(mount.at.clone()), None),
                Ground::Host { source, at } => (below(&mount.at, at), Some(source.clone())),
                Ground::Image | Ground::Memory | Ground::Fixed => (None, None),
            };
            let Some(at) = at else { continue };
            missing.push((Action::MakeMountPoint { at, kind, within }, mount.pointer.clone()));
        }
        for (action, pointer) in missing {
            self.asked(Track::Prepare, action, &pointer);
        }
        self.scratch_places();
        self.devices(Track::Prepare);
        if let Some((at, Ground::Image)) = self.directory() {
            let kind = MountPoint::Directory;
            let action = Action::MakeMountPoint { at, kind, within: None };
            self.asked(Track::Prepare, action, "/process/cwd");
        }
    }

    /// Nodes outside `/dev`: in the image beforehand, in what is mounted once it is.
    pub(super) fn devices(&mut self, track: Track) {
        let linux = self.spec.linux().as_ref();
        let devices = linux.and_then(|linux| linux.devices().clone()).unwrap_or_default();
        let own_dev = self.mounts.iter().any(|m| matches!(m.filesystem, Filesystem::Dev(_)));
        for (index, device) in devices.iter().enumerate() {
            let pointer = format!("/linux/devices/{index}");
            let (at, node) = match mounts::dev::node(device, &pointer) {
                Ok(found) => found,
                // Said once, by the mounts' chapter.
                Err(_) => continue,
            };
            if at.is_within("/dev") && own_dev {
                continue;
            }
            let ground = ground::of(&at, &self.mounts, &self.inputs.judged.scratch);
            let place = match ground {
                Ground::Image => Some(Track::Prepare),
                Ground::Memory => Some(Track::Supervisor),
                Ground::Host { .. } | Ground::Fixed => None,
            };
            if place == Some(track) {
                let on_disk = track == Track::Prepare && self.mapped;
                self.asked(track, Action::MakeDevice { node, on_disk }, &pointer);
            } else if place.is_none() && track == Track::Prepare {
                let note =
                    format!("{pointer}: {at} lies in what is mounted there, and is not made");
                self.inputs.notes.push(note);
            }
        }
    }

    /// The working directory, and what it is on, unless it is one that is surely there.
    pub(super) fn directory(&self) -> Option<(RootedPath, Ground<'_>)> {
        let at = RootedPath::new(self.process.cwd().to_str().unwrap_or_default()).ok()?;
        let is_there = at.as_str() == "/" || self.mounts.iter().any(|mount| mount.at == at);
        let ground = ground::of(&at, &self.mounts, &self.inputs.judged.scratch);
        (!is_there).then_some((at, ground))
    }

    /// What the mount of this index stands on.
    pub(super) fn ground(&self, index: usize) -> Ground<'_> {
        let (before, rest) = self.mounts.split_at_checked(index).unwrap_or_default();
        rest.first().map_or(Ground::Image, |mount| {
            ground::of(&mount.at, before, &self.inputs.judged.scratch)
        })
    }
}
