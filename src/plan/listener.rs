//! Who answers the calls that the filter holds up.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::HostPath;

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
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { path, .. } => write!(f, "the agent at {path}"),
        }
    }
}
