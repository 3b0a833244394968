//! The order of everything: the security argument, from top to bottom.
//!
//! Three lists are written, one for each track, each in its own order; the numbering follows
//! the design: what is prepared, what init does until it is ready, what the supervisor does
//! beside it, and what init does after `start`.

mod hooks;
mod ids;
mod init;
mod listener;
mod prepare;
mod root;
mod scratch;
mod supervise;

use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};

use self::ids::UserNamespace;

use super::action::{Action, IdMap, Namespace, Slot, Track};
use super::cgroup::{CgroupPlan, HierarchyView};
use super::facts::KernelFacts;
use super::hooks::Stage;
use super::listener::Listener;
use super::mount::{Filesystem, FsOption, MountAttributes};
use super::mounts::{self, Setting, Wanted};
use super::text::{RootedPath, Text};
use super::{ExecDefaults, LaunchPlan, Origin, Step, gates, labels, notify, process};
use crate::policy::{Ids, Judged, Level};
use crate::seccomp::Program;
use crate::sys::flags::mount_attr;

/// What a plan is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The specification, after the policy.
    pub judged: &'a Judged,
    /// What was found out about the host.
    pub facts: &'a KernelFacts,
    /// The control group's chapter; `None` where the container stays in its caller's group.
    pub cgroup: Option<CgroupPlan>,
    /// The seccomp filter; `None` only where the level allows none.
    pub filter: Option<Program>,
    /// Who answers the calls that the filter holds up, if it does.
    pub listener: Option<Listener>,
    /// Whether the caller waits to be notified that the program is ready.
    pub notify: bool,
    /// The bundle's absolute path.
    pub bundle: &'a str,
    /// Whether a limit is held by a hierarchy of cgroup v1, which a process joins only after
    /// its birth.
    pub joins_v1: bool,
    /// What the container is shown of control groups, where some are of version 1.
    pub hierarchies: Vec<HierarchyView>,
    /// What could not be had and is not essential.
    pub notes: Vec<String>,
}

/// What `create` and `run` take beside the bundle. No part of the plan: `explain` has the same
/// plan, and the same digest, whatever an engine asks for here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub keep_keyring: bool,
    /// Descriptors above 2 that the program inherits (`--preserve-fds`).
    pub preserve: u32,
}

/// Why a bundle cannot become a plan. Nothing was created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}{}{what}", if at.is_empty() { "" } else { ": " })]
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
    /// Where the user namespace comes from.
    user: UserNamespace,
    /// Whether files of the host are given to the container's ids here: engines that map ids
    /// themselves have done so already.
    mapped: bool,
    new: Vec<Namespace>,
    joined: Vec<Namespace>,
    mounts: Vec<Wanted>,
    /// The option that labels what is made for the container.
    label: Option<FsOption>,
    /// Mounts that are to be made read-only once hooks have been run, and who asks for that.
    sealed: Vec<(RootedPath, Origin)>,
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
            user: UserNamespace::None,
            mapped: false,
            new,
            joined,
            mounts: Vec::new(),
            label: None,
            sealed: Vec::new(),
            steps: Vec::with_capacity(128),
            errors: Vec::new(),
            next_slot: 1,
            inputs,
        };
        builder.user = builder.user_namespace();
        builder.ids = builder.id_map();
        builder.mapped = builder.is_mapped();
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
            None if pointer.starts_with('/') || pointer.is_empty() => {
                Origin::Config(pointer.to_owned())
            }
            None => Origin::Builtin(format!("the caller's {pointer}")),
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

    fn wanted_mounts(&mut self) -> Vec<Wanted> {
        let devices = self.spec.linux().as_ref().and_then(|linux| linux.devices().clone());
        let devices = devices.unwrap_or_default();
        let annotation = |spec: &'a Spec| {
            let all = spec.annotations().as_ref()?;
            all.get("run.oci.mount_context_type").map(String::as_str)
        };
        let label = labels::of_mounts(self.spec.linux().as_ref(), annotation(self.spec));
        let setting = Setting {
            mapped: self.mapped,
            has_ids: self.ids.is_some(),
            hardened: self.hardened(),
            unlocks: self.ids.is_none() && self.inputs.facts.initial_user_namespace,
            locks: self.ids.is_some() && self.inputs.judged.ids == Ids::AsWritten,
            label: label.as_ref(),
            own_queues: self.has_new(Namespace::Ipc) || self.joined.contains(&Namespace::Ipc),
            terminal: self.process.terminal() == Some(true),
            makes_nodes: self.inputs.facts.caller.is_none(),
            devices: &devices,
            hierarchies: &self.inputs.hierarchies,
            bundle: self.inputs.bundle,
            rootfs: self.inputs.facts.rootfs.path.as_str(),
        };
        let given = self.spec.mounts().clone().unwrap_or_default();
        let mut wanted = mounts::convert(&given, setting, &mut self.errors);
        // What an exception lets in of the kernel's own files cannot be given to other ids.
        let waived: Vec<_> = self
            .inputs
            .judged
            .excepted
            .iter()
            .filter_map(|it| it.at.strip_suffix("/source"))
            .collect();
        for mount in &mut wanted {
            mount.attributes.mapped &= !waived.contains(&mount.pointer.as_str());
        }
        if !wanted.iter().any(|mount| mount.at.as_str() == "/dev") {
            match own_dev(setting) {
                Ok(dev) => wanted.insert(0, dev),
                Err(error) => self.errors.push(error),
            }
        }
        if !setting.makes_nodes {
            mounts::bind_nodes(&mut wanted);
        }
        mounts::dev::make_room(&mut wanted);
        if self.have_files_made() {
            self.seal_dev(&mut wanted);
        }
        if self.inputs.notify {
            wanted.extend(notify::mount());
        }
        self.label = label;
        wanted
    }

    /// Hooks make nodes in `/dev`, too: it is read-only after them.
    fn seal_dev(&mut self, wanted: &mut [Wanted]) {
        let is_dev = |mount: &&mut Wanted| matches!(mount.filesystem, Filesystem::Dev(_));
        for mount in wanted.iter_mut().filter(is_dev) {
            if mount.attributes.set & mount_attr::RDONLY != 0 {
                mount.attributes.set &= !mount_attr::RDONLY;
                self.sealed.push((mount.at.clone(), self.origin(&mount.pointer)));
            }
        }
    }

    fn build(mut self) -> Result<LaunchPlan, Vec<PlanError>> {
        let mut program = match process::program(self.process) {
            Ok(program) => program,
            Err(error) => {
                self.errors.push(error);
                return Err(self.errors);
            }
        };
        self.errors.extend(process::check_ids(self.process, self.ids.as_ref()));
        let _ = process::affinity(self.process, &mut self.errors);
        let (linux, lsm) = (self.spec.linux().as_ref(), self.inputs.facts.lsm);
        self.errors.extend(labels::check(self.process, linux, lsm));
        if !self.hardened() {
            self.check_sysctls();
        }
        let sets = process::capability_sets(self.process, self.inputs.facts);
        if sets.inheritable & !sets.bounding != 0 {
            let what = "has what the bounding set lacks; the kernel gives EPERM";
            self.fault("/process/capabilities/inheritable", what);
        }
        let (limits, raised) =
            process::limits(self.process, &self.inputs.facts.limits, &mut self.errors);
        if self.inputs.notify {
            notify::announce(&mut program.environment);
        }
        self.prepare();
        let slots = self.init_until_ready();
        self.supervise(&slots, &raised);
        let filter = self.inputs.filter.take();
        let lsm = self.inputs.facts.lsm;
        let who = (self.process, self.spec.linux().as_ref(), lsm);
        let last = process::last_steps(who, &program, sets, limits, filter);
        if let Some(hand_over) = self.wait_and_become(last) {
            self.hand_over(hand_over);
        }
        self.hooks(Track::AfterStart, &[Stage::Poststart]);
        self.hooks(Track::AfterEnd, &[Stage::Poststop]);
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
            exec: Some(Box::new(ExecDefaults::new(self.process, &judged.exec))),
            restored: false,
            changes: judged.changes.clone(),
            excepted: judged.excepted.clone(),
            would_refuse: judged.would_refuse.clone(),
            would_change: judged.would_change.clone(),
            notes: {
                let asked = self.mounts.iter().flat_map(|mount| mount.notes.iter().cloned());
                let reduced = judged.reduced.iter().cloned();
                reduced.chain(self.inputs.notes).chain(asked).collect()
            },
        })
    }
}

/// `nosuid,nodev,noexec`: the flags of kernel file systems.
const KERNEL_FLAGS: u64 = mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC;

fn plain(set: u64) -> MountAttributes {
    MountAttributes::plain(set)
}

fn own_dev(setting: Setting<'_>) -> Result<Wanted, PlanError> {
    let fault = |error: super::text::HoldsNul| PlanError::new("/mounts".into(), error.to_string());
    let mode = (Text::new("mode").map_err(fault)?, Some(Text::new("755").map_err(fault)?));
    let options = setting.label.into_iter().cloned().chain([mode]).collect();
    let tree = mounts::dev::tree(c"tmpfs".into(), options, setting)?;
    Ok(Wanted {
        pointer: "/mounts".to_owned(),
        at: RootedPath::new("/dev").map_err(fault)?,
        filesystem: Filesystem::Dev(Box::new(tree)),
        attributes: plain(mount_attr::NOSUID | mount_attr::NOEXEC),
        notes: Vec::new(),
    })
}

/// The namespaces that are made, and those that are joined.
fn namespaces(spec: &Spec) -> (Vec<Namespace>, Vec<Namespace>) {
    let given = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone());
    let (mut new, mut joined) = (Vec::new(), Vec::new());
    for namespace in given.unwrap_or_default() {
        let kind = kind_of(namespace.typ());
        if namespace.path().is_some() { joined.push(kind) } else { new.push(kind) }
    }
    (new, joined)
}

/// The kind of a namespace of the specification.
#[must_use]
pub fn kind_of(typ: LinuxNamespaceType) -> Namespace {
    match typ {
        LinuxNamespaceType::Pid => Namespace::Pid,
        LinuxNamespaceType::Network => Namespace::Network,
        LinuxNamespaceType::Ipc => Namespace::Ipc,
        LinuxNamespaceType::Uts => Namespace::Uts,
        LinuxNamespaceType::Mount => Namespace::Mount,
        LinuxNamespaceType::User => Namespace::User,
        LinuxNamespaceType::Cgroup => Namespace::Cgroup,
        LinuxNamespaceType::Time => Namespace::Time,
    }
}
