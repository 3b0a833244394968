//! What a plan promises of the box that it leads to. Pure.

use crate::plan::action::{CapabilitySets, GroupBelow, Limit, Place};
use crate::plan::labels::Label;
use crate::plan::mount::{Filesystem, MountAttributes};
use crate::plan::text::{HostPath, RootedPath};
use crate::plan::{Action, LaunchPlan, Namespace, Slot};
use crate::seccomp::Program;
use crate::sys::flags::mount_attr;

/// What a plan promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected<'plan> {
    /// The user that the program begins as.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The capabilities that it begins with.
    pub sets: CapabilitySets,
    /// Whether no process can gain privileges by executing a file.
    pub no_new_privileges: bool,
    /// The label that a security module confines it by.
    pub label: Option<&'plan str>,
    /// The filter below all others.
    pub filter: Option<&'plan Program>,
    /// Limits that a process can only lower.
    pub limits: Vec<Limit>,
    /// Namespaces that are the container's own.
    pub own: Vec<Namespace>,
    /// Namespaces that are those of a path.
    pub joined: Vec<(Namespace, &'plan HostPath)>,
    /// Every mount, in the order of attaching.
    pub mounts: Vec<ExpectedMount<'plan>>,
}

/// A mount of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedMount<'plan> {
    /// Where, inside the root.
    pub at: &'plan str,
    /// What it is.
    pub kind: MountKind<'plan>,
    /// The `MOUNT_ATTR_*` bits that it has at least.
    pub set: u64,
    /// Whether it is missing where the image has no such place.
    pub optional: bool,
}

/// What a mount of the plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind<'plan> {
    /// The root file system.
    Root,
    /// A file system of this type.
    Filesystem(&'plan str),
    /// Something of the host.
    Bind(&'plan HostPath),
    /// The container's terminal.
    Terminal,
    /// The container's group in a hierarchy of this type.
    OwnGroup(&'plan str),
    /// Nothing, on top of something.
    Mask,
    /// What was there before, read-only.
    Readonly,
}

impl<'plan> Expected<'plan> {
    /// Reads a plan.
    #[must_use]
    pub fn of(plan: &'plan LaunchPlan) -> Self {
        let mut expected = Self {
            uid: 0,
            gid: 0,
            sets: CapabilitySets::default(),
            no_new_privileges: false,
            label: None,
            filter: None,
            limits: Vec::new(),
            own: Vec::new(),
            joined: Vec::new(),
            mounts: Vec::new(),
        };
        let mut built = Vec::new();
        for step in &plan.steps {
            expected.add(&step.action, &mut built);
        }
        expected
    }

    fn add(
        &mut self,
        action: &'plan Action,
        built: &mut Vec<(Slot, &'plan Filesystem, MountAttributes)>,
    ) {
        if let Action::SetIds { uid, gid, .. } = action {
            (self.uid, self.gid) = (*uid, *gid);
        } else if let Action::SetCapabilities { sets } = action {
            self.sets = CapabilitySets { bounding: self.sets.bounding, ..*sets };
        } else if let Action::LimitBounding { keep } = action {
            self.sets.bounding = *keep;
        } else if let Action::ForbidNewPrivileges = action {
            self.no_new_privileges = true;
        } else if let Action::Label { label: Label::AppArmor(label) | Label::Selinux(label) } =
            action
        {
            self.label = Some(label.as_str());
        } else if let Action::LoadFilter { program } = action {
            self.filter = Some(program);
        } else if let Action::SetLimit { limit } = action {
            self.limits.push(*limit);
        } else if let Action::Spawn { namespaces } | Action::NewNamespaces { kinds: namespaces } =
            action
        {
            self.own.extend(namespaces);
        } else if *action == (Action::JoinNamespace { kind: Namespace::Mount }) {
            self.own.retain(|kind| *kind != Namespace::Mount);
        } else if let Action::OpenNamespace { kind, path } = action {
            self.joined.push((*kind, path));
        } else {
            self.add_mount(action, built);
        }
    }

    fn add_mount(
        &mut self,
        action: &'plan Action,
        built: &mut Vec<(Slot, &'plan Filesystem, MountAttributes)>,
    ) {
        if let Action::CopyRootfs { attributes } | Action::AssembleRootfs { attributes, .. } =
            action
        {
            self.mount("/", MountKind::Root, attributes.set | attributes.recursive_set, false);
        } else if let Action::BuildMount { slot, filesystem, attributes } = action {
            built.push((*slot, filesystem, *attributes));
        } else if let Action::Attach { slot, at, place } = action
            && let Some((_, filesystem, attributes)) = built.iter().find(|it| it.0 == *slot)
        {
            let set = attributes.set | attributes.recursive_set;
            self.mount(at.as_str(), kind_of(filesystem), set, *place == Place::Optional);
        } else if let Action::MakeTerminal { .. } = action {
            self.mount("/dev/console", MountKind::Terminal, 0, false);
        } else if let Action::Mask { at, .. } = action {
            self.cover(at, MountKind::Mask);
        } else if let Action::MakeReadonly { at } = action {
            self.cover(at, MountKind::Readonly);
        }
    }

    fn mount(&mut self, at: &'plan str, kind: MountKind<'plan>, set: u64, optional: bool) {
        self.mounts.push(ExpectedMount { at, kind, set, optional });
    }

    fn cover(&mut self, at: &'plan RootedPath, kind: MountKind<'plan>) {
        self.mount(at.as_str(), kind, mount_attr::RDONLY, true);
    }

    /// The kinds of namespaces that are looked at. Clocks only where the plan has some of their own:
    /// what is restored gets them in any case, so that time goes on where it stood.
    pub fn told_namespaces(&self) -> impl Iterator<Item = Namespace> + use<'_> {
        let planned = |kind: &Namespace| {
            self.own.contains(kind) || self.joined.iter().any(|(joined, _)| joined == kind)
        };
        Namespace::ALL.into_iter().filter(move |kind| *kind != Namespace::Time || planned(kind))
    }

    /// Whether a process may come to other users than the one it began as.
    #[must_use]
    pub fn may_change_user(&self) -> bool {
        !self.no_new_privileges || self.sets.permitted & CAP_SETUID != 0
    }

    /// Whether a process may come to other groups than the ones it began in.
    #[must_use]
    pub fn may_change_group(&self) -> bool {
        !self.no_new_privileges || self.sets.permitted & CAP_SETGID != 0
    }
}

const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

fn kind_of(filesystem: &Filesystem) -> MountKind<'_> {
    match filesystem {
        Filesystem::Proc { .. } => MountKind::Filesystem("proc"),
        Filesystem::Sysfs { .. } => MountKind::Filesystem("sysfs"),
        Filesystem::Mqueue { .. } => MountKind::Filesystem("mqueue"),
        Filesystem::Cgroup { .. } => MountKind::Filesystem("cgroup2"),
        Filesystem::Devpts { .. } => MountKind::Filesystem("devpts"),
        Filesystem::Group { hierarchy } if hierarchy.as_str() == GroupBelow::V2 => {
            MountKind::OwnGroup("cgroup2")
        }
        Filesystem::Group { .. } => MountKind::OwnGroup("cgroup"),
        Filesystem::Tmpfs { .. } | Filesystem::Dev(_) | Filesystem::Groups(_) => {
            MountKind::Filesystem("tmpfs")
        }
        Filesystem::Bind { source, .. } => MountKind::Bind(source),
        Filesystem::Other { kind, .. } => MountKind::Filesystem(kind.as_str()),
        // What is there already, or is put there.
        Filesystem::Present { .. } | Filesystem::Notify => MountKind::Readonly,
    }
}
