//! The order of everything: the security argument, from top to bottom.
//!
//! Three lists are written, one for each track, each in its own order; the numbering follows
//! the design: what is prepared, what init does until it is ready, what the supervisor does
//! beside it, and what init does after `start`.

use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};

use super::action::{Action, Gate, IdMap, IdMapping, MountPoint, Namespace, Place, Slot, Track};
use super::cgroup::CgroupPlan;
use super::facts::{KernelFacts, RootfsKind};
use super::mount::{Filesystem, FsOption, MountAttributes};
use super::mounts::{self, Setting, Wanted};
use super::text::{RootedPath, Text};
use super::{LaunchPlan, Origin, Step, gates, process};
use crate::policy::{Judged, Level};
use crate::seccomp::Program;
use crate::sys::flags::mount_attr;

/// What a plan is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The specification, after the policy.
    pub judged: &'a Judged,
    /// What was found out about the host.
    pub facts: &'a KernelFacts,
    /// The control group's chapter.
    pub cgroup: CgroupPlan,
    /// The seccomp filter; `None` only where the level allows none.
    pub filter: Option<Program>,
    /// What the caller asked for on the command line.
    pub options: CreateOptions,
    /// The bundle's absolute path.
    pub bundle: &'a str,
    /// What could not be had and is not essential.
    pub notes: Vec<String>,
}

/// What `create` and `run` take beside the bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub keep_keyring: bool,
    /// Descriptors above 2 that the program inherits (`--preserve-fds`).
    pub preserve: u32,
}

/// Why a bundle cannot become a plan. Nothing was created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct PlanError {
    /// A JSON pointer (RFC 6901) into config.json.
    pub at: String,
    /// What is wrong there, as a clause.
    pub what: String,
}

impl PlanError {
    /// A fault at a place.
    #[must_use]
    pub fn new(at: String, what: String) -> Self {
        Self { at, what }
    }
}

/// Whether a writable mount will have its ids translated: then the filter must keep set-id
/// files from being made on it.
#[must_use]
pub fn has_writable_mapped_mount(spec: &Spec, own_range: bool) -> bool {
    let writable = |mount: &oci_spec::runtime::Mount| {
        let words = mount.options().clone().unwrap_or_default();
        let bind = mount.typ().as_deref() == Some("bind")
            || words.iter().any(|word| word == "bind" || word == "rbind");
        bind && !words.iter().any(|word| word == "ro" || word == "rro")
    };
    own_range && spec.mounts().iter().flatten().any(writable)
}

/// Builds the plan.
///
/// # Errors
/// All faults of the bundle that only show when it is put together.
pub fn build(inputs: Inputs<'_>) -> Result<LaunchPlan, Vec<PlanError>> {
    let builder = Builder::new(inputs)?;
    builder.build()
}

struct Builder<'a> {
    inputs: Inputs<'a>,
    spec: &'a Spec,
    process: &'a Process,
    /// How ids are mapped; `None` without a user namespace.
    ids: Option<IdMap>,
    new: Vec<Namespace>,
    joined: Vec<Namespace>,
    mounts: Vec<Wanted>,
    steps: Vec<Step>,
    errors: Vec<PlanError>,
    next_slot: u16,
}

impl<'a> Builder<'a> {
    fn new(inputs: Inputs<'a>) -> Result<Self, Vec<PlanError>> {
        let spec = &inputs.judged.spec;
        let Some(process) = spec.process().as_ref() else {
            let what = "is missing: there is nothing to run".to_owned();
            return Err(vec![PlanError::new("/process".to_owned(), what)]);
        };
        let (new, joined) = namespaces(spec);
        let mut builder = Self {
            spec,
            process,
            ids: None,
            new,
            joined,
            mounts: Vec::new(),
            steps: Vec::with_capacity(128),
            errors: Vec::new(),
            next_slot: 1,
            inputs,
        };
        builder.ids = builder.id_map();
        builder.mounts = builder.wanted_mounts();
        Ok(builder)
    }

    fn hardened(&self) -> bool {
        self.inputs.judged.level == Level::Hardened
    }

    fn has_new(&self, kind: Namespace) -> bool {
        self.new.contains(&kind)
    }

    fn fault(&mut self, at: &str, what: impl Into<String>) {
        self.errors.push(PlanError::new(at.to_owned(), what.into()));
    }

    /// Who asked for what is at `pointer`: the bundle, or the control that changed it.
    fn origin(&self, pointer: &str) -> Origin {
        match self.inputs.judged.changed_by(pointer) {
            Some(change) => Origin::Rule { id: change.rule.clone(), at: change.policy.clone() },
            None => Origin::Config(pointer.to_owned()),
        }
    }

    fn rule(id: &str) -> Origin {
        Origin::Rule { id: id.to_owned(), at: crate::policy::place(id) }
    }

    fn push(&mut self, track: Track, action: Action, origin: Origin) {
        self.steps.push(Step { track, action, origin });
    }

    fn builtin(&mut self, track: Track, action: Action, why: &str) {
        self.push(track, action, Origin::Builtin(why.to_owned()));
    }

    fn asked(&mut self, track: Track, action: Action, pointer: &str) {
        let origin = self.origin(pointer);
        self.push(track, action, origin);
    }

    fn slot(&mut self) -> Slot {
        let slot = Slot(self.next_slot);
        self.next_slot = self.next_slot.saturating_add(1);
        slot
    }

    fn id_map(&mut self) -> Option<IdMap> {
        if !self.has_new(Namespace::User) {
            return None;
        }
        if self.inputs.judged.own_range {
            return Some(IdMap::OwnRange);
        }
        let lines = |given: &Option<Vec<oci_spec::runtime::LinuxIdMapping>>| {
            let convert = |line: &oci_spec::runtime::LinuxIdMapping| IdMapping {
                inside: line.container_id(),
                outside: line.host_id(),
                size: line.size(),
            };
            given.iter().flatten().map(convert).collect::<Vec<_>>()
        };
        let linux = self.spec.linux().as_ref()?;
        let (uids, gids) = (lines(linux.uid_mappings()), lines(linux.gid_mappings()));
        if uids.is_empty() || gids.is_empty() {
            self.fault("/linux/uidMappings", "a user namespace without mappings has no ids");
        }
        Some(IdMap::Given { uids, gids })
    }

    fn wanted_mounts(&mut self) -> Vec<Wanted> {
        let devices = self.spec.linux().as_ref().and_then(|linux| linux.devices().clone());
        let devices = devices.unwrap_or_default();
        let setting = Setting {
            mapped: self.ids == Some(IdMap::OwnRange),
            hardened: self.hardened(),
            terminal: self.process.terminal() == Some(true),
            devices: &devices,
            bundle: self.inputs.bundle,
        };
        let given = self.spec.mounts().clone().unwrap_or_default();
        let mut wanted = mounts::convert(&given, setting, &mut self.errors);
        if !wanted.iter().any(|mount| mount.at.as_str() == "/dev") {
            match own_dev(setting) {
                Ok(dev) => wanted.insert(0, dev),
                Err(error) => self.errors.push(error),
            }
        }
        mounts::prepare_dev(&mut wanted);
        wanted
    }

    fn build(mut self) -> Result<LaunchPlan, Vec<PlanError>> {
        let program = match process::program(self.process) {
            Ok(program) => program,
            Err(error) => {
                self.errors.push(error);
                return Err(self.errors);
            }
        };
        self.check_ids();
        let sets = process::capability_sets(self.process, self.inputs.facts);
        let (limits, raised) = process::limits(self.process, self.inputs.facts, &mut self.errors);
        self.prepare();
        let slots = self.init_until_ready();
        self.supervise(&slots, &raised);
        let filter = self.inputs.filter.take();
        let preserve = self.inputs.options.preserve;
        let last = process::last_steps(self.process, &program, sets, limits, filter, preserve);
        self.builtin(Track::Init, Action::AwaitStart, "created, not started");
        for (action, pointer) in last {
            self.last(action, pointer);
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        if let Err(fault) = gates::simulate(&self.steps) {
            return Err(vec![PlanError::new(String::new(), fault.to_string())]);
        }
        let judged = self.inputs.judged;
        Ok(LaunchPlan {
            version: LaunchPlan::VERSION,
            level: judged.level.as_str().to_owned(),
            policy: judged.source.clone(),
            steps: self.steps,
            program,
            changes: judged.changes.clone(),
            would_refuse: judged.would_refuse.clone(),
            would_change: judged.would_change.clone(),
            notes: self.inputs.notes,
        })
    }

    /// A last step of init. The filter is the policy's work where the policy holds.
    fn last(&mut self, action: Action, pointer: &str) {
        if matches!(action, Action::LoadFilter { .. }) && self.hardened() {
            self.push(Track::Init, action, Self::rule("seccomp.baseline"));
        } else if pointer.is_empty() {
            self.builtin(Track::Init, action, "nothing of the caller's is inherited");
        } else {
            self.asked(Track::Init, action, pointer);
        }
    }

    /// Every id of the process must exist inside.
    fn check_ids(&mut self) {
        let user = self.process.user();
        let (uid, gid) = (user.uid(), user.gid());
        let extra: Vec<u32> = user.additional_gids().iter().flatten().copied().collect();
        if !maps(self.ids.as_ref(), uid, true) {
            self.fault("/process/user/uid", format!("{uid} is not mapped"));
        }
        if !maps(self.ids.as_ref(), gid, false) {
            self.fault("/process/user/gid", format!("{gid} is not mapped"));
        }
        for (index, gid) in extra.into_iter().enumerate() {
            if !maps(self.ids.as_ref(), gid, false) {
                let at = format!("/process/user/additionalGids/{index}");
                self.fault(&at, format!("{gid} is not mapped"));
            }
        }
    }

    fn prepare(&mut self) {
        let track = Track::Prepare;
        if self.ids == Some(IdMap::OwnRange) {
            self.push(track, Action::TakeIds, Self::rule("ids.own-range"));
        }
        let cgroup = Box::new(self.inputs.cgroup.clone());
        self.asked(track, Action::MakeCgroup { cgroup }, "/linux/cgroupsPath");
        let path = self.inputs.facts.rootfs.path.clone();
        self.asked(track, Action::OpenRootfs { path }, "/root/path");
        self.mount_points();
        let facts = self.inputs.facts;
        for found in &facts.namespaces {
            let action = Action::OpenNamespace { kind: found.kind, path: found.path.clone() };
            self.asked(track, action, "/linux/namespaces");
        }
        let births: Vec<_> = [Namespace::Mount, Namespace::Pid]
            .into_iter()
            .filter(|kind| self.has_new(*kind) || *kind == Namespace::Mount)
            .collect();
        self.asked(track, Action::Spawn { namespaces: births }, "/linux/namespaces");
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

    fn is_scratch(&self, at: &RootedPath) -> bool {
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

    /// Init, from its birth to the point where it waits for `start`. Returns the slots of what
    /// it builds.
    fn init_until_ready(&mut self) -> OwnMounts {
        let track = Track::Init;
        self.builtin(track, Action::MakeMountsPrivate, "nothing propagates to the host");
        for kind in [Namespace::Network, Namespace::Ipc, Namespace::Uts, Namespace::Cgroup] {
            if self.joined.contains(&kind) {
                self.asked(track, Action::JoinNamespace { kind }, "/linux/namespaces");
            }
        }
        if self.has_new(Namespace::Cgroup) {
            let kinds = vec![Namespace::Cgroup];
            self.asked(track, Action::NewNamespaces { kinds }, "/linux/namespaces");
        }
        let slots = self.own_mounts();
        if self.ids.is_some() {
            let kinds = vec![Namespace::User];
            let origin = self.user_origin();
            self.push(track, Action::NewNamespaces { kinds }, origin);
        }
        let built = "proc and cgroup2 are built, ids may be mapped";
        self.builtin(track, Action::Open { gate: Gate::UserNamespace }, built);
        let wait = "ids are mapped, and what it built was fetched";
        self.builtin(track, Action::Await { gate: Gate::IdMaps }, wait);
        if self.ids.is_some() {
            let why = "what it makes from here on belongs to the container's root";
            self.builtin(track, Action::BecomeRoot, why);
        }
        self.inner_namespaces();
        slots
    }

    fn user_origin(&self) -> Origin {
        if self.inputs.judged.own_range {
            Self::rule("ids.own-range")
        } else {
            self.origin("/linux/uidMappings")
        }
    }

    /// The two file systems that bind to the namespaces of the process that opens them.
    fn own_mounts(&mut self) -> OwnMounts {
        let proc = self.mounts.iter().find(|m| matches!(m.filesystem, Filesystem::Proc { .. }));
        let (action, pointer) = match proc {
            Some(mount) => (
                Action::BuildMount {
                    slot: Slot(0),
                    filesystem: mount.filesystem.clone(),
                    attributes: mount.attributes,
                },
                Some(mount.pointer.clone()),
            ),
            None => (
                Action::BuildMount {
                    slot: Slot(0),
                    filesystem: Filesystem::Proc { options: Vec::new() },
                    attributes: plain(KERNEL_FLAGS),
                },
                None,
            ),
        };
        match &pointer {
            Some(pointer) => self.asked(Track::Init, action, pointer),
            None => self.builtin(Track::Init, action, "to set limits through; never attached"),
        }
        let cgroup = self.mounts.iter().find(|m| m.filesystem == Filesystem::Cgroup);
        let cgroup = cgroup.map(|mount| (mount.attributes, mount.pointer.clone()));
        let cgroup = cgroup.map(|(attributes, pointer)| {
            let slot = self.slot();
            let filesystem = Filesystem::Cgroup;
            let action = Action::BuildMount { slot, filesystem, attributes };
            self.asked(Track::Init, action, &pointer);
            slot
        });
        OwnMounts { proc: Slot(0), cgroup }
    }

    fn inner_namespaces(&mut self) {
        let track = Track::Init;
        let inner = [Namespace::Network, Namespace::Ipc, Namespace::Uts];
        let kinds: Vec<_> = inner.into_iter().filter(|kind| self.has_new(*kind)).collect();
        if !kinds.is_empty() {
            self.asked(track, Action::NewNamespaces { kinds }, "/linux/namespaces");
        }
        let made = "network, IPC and UTS namespaces exist";
        self.builtin(track, Action::Open { gate: Gate::Namespaces }, made);
        if self.has_new(Namespace::Network) {
            self.builtin(track, Action::LoopbackUp, "a network namespace begins with lo down");
        }
        self.names();
        for (name, value, pointer) in self.sysctls(|name| !name.starts_with("net.")) {
            self.asked(track, Action::SetIpcSysctl { name, value }, &pointer);
        }
        if self.ids.is_some() && self.hardened() {
            self.push(track, Action::ForbidNamespaces, Self::rule("ns.none-inside"));
        }
        if !self.inputs.options.keep_keyring {
            self.builtin(track, Action::NewKeyring, "the caller's keys stay behind");
        }
        let terminal = self.process.terminal() == Some(true);
        self.asked(track, Action::NewSession { terminal }, "/process/terminal");
        self.builtin(track, Action::Open { gate: Gate::Ready }, "nothing is left before start");
    }

    fn names(&mut self) {
        let own_uts = self.has_new(Namespace::Uts);
        let given = [
            ("/hostname", self.spec.hostname().clone()),
            ("/domainname", self.spec.domainname().clone()),
        ];
        for (pointer, name) in given {
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            let Ok(name) = Text::new(name) else { continue };
            if !own_uts && !self.joined.contains(&Namespace::Uts) {
                self.fault(pointer, "needs a `uts` namespace, or it would be the host's name");
                continue;
            }
            // A joined namespace was named by whoever made it.
            if own_uts {
                let action = if pointer == "/hostname" {
                    Action::SetHostname { name }
                } else {
                    Action::SetDomainname { name }
                };
                self.asked(Track::Init, action, pointer);
            }
        }
    }

    /// Kernel parameters whose name passes `keep`, sorted.
    fn sysctls(&self, keep: impl Fn(&str) -> bool) -> Vec<(Text, Text, String)> {
        let given = self.spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
        let mut all: Vec<_> = given
            .into_iter()
            .flatten()
            .filter(|(name, _)| keep(name))
            .filter_map(|(name, value)| {
                let path = Text::new(name.replace('.', "/")).ok()?;
                let value = Text::new(value.as_str()).ok()?;
                Some((path, value, format!("/linux/sysctl/{name}")))
            })
            .collect();
        all.sort();
        all
    }

    /// The supervisor, beside init.
    fn supervise(&mut self, own: &OwnMounts, raised: &[super::action::Limit]) {
        let track = Track::Supervisor;
        let wait = "init has its user namespace";
        self.builtin(track, Action::Await { gate: Gate::UserNamespace }, wait);
        if let Some(ids) = self.ids.clone() {
            let origin = self.user_origin();
            self.push(track, Action::WriteIdMaps { ids }, origin);
        }
        let why = "what only init could build";
        for slot in [Some(own.proc), own.cgroup].into_iter().flatten() {
            self.builtin(track, Action::FetchMount { slot }, why);
        }
        let done = "ids are mapped, and what it built was fetched";
        self.builtin(track, Action::Open { gate: Gate::IdMaps }, done);
        self.root_tree();
        let attached = self.build_mounts(own);
        let net = self.net_sysctls();
        if !net.is_empty() {
            self.builtin(track, Action::KeepSysctl, "before /proc/sys is read-only");
        }
        self.builtin(track, Action::EnterMounts, "to attach what was built");
        self.builtin(track, Action::AttachRoot, "the new root");
        let (late, early): (Vec<_>, Vec<_>) = attached.into_iter().partition(|mount| mount.late);
        early.into_iter().for_each(|mount| self.attach(mount));
        let made = "init has its network, IPC and UTS namespaces";
        self.builtin(track, Action::Await { gate: Gate::Namespaces }, made);
        if !late.is_empty() || !net.is_empty() {
            let why = "sysfs and mqueue bind to the namespaces of who opens them";
            self.builtin(track, Action::EnterNetworkAndIpc, why);
        }
        late.into_iter().for_each(|mount| self.attach(mount));
        for (name, value, origin) in net {
            self.push(track, Action::SetNetSysctl { name, value }, origin);
        }
        self.terminal();
        self.cover();
        self.asked(track, Action::CheckProgram, "/process/args");
        self.builtin(track, Action::Pivot, "the host's files are gone from inside");
        for limit in raised {
            let action = Action::RaiseLimit { limit: *limit };
            self.asked(track, action, "/process/rlimits");
        }
        if let Some(score) = self.process.oom_score_adj() {
            self.asked(track, Action::SetOomScore { score }, "/process/oomScoreAdj");
        }
        self.builtin(track, Action::ComeHome, "the rest is done outside");
        self.builtin(track, Action::Await { gate: Gate::Ready }, "init waits for start");
    }

    fn root_tree(&mut self) {
        let readonly = self.spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly);
        let mut set = if readonly == Some(true) { mount_attr::RDONLY } else { 0 };
        if self.hardened() {
            set |= mount_attr::NOSUID | mount_attr::NODEV;
        }
        let mapped = self.ids == Some(IdMap::OwnRange);
        let attributes =
            MountAttributes { propagation: mount_attr::MS_PRIVATE, mapped, ..plain(set) };
        let facts = self.inputs.facts;
        let action = match &facts.rootfs.kind {
            RootfsKind::Overlay(overlay) if mapped => {
                Action::AssembleRootfs { overlay: overlay.clone(), attributes }
            }
            RootfsKind::Unmappable(why) if mapped => {
                let what = format!("{} {why}", facts.rootfs.path);
                self.fault("/root/path", what);
                return;
            }
            RootfsKind::Overlay(_) | RootfsKind::Unmappable(_) | RootfsKind::Mappable => {
                Action::CopyRootfs { attributes }
            }
        };
        self.asked(Track::Supervisor, action, "/root/readonly");
    }

    /// Builds what can be built beforehand, and returns everything that is to be attached, in
    /// its order.
    fn build_mounts(&mut self, own: &OwnMounts) -> Vec<Attached> {
        let mut attached = self.scratch();
        let mounts = std::mem::take(&mut self.mounts);
        let late: Vec<RootedPath> =
            mounts.iter().filter(|m| is_late(&m.filesystem)).map(|m| m.at.clone()).collect();
        for (index, mount) in mounts.iter().enumerate() {
            let place = place(mount, &mounts, index, &self.inputs.judged.scratch);
            let touches = |other: &RootedPath| {
                other.is_within(mount.at.as_str()) && !is_container(&mount.filesystem)
                    || mount.at.is_within(other.as_str())
            };
            let origin = self.origin(&mount.pointer);
            let mut build = None;
            let slot = if let Some(slot) = own.slot_of(&mount.filesystem) {
                slot
            } else {
                let slot = self.slot();
                let filesystem = mount.filesystem.clone();
                let attributes = mount.attributes;
                let action = Action::BuildMount { slot, filesystem, attributes };
                if is_late(&mount.filesystem) {
                    build = Some(action);
                } else {
                    self.push(Track::Supervisor, action, origin.clone());
                }
                slot
            };
            let late = late.iter().any(touches);
            attached.push(Attached { slot, at: mount.at.clone(), place, origin, build, late });
        }
        self.mounts = mounts;
        attached
    }

    /// Memory where programs expect to write.
    fn scratch(&mut self) -> Vec<Attached> {
        let mut attached = Vec::new();
        for place in self.inputs.judged.scratch.clone() {
            let (Ok(at), Ok(mode), Ok(value)) =
                (RootedPath::new(&place), Text::new("mode"), Text::new("1777"))
            else {
                continue;
            };
            let slot = self.slot();
            let options: Vec<FsOption> = vec![(mode, Some(value))];
            let filesystem =
                Filesystem::Tmpfs { options, owner: (0, 0), copy_up: Some(at.clone()) };
            let attributes = plain(mount_attr::NOSUID | mount_attr::NODEV);
            let action = Action::BuildMount { slot, filesystem, attributes };
            let origin = Self::rule("rootfs.scratch");
            self.push(Track::Supervisor, action, origin.clone());
            let place = Place::Optional;
            attached.push(Attached { slot, at, place, origin, build: None, late: false });
        }
        attached
    }

    fn attach(&mut self, mount: Attached) {
        if let Some(build) = mount.build {
            self.push(Track::Supervisor, build, mount.origin.clone());
        }
        let action = Action::Attach { slot: mount.slot, at: mount.at, place: mount.place };
        self.push(Track::Supervisor, action, mount.origin);
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
        let foreign = self.joined.contains(&Namespace::Network) && self.ids.is_some();
        if foreign
            && !asked(ports)
            && let (Ok(name), Ok(value)) = (Text::new(ports), Text::new("0"))
        {
            let why = "root of another user namespace may not use low ports otherwise";
            all.push((name, value, Origin::Builtin(why.to_owned())));
        }
        all
    }

    fn terminal(&mut self) {
        if self.process.terminal() != Some(true) {
            return;
        }
        let size = self.process.console_size().and_then(|size| {
            Some((u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?))
        });
        let owner = (self.process.user().uid(), 5);
        let owner = if maps(self.ids.as_ref(), 5, false) { owner } else { (owner.0, 0) };
        let action = Action::MakeTerminal { size, owner };
        self.asked(Track::Supervisor, action, "/process/terminal");
    }

    fn cover(&mut self) {
        let Some(linux) = self.spec.linux().clone() else { return };
        for (index, path) in linux.readonly_paths().iter().flatten().enumerate() {
            let Ok(at) = RootedPath::new(path) else { continue };
            let pointer = format!("/linux/readonlyPaths/{index}");
            let origin = self.list_origin("proc.read-only", path, &pointer);
            self.push(Track::Supervisor, Action::MakeReadonly { at }, origin);
        }
        for (index, path) in linux.masked_paths().iter().flatten().enumerate() {
            let Ok(at) = RootedPath::new(path) else { continue };
            let pointer = format!("/linux/maskedPaths/{index}");
            let origin = self.list_origin("proc.masked", path, &pointer);
            self.push(Track::Supervisor, Action::Mask { at }, origin);
        }
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

/// The slots of what init builds.
struct OwnMounts {
    proc: Slot,
    cgroup: Option<Slot>,
}

impl OwnMounts {
    /// Where init leaves this file system, if it is one that init builds.
    fn slot_of(&self, filesystem: &Filesystem) -> Option<Slot> {
        if matches!(filesystem, Filesystem::Proc { .. }) {
            Some(self.proc)
        } else if *filesystem == Filesystem::Cgroup {
            self.cgroup
        } else {
            None
        }
    }
}

/// A mount on its way to its place.
struct Attached {
    slot: Slot,
    at: RootedPath,
    place: Place,
    origin: Origin,
    /// For what can only be built inside the container's namespaces.
    build: Option<Action>,
    late: bool,
}

/// `nosuid,nodev,noexec`: the flags of kernel file systems.
const KERNEL_FLAGS: u64 = mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC;

fn plain(set: u64) -> MountAttributes {
    MountAttributes {
        set,
        clear: 0,
        recursive_set: 0,
        recursive_clear: 0,
        propagation: 0,
        mapped: false,
    }
}

fn own_dev(setting: Setting<'_>) -> Result<Wanted, PlanError> {
    let fault = |error: super::text::HoldsNul| PlanError::new("/mounts".into(), error.to_string());
    let mode = (Text::new("mode").map_err(fault)?, Some(Text::new("755").map_err(fault)?));
    let tree = mounts::dev_tree(vec![mode], setting)?;
    Ok(Wanted {
        pointer: "/mounts".to_owned(),
        at: RootedPath::new("/dev").map_err(fault)?,
        filesystem: Filesystem::Dev(Box::new(tree)),
        attributes: plain(mount_attr::NOSUID | mount_attr::NOEXEC),
    })
}

/// File systems that bind to the network or IPC namespace of the process that opens them.
fn is_late(filesystem: &Filesystem) -> bool {
    matches!(filesystem, Filesystem::Sysfs { .. } | Filesystem::Mqueue)
}

/// A file system made for others to be mounted in: what is late inside does not make it late.
fn is_container(filesystem: &Filesystem) -> bool {
    matches!(filesystem, Filesystem::Dev(_))
}

fn place(mount: &Wanted, all: &[Wanted], index: usize, scratch: &[String]) -> Place {
    let kernel = ["/proc", "/sys", "/dev"];
    if kernel.contains(&mount.at.as_str()) {
        return Place::Real;
    }
    let bind = matches!(mount.filesystem, Filesystem::Bind { .. });
    let in_tmpfs = all.iter().take(index).any(|other| {
        matches!(other.filesystem, Filesystem::Tmpfs { .. })
            && other.at != mount.at
            && mount.at.is_within(other.at.as_str())
    });
    let in_scratch = scratch.iter().any(|place| mount.at.is_within(place));
    match (in_tmpfs || in_scratch, bind) {
        (true, true) => Place::MadeAsSource,
        (true, false) => Place::Made,
        (false, _) => Place::Existing,
    }
}

fn maps(ids: Option<&IdMap>, id: u32, user: bool) -> bool {
    match ids {
        None => true,
        Some(IdMap::OwnRange) => id < 65_536,
        Some(IdMap::Given { uids, gids }) => {
            let lines = if user { uids } else { gids };
            lines.iter().any(|line| id.checked_sub(line.inside).is_some_and(|at| at < line.size))
        }
    }
}

/// The namespaces that are made, and those that are joined.
fn namespaces(spec: &Spec) -> (Vec<Namespace>, Vec<Namespace>) {
    let given = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone());
    let (mut new, mut joined) = (Vec::new(), Vec::new());
    for namespace in given.unwrap_or_default() {
        let Some(kind) = kind_of(namespace.typ()) else { continue };
        if namespace.path().is_some() { joined.push(kind) } else { new.push(kind) }
    }
    (new, joined)
}

/// The kind of a namespace of the specification; `None` for time, which is refused before.
#[must_use]
pub fn kind_of(typ: LinuxNamespaceType) -> Option<Namespace> {
    Some(match typ {
        LinuxNamespaceType::Pid => Namespace::Pid,
        LinuxNamespaceType::Network => Namespace::Network,
        LinuxNamespaceType::Ipc => Namespace::Ipc,
        LinuxNamespaceType::Uts => Namespace::Uts,
        LinuxNamespaceType::Mount => Namespace::Mount,
        LinuxNamespaceType::User => Namespace::User,
        LinuxNamespaceType::Cgroup => Namespace::Cgroup,
        LinuxNamespaceType::Time => return None,
    })
}
