//! What the store says when it cannot do as asked.

use std::fmt;
use std::path::PathBuf;

use super::record::RecordError;
use crate::spec::id::ContainerId;
use crate::sys::Errno;

/// Why the store did not do as asked. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No directory of that id.
    #[error("container `{id}` does not exist")]
    DoesNotExist {
        /// The id asked for.
        id: ContainerId,
    },

    /// The id is taken, perhaps by a create that was killed half-way.
    #[error("container `{id}` already exists")]
    AlreadyExists {
        /// The id asked for.
        id: ContainerId,
    },

    /// Another command held the container longer than we wait.
    #[error("container `{id}` is busy: locked by {holder} for more than {waited_sec} s")]
    Busy {
        /// The id asked for.
        id: ContainerId,
        /// Who holds it.
        holder: Holder,
        /// How long we waited.
        waited_sec: u64,
    },

    /// The state file cannot be used.
    #[error("the state of container `{id}` is unusable")]
    Record {
        /// Whose state.
        id: ContainerId,
        /// What is wrong with it.
        source: RecordError,
    },

    /// The container's directory holds something that the store did not put there. It was left
    /// as it is.
    #[error("{} holds {name:?}, which is not ours to remove", path.display())]
    ForeignFile {
        /// The container's directory.
        path: PathBuf,
        /// The name found.
        name: String,
    },

    /// The root belongs to somebody else.
    #[error("state root {} belongs to uid {owner}, not to us (uid {ours})", path.display())]
    RootOwner {
        /// The root.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Our effective uid.
        ours: u32,
    },

    /// Others may write the root.
    #[error("state root {} can be written by other users (mode {mode:04o})", path.display())]
    RootMode {
        /// The root.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },

    /// A symlink on the way to the root belongs to somebody else.
    #[error(
        "state root {}: its component {component:?} is a symbolic link of uid {owner}",
        path.display()
    )]
    RootLink {
        /// The root as given.
        path: PathBuf,
        /// The component that is a link.
        component: String,
        /// Who owns the link.
        owner: u32,
    },

    /// The root is something else than a directory.
    #[error("state root {} is not a directory", path.display())]
    RootKind {
        /// The root as given.
        path: PathBuf,
    },

    /// A system call failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
}

impl StoreError {
    /// What a person can do about it: the text of the hint line, without `hint: `.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DoesNotExist { .. } | Self::Io { .. } => None,
            Self::AlreadyExists { id } => Some(format!(
                "use another id, or remove it first: `casemate delete {id}` (with `--force` if it \
                 runs or its creation was cut short)"
            )),
            Self::Busy { .. } => Some("wait for that command to end, or end it".to_owned()),
            Self::Record { id, .. } => {
                Some(format!("`casemate delete --force {id}` removes what is left of it"))
            }
            Self::ForeignFile { path, .. } => {
                Some(format!("look at {}, and remove by hand what is not needed", path.display()))
            }
            Self::RootOwner { path, .. }
            | Self::RootLink { path, .. }
            | Self::RootKind { path } => Some(format!(
                "give `--root` a directory of your own, without links of others, or remove {}",
                path.display()
            )),
            Self::RootMode { path, .. } => Some(format!(
                "`chmod go-w {}` after a look at what is in it, or give `--root` another directory",
                path.display()
            )),
        }
    }
}

/// Who holds a lock, as far as `/proc/locks` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub(super) Option<(i32, String)>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((pid, name)) => write!(f, "{name:?} (pid {pid})"),
            None => f.write_str("another command"),
        }
    }
}
