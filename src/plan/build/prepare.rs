//! What is prepared before the new process exists.

use super::Builder;
use super::ids::UserNamespace;
use crate::plan::action::{Action, ClockOffset, ClockOffsets, Gate, MountPoint, Namespace, Track};
use crate::plan::facts::FoundNamespace;
use crate::plan::mounts::Wanted;
use crate::plan::text::RootedPath;
use crate::policy::Ids;

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
        let cgroup = Box::new(self.inputs.cgroup.clone());
        self.asked(track, Action::MakeCgroup { cgroup }, "/linux/cgroupsPath");
        let path = self.inputs.facts.rootfs.path.clone();
        self.asked(track, Action::OpenRootfs { path }, "/root/path");
        self.mount_points();
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
        let hides = self.joined.contains(&Namespace::Pid) && self.user == UserNamespace::OfPod;
        if hides {
            let why = "neighbours that see the new process see no mount or device of the host";
            self.builtin(track, Action::EnterPod, why);
        }
        self.asked(track, Action::Spawn { namespaces: births }, "/linux/namespaces");
        if hides {
            self.builtin(Track::Supervisor, Action::ComeHome, "what is built is of the host");
        }
        if self.inputs.joins_v1 {
            let why = "a cgroup namespace begins where its maker is";
            self.builtin(Track::Supervisor, Action::Open { gate: Gate::Cgroups }, why);
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

    /// Mount points that the image may lack, made through the engine's own mount. Those below
    /// a mount of memory are made there, those of `/dev` with it.
    fn mount_points(&mut self) {
        let mut missing = Vec::new();
        for (index, mount) in self.mounts.iter().enumerate() {
            if self.is_within_memory(index) || mount.at.as_str() == "/" {
                continue;
            }
            let kind = match mount.source() {
                Some(source) => MountPoint::AsSource { source: source.clone() },
                None => MountPoint::Directory,
            };
            missing.push((mount.at.clone(), kind, mount.pointer.clone()));
        }
        for (at, kind, pointer) in missing {
            self.asked(Track::Prepare, Action::MakeMountPoint { at, kind }, &pointer);
        }
        let directory = self.process.cwd().to_str().unwrap_or_default();
        let Ok(at) = RootedPath::new(directory) else { return };
        let covered = |mount: &Wanted| mount.at.as_str() != "/" && at.is_within(mount.at.as_str());
        if at.as_str() != "/" && !self.mounts.iter().any(covered) && !self.is_scratch(&at) {
            let action = Action::MakeMountPoint { at, kind: MountPoint::Directory };
            self.asked(Track::Prepare, action, "/process/cwd");
        }
    }

    pub(super) fn is_scratch(&self, at: &RootedPath) -> bool {
        self.inputs.judged.scratch.iter().any(|scratch| at.is_within(scratch))
    }

    /// Whether a mount lies in scratch, or below a mount that comes before it: its place is in
    /// there, not in the image.
    fn is_within_memory(&self, index: usize) -> bool {
        let Some(mount) = self.mounts.get(index) else { return false };
        let below = |other: &Wanted| {
            other.at != mount.at
                && other.at.as_str() != "/"
                && mount.at.is_within(other.at.as_str())
        };
        self.is_scratch(&mount.at) || self.mounts.iter().take(index).any(below)
    }
}
