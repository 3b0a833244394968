//! The rules, by subject. Each is named after its control.

mod builders;
mod caller;
mod devices;
mod hooks;
mod kernel;
mod mounts;
mod namespaces;
mod network;
mod privileges;
mod task;

use std::path::PathBuf;

use super::{Case, Subject};

/// What the policy must know of the host.
#[derive(Debug, Clone, Default)]
pub struct HostView {
    /// Who is judged, and when.
    pub subject: Subject,
    /// What each namespace named by path leads to.
    pub namespaces: Vec<FoundNamespaceOf>,
    /// The user who calls, if that is root of a user namespace only.
    pub caller: Option<CallerView>,
    /// Whose ids are shared, if the container is of a pod that exists.
    pub pod: Option<PodView>,
    /// Lines of the bundle's mappings that have ids of others: where, and who has them, as a clause.
    pub taken: Vec<(String, String)>,
    /// Indexes of mounts whose source is one of the kernel's file systems.
    pub kernel_sources: Vec<usize>,
    /// What the hooks of the host lead to.
    pub hooks: Vec<FoundHook>,
    /// Directories that decide about containers: the policy's, the state's, the records'.
    pub protected: Vec<PathBuf>,
    /// Whether systemd makes the control group.
    pub systemd: bool,
}

/// What a path in `/linux/namespaces` leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNamespaceOf {
    /// The word of config.json for its kind.
    pub kind: String,
    /// What it leads to.
    pub found: Found,
}

/// See [`FoundNamespaceOf`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
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

/// What a hook of the host leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundHook {
    /// Its address in config.json.
    pub pointer: String,
    /// Its program's real path.
    pub program: String,
    /// Whether it is named as the program of a process (`/proc/PID/exe`): whose number that is
    /// when the hook is run, nobody knows.
    pub of_process: bool,
    /// Why others than root could decide what is run: a clause.
    pub untrusted: Option<String>,
}

/// A user who is root of a user namespace only, and calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerView {
    /// Whom that root is outside.
    pub uid: u32,
    /// The users of the namespace: first id, number of ids.
    pub uids: Vec<(u32, u32)>,
    /// The groups of the namespace.
    pub gids: Vec<(u32, u32)>,
}

/// A live container whose ids are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its id.
    pub of: String,
    /// How its users are mapped: id inside, id outside, number of ids.
    pub uids: Vec<(u32, u32, u32)>,
    /// How its groups are mapped.
    pub gids: Vec<(u32, u32, u32)>,
}

/// Puts the resources of an update before the rules that judge those of a bundle.
pub fn apply_to_update(case: &mut Case<'_>) {
    kernel::apply_to_update(case);
}

/// Puts a process that enters a running container before the rules that are about a process
/// alone. What is made of its privileges follows from the container's plan.
pub(super) fn apply_to_process(case: &mut Case<'_>) {
    task::apply(case);
}

/// Puts a specification before every rule.
pub fn apply_all(case: &mut Case<'_>) {
    builders::apply(case);
    namespaces::apply(case);
    privileges::apply(case);
    mounts::apply(case);
    devices::apply(case);
    kernel::apply(case);
    task::apply(case);
    network::apply(case);
    crate::policy::seccomp::apply(case);
    hooks::apply(case);
    crate::policy::systemd::apply(case);
}
