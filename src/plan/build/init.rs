//! What init does, from its birth to the point where it waits for `start`.

use super::ids::UserNamespace;
use super::{Builder, KERNEL_FLAGS, plain};
use crate::plan::action::{Action, Gate, Namespace, Slot, Track};
use crate::plan::facts::{FoundNamespace, NamespaceFacts};
use crate::plan::mount::Filesystem;
use crate::plan::mounts::Wanted;
use crate::plan::text::Text;
use crate::plan::{Origin, labels};
use crate::policy::Ids;

/// The slots of what init builds.
pub(super) struct OwnMounts {
    /// Of the container's procfs, attached or not.
    pub(super) proc: Slot,
    /// Of each mount of the bundle that init builds, by its JSON pointer.
    built: Vec<(String, Slot)>,
}

impl OwnMounts {
    /// Where init leaves a mount of the bundle, if it is one that init builds.
    pub(super) fn slot_of(&self, pointer: &str) -> Option<Slot> {
        self.built.iter().find(|(of, _)| of == pointer).map(|(_, slot)| *slot)
    }

    /// All slots, each once.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![self.proc];
        slots.extend(self.built.iter().map(|(_, slot)| *slot).filter(|slot| *slot != self.proc));
        slots
    }
}

/// The two file systems that bind to the namespaces of the process that opens them.
fn is_own(filesystem: &Filesystem) -> bool {
    matches!(filesystem, Filesystem::Proc { .. } | Filesystem::Cgroup { .. })
}

impl Builder<'_> {
    /// Init, from its birth to the point where it waits for `start`. Returns the slots of what
    /// it builds.
    pub(super) fn init_until_ready(&mut self) -> OwnMounts {
        let track = Track::Init;
        self.builtin(track, Action::MakeMountsPrivate, "nothing propagates to the host");
        if self.inputs.joins_v1 {
            let why = "a cgroup namespace begins where its maker is";
            self.builtin(track, Action::Await { gate: Gate::Cgroups }, why);
        }
        let joins = [
            Namespace::Network,
            Namespace::Ipc,
            Namespace::Uts,
            Namespace::Cgroup,
            Namespace::Time,
        ];
        for kind in joins {
            if self.joined.contains(&kind) {
                self.asked(track, Action::JoinNamespace { kind }, "/linux/namespaces");
            }
        }
        if self.joins_unnamed() {
            self.name_it();
        }
        if self.has_new(Namespace::Cgroup) {
            let kinds = vec![Namespace::Cgroup];
            self.asked(track, Action::NewNamespaces { kinds }, "/linux/namespaces");
        }
        let slots = self.own_mounts();
        let origin = self.user_origin();
        let kind = Namespace::User;
        match self.user {
            UserNamespace::New => {
                self.push(track, Action::NewNamespaces { kinds: vec![kind] }, origin);
            }
            UserNamespace::Given => self.push(track, Action::JoinNamespace { kind }, origin),
            UserNamespace::None | UserNamespace::OfPod => {}
        }
        let built = "proc and cgroup2 are built, ids may be mapped";
        self.builtin(track, Action::Open { gate: Gate::UserNamespace }, built);
        let wait = "ids are mapped, and what it built was fetched";
        self.builtin(track, Action::Await { gate: Gate::IdMaps }, wait);
        if self.is_inside_early() {
            let why = "what it makes from here on belongs to the container's root";
            self.builtin(track, Action::BecomeRoot, why);
        }
        self.inner_namespaces();
        slots
    }

    /// Whether init is in its user namespace before `start`.
    fn is_inside_early(&self) -> bool {
        matches!(self.user, UserNamespace::New | UserNamespace::Given)
    }

    pub(super) fn user_origin(&self) -> Origin {
        match self.inputs.judged.ids {
            Ids::OwnRange => Self::rule("ids.own-range"),
            Ids::OfPod => Self::rule("ids.one-per-pod"),
            Ids::AsWritten => self.origin("/linux/uidMappings"),
        }
    }

    /// What init does first after `start`: it goes where its neighbours are.
    pub(super) fn join_pod(&mut self) {
        if self.user == UserNamespace::OfPod {
            let origin = self.user_origin();
            let action = Action::JoinNamespace { kind: Namespace::User };
            self.push(Track::Init, action, origin);
            self.new_keyring();
        }
    }

    fn new_keyring(&mut self) {
        if let Some(label) = labels::selinux(self.process) {
            let label = labels::Label::Keys(label);
            self.asked(Track::Init, Action::Label { label }, "/process/selinuxLabel");
        }
        self.builtin(Track::Init, Action::NewKeyring, "the caller's keys stay behind");
    }

    fn own_mounts(&mut self) -> OwnMounts {
        let proc = Slot(0);
        let is_proc = |mount: &&Wanted| matches!(mount.filesystem, Filesystem::Proc { .. });
        let first = self.mounts.iter().find(is_proc).map(|mount| mount.pointer.clone());
        if first.is_none() {
            let filesystem = Filesystem::Proc { source: c"proc".into(), options: Vec::new() };
            let attributes = plain(KERNEL_FLAGS);
            let action = Action::BuildMount { slot: proc, filesystem, attributes };
            self.builtin(Track::Init, action, "to set limits through; never attached");
        }
        let own = self.mounts.iter().filter(|mount| is_own(&mount.filesystem));
        let own: Vec<_> = own
            .map(|mount| (mount.pointer.clone(), mount.filesystem.clone(), mount.attributes))
            .collect();
        let mut built = Vec::with_capacity(own.len());
        for (pointer, filesystem, attributes) in own {
            let slot = if first.as_ref() == Some(&pointer) { proc } else { self.slot() };
            let action = Action::BuildMount { slot, filesystem, attributes };
            self.asked(Track::Init, action, &pointer);
            built.push((pointer, slot));
        }
        OwnMounts { proc, built }
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
        // In a pod that was done by who made it, and cannot be taken back inside.
        if self.is_inside_early() && self.hardened() {
            self.push(track, Action::ForbidNamespaces, Self::rule("ns.none-inside"));
        }
        if self.user != UserNamespace::OfPod {
            self.new_keyring();
        }
        let terminal = self.process.terminal() == Some(true);
        self.asked(track, Action::NewSession { terminal }, "/process/terminal");
        self.builtin(track, Action::Open { gate: Gate::Ready }, "nothing is left before start");
        if self.takes_root_along() {
            let why = "everything is mounted, in a namespace that nobody else is in";
            self.builtin(track, Action::Await { gate: Gate::Mounts }, why);
            let action = Action::JoinNamespace { kind: Namespace::Mount };
            self.asked(track, action, "/linux/namespaces");
            let done = "init is where the bundle wants it";
            self.builtin(track, Action::Open { gate: Gate::Placed }, done);
        }
    }

    fn names(&mut self) {
        if self.has_new(Namespace::Uts) {
            self.name_it();
        } else if !self.joined.contains(&Namespace::Uts) {
            let given =
                [("/hostname", self.spec.hostname()), ("/domainname", self.spec.domainname())];
            let is_given =
                |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
            for (pointer, _) in given.into_iter().filter(|(_, name)| is_given(name)) {
                self.fault(pointer, "needs a `uts` namespace, or it would be the host's name");
            }
        }
    }

    /// Whether the engine made a UTS namespace and left it to the runtime to name it, as CRI-O does:
    /// it belongs to the host, or to nobody yet. One of a container was named with that.
    fn joins_unnamed(&self) -> bool {
        self.inputs.facts.namespaces.iter().any(|of| {
            of.kind == Namespace::Uts
                && matches!(of.found, FoundNamespace::Fresh | FoundNamespace::Foreign)
        })
    }

    /// Gives the UTS namespace that init is in the bundle's names.
    fn name_it(&mut self) {
        let name = |given: &Option<String>| {
            given.clone().filter(|name| !name.is_empty()).and_then(|name| Text::new(name).ok())
        };
        if let Some(name) = name(self.spec.hostname()) {
            self.asked(Track::Init, Action::SetHostname { name }, "/hostname");
        }
        if let Some(name) = name(self.spec.domainname()) {
            self.asked(Track::Init, Action::SetDomainname { name }, "/domainname");
        }
    }

    /// Where no rule of the policy has seen to it: what is set for a container must not be the
    /// host's, where it would stay when the container is gone.
    pub(super) fn check_sysctls(&mut self) {
        for (name, _, pointer) in self.sysctls(|_| true) {
            let kind = namespace_of(name.as_str());
            if !kind.is_some_and(|kind| self.is_apart(kind)) {
                let what = "is a parameter of the whole host, and of no namespace of the container";
                self.fault(&pointer, what);
            }
        }
    }

    /// Whether the container has a namespace of this kind that is not the host's.
    fn is_apart(&self, kind: Namespace) -> bool {
        let is_hosts = |of: &NamespaceFacts| of.kind == kind && of.found == FoundNamespace::Host;
        let joins_hosts = self.inputs.facts.namespaces.iter().any(is_hosts);
        self.has_new(kind) || self.joined.contains(&kind) && !joins_hosts
    }

    /// Kernel parameters whose name passes `keep`, sorted.
    pub(super) fn sysctls(&self, keep: impl Fn(&str) -> bool) -> Vec<(Text, Text, String)> {
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
}

/// The kind of namespace that has this parameter, given as a path, for itself; `None` is the host.
///
/// Reference: namespaces(7), ipc_namespaces(7), user_namespaces(7).
fn namespace_of(parameter: &str) -> Option<Namespace> {
    let (class, rest) = parameter.split_once('/')?;
    match class {
        "net" => Some(Namespace::Network),
        "user" => Some(Namespace::User),
        "fs" => rest.starts_with("mqueue/").then_some(Namespace::Ipc),
        "kernel" => match rest {
            "hostname" | "domainname" => Some(Namespace::Uts),
            "msgmax" | "msgmnb" | "msgmni" | "sem" | "shm_rmid_forced" | "shmall" | "shmmax"
            | "shmmni" => Some(Namespace::Ipc),
            _ => None,
        },
        _ => None,
    }
}
