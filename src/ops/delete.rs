//! `delete`: removes what create made.

use super::{Context, OpsError, Result};

/// Deletes a container; with `force` also a running one, and an unknown one is no error.
///
/// # Errors
/// Why not.
pub fn delete(context: &Context, id: &str, force: bool) -> Result<()> {
    let _ = (context, force);
    Err(OpsError::failed(format!("delete `{id}`"), "not built"))
}
