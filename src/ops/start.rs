//! `start`: lets a created container become its program.

use super::{Context, OpsError, Result};

/// Starts a created container.
///
/// # Errors
/// Why not: no such container, not created, or what init reported.
pub fn start(context: &Context, id: &str) -> Result<()> {
    let _ = context;
    Err(OpsError::failed(format!("start `{id}`"), "not built"))
}
