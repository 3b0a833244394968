//! Who answers the calls that the filter holds up.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::HostPath;
use crate::seccomp::{Basis, Watch};

/// Who answers the calls that the filter holds up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Listener {
    /// A program of the host's, as the bundle asks.
    ///
    /// Spec: runtime-spec, config-linux.md, "Seccomp", `listenerPath`.
    Agent {
        /// The socket it listens on.
        path: HostPath,
        /// What it is told beside the container's state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<String>,
    },
    /// A process of ours, which gives the answers that the kernel would have given, and notes
    /// them.
    Watch(Box<WatchPlan>),
}

/// What is watched of a container, and where the results go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchPlan {
    /// Which calls.
    pub what: Watch,
    /// What the filter was made from: it decides.
    pub basis: Basis,
    /// Where the profile is written in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<HostPath>,
    /// Where the report is written in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<HostPath>,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { path, .. } => write!(f, "the agent at {path}"),
            Self::Watch(watch) => match (&watch.profile, watch.what) {
                (Some(file), _) => write!(f, "a watcher that records {file}"),
                (None, Watch::All) => f.write_str("a watcher of everything"),
                (None, Watch::Refused) => f.write_str("a watcher of what is refused"),
            },
        }
    }
}
