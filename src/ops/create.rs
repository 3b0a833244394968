//! `create`: everything up to the point where the container waits for `start`.

use std::path::PathBuf;

use super::{Context, OpsError, Result};
use crate::plan::build::CreateOptions;

/// What `create` and `run` are asked for.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The container's id, as given.
    pub id: String,
    /// The directory that holds config.json.
    pub bundle: PathBuf,
    /// A file that gets init's process id.
    pub pid_file: Option<PathBuf>,
    /// A socket that gets the terminal.
    pub console_socket: Option<PathBuf>,
    /// A socket that gets a pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// What else was asked for.
    pub options: CreateOptions,
}

/// Creates a container.
///
/// # Errors
/// Why not; nothing is left behind.
pub fn create(context: &Context, request: &CreateRequest) -> Result<()> {
    let _ = context;
    Err(OpsError::failed(format!("create `{}`", request.id), "not built"))
}
