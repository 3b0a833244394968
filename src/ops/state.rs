//! `state`: what the specification wants to know of a container.

use std::collections::BTreeMap;

use super::{Context, OpsError, Result};

/// The state document. Spec: runtime-spec, runtime.md, "State".
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateDocument {
    /// The specification's version.
    pub oci_version: String,
    /// The id.
    pub id: String,
    /// Init's process id, 0 when stopped.
    pub pid: i32,
    /// `creating`, `created`, `running`, `stopped`.
    pub status: String,
    /// The bundle.
    pub bundle: String,
    /// The root file system.
    pub rootfs: String,
    /// RFC 3339.
    pub created: String,
    /// The bundle's annotations, and casemate's own.
    pub annotations: BTreeMap<String, String>,
    /// The name of the user who created it.
    pub owner: String,
}

/// The state of one container.
///
/// # Errors
/// No such container, or a record that cannot be read.
pub fn state(context: &Context, id: &str) -> Result<StateDocument> {
    let _ = context;
    Err(OpsError::failed(format!("state `{id}`"), "not built"))
}
