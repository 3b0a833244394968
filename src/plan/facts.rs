//! What was found out about the host before anything was decided.

use super::action::{Namespace, Overlay};
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
    /// Hard limits of this process, by `RLIMIT_*`; `None` where not asked for.
    pub hard_limits: Vec<(u32, u64)>,
    /// Whether this process may raise hard limits (`CAP_SYS_RESOURCE`).
    pub may_raise_limits: bool,
    /// Whether this process is root of the initial user namespace.
    pub initial_user_namespace: bool,
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
    /// It is no namespace of that kind; the reason, as a clause.
    Wrong(String),
}
