//! `[checkpoint]` of a policy file: with what containers are written to files.

use serde::Deserialize;

/// The table `[checkpoint]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CheckpointPolicy {
    /// CRIU's file, absolute. Without it, CRIU is looked for where packages install it.
    pub criu: Option<String>,
}
