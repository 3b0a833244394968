//! What was found out about the host before anything was decided.

use super::action::{IdMap, IdMapping, Namespace, Overlay};
use super::text::HostPath;

/// Everything about the host that a plan depends on. Filled by `host::probe`.
#[derive(Debug, Clone)]
pub struct KernelFacts {
    /// Version of the running kernel: major and minor.
    pub release: (u16, u16),
    /// The bounding set of this process, as a bit mask.
    pub bounding: u64,
    /// The root file system.
    pub rootfs: RootfsFacts,
    /// What each namespace named by path is, in the order of `/linux/namespaces`.
    pub namespaces: Vec<NamespaceFacts>,
    /// Whose ids are shared, if the container is of a pod that exists.
    pub pod: Option<PodFacts>,
    /// What this process may do about resource limits.
    pub limits: LimitFacts,
    /// Whether this process is root of the initial user namespace.
    pub initial_user_namespace: bool,
    /// The user who calls, if that is root of a user namespace only.
    pub caller: Option<CallerFacts>,
    /// Which security modules are switched on, if the bundle asks for any.
    pub lsm: LsmFacts,
    /// Where resctrl is mounted, if the bundle asks for it.
    pub resctrl: Option<HostPath>,
}

/// A user who is root of a user namespace of its own, as rootless engines make one: the outer
/// credentials are those of that namespace. All ids of a plan are meant as it counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerFacts {
    /// How its users are mapped to those of the host, or of the namespace above.
    pub uids: Vec<IdMapping>,
    /// How its groups are.
    pub gids: Vec<IdMapping>,
}

impl CallerFacts {
    /// Whom the namespace's root is outside.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.uids.iter().find(|line| line.inside == 0).map(|line| line.outside)
    }

    /// The first of `count` users, and of as many groups, that are none of the caller's own.
    #[must_use]
    pub fn spare(&self, count: u32) -> (Option<u32>, Option<u32>) {
        let first = |map: &[IdMapping]| {
            map.iter().find(|line| line.inside != 0 && line.size >= count).map(|line| line.inside)
        };
        (first(&self.uids), first(&self.gids))
    }
}

/// Which security modules the kernel has switched on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LsmFacts {
    /// AppArmor.
    pub apparmor: bool,
    /// SELinux.
    pub selinux: bool,
}

/// What this process may do about resource limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitFacts {
    /// Its own hard limits, by `RLIMIT_*`, of the kinds that were asked for.
    pub hard: Vec<(u32, u64)>,
    /// Whether it may raise hard limits (`CAP_SYS_RESOURCE`).
    pub may_raise: bool,
}

/// The root file system, as the engine mounted it.
#[derive(Debug, Clone)]
pub struct RootfsFacts {
    /// Its absolute path, without links.
    pub path: HostPath,
    /// The type of the file system it is on.
    pub fs_type: String,
    /// How it can be given to a user namespace.
    pub kind: RootfsKind,
}

/// How a root file system can be given to a user namespace.
#[derive(Debug, Clone)]
pub enum RootfsKind {
    /// Its mount can be copied with translated ids.
    Mappable,
    /// An overlay: its layers can.
    Overlay(Overlay),
    /// Neither; the reason, as a clause.
    Unmappable(String),
}

/// A namespace that the bundle names by path.
#[derive(Debug, Clone)]
pub struct NamespaceFacts {
    /// Its kind, as the bundle says.
    pub kind: Namespace,
    /// Where it is.
    pub path: HostPath,
    /// What it turned out to be.
    pub found: FoundNamespace,
    /// Device and inode number, by which it is known again.
    pub identity: (u64, u64),
    /// The process that it is named after, if the path is `/proc/PID/ns/…`.
    pub process: Option<i32>,
}

/// What a path to a namespace leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundNamespace {
    /// This process's own: the host's.
    Host,
    /// Another one, owned by the initial user namespace.
    Foreign,
    /// Another one, owned by this other user namespace (its inode number).
    Boxed {
        /// Inode number of the owning user namespace.
        owner: u64,
    },
    /// One of a live container that is of the same pod.
    Pod,
    /// A user namespace that an engine made and no process is in, or a namespace that belongs to
    /// it; or an IPC or UTS namespace that an engine made and no process is in.
    Fresh,
    /// One of a box that this container has no part in; the reason, as a clause.
    Stranger(String),
    /// It is no namespace of that kind; the reason, as a clause.
    Wrong(String),
}

/// The live container whose ids are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its id.
    pub of: String,
    /// Whether its ids are a range of the registry.
    pub own_range: bool,
    /// How its users are mapped.
    pub uids: Vec<IdMapping>,
    /// How its groups are mapped.
    pub gids: Vec<IdMapping>,
}

impl PodFacts {
    /// How ids are mapped, in the words of a plan, which knows no range.
    #[must_use]
    pub fn ids(&self) -> IdMap {
        if self.own_range {
            IdMap::OwnRange
        } else {
            IdMap::Given { uids: self.uids.clone(), gids: self.gids.clone() }
        }
    }
}
