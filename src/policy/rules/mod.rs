//! The rules, by subject. Each is named after its control.

mod devices;
mod kernel;
mod mounts;
mod namespaces;
mod privileges;
mod task;

use std::path::PathBuf;

use super::Case;

/// What the policy must know of the host.
#[derive(Debug, Clone, Default)]
pub struct HostView {
    /// What each namespace named by path leads to.
    pub namespaces: Vec<FoundNamespaceOf>,
    /// Indexes of mounts whose source is one of the kernel's file systems.
    pub kernel_sources: Vec<usize>,
    /// Directories that decide about containers: the policy's, the state's, the records'.
    pub protected: Vec<PathBuf>,
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
    /// It is no namespace of that kind; the reason, as a clause.
    Wrong(String),
}

/// Puts the resources of an update before the rules that judge those of a bundle.
pub fn apply_to_update(case: &mut Case<'_>) {
    devices::apply_to_update(case);
    kernel::apply_to_update(case);
}

/// Puts a specification before every rule.
pub fn apply_all(case: &mut Case<'_>) {
    namespaces::apply(case);
    privileges::apply(case);
    mounts::apply(case);
    devices::apply(case);
    kernel::apply(case);
    task::apply(case);
    crate::policy::seccomp::apply(case);
}
