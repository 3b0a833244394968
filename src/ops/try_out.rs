//! `try`: the main job on an embedded bundle, attacked from inside and looked at from outside.

use super::{Context, OpsError, Result};
use crate::selftest::Report;

/// What `try` is asked for.
#[derive(Debug, Clone, Default)]
pub struct TryRequest {
    /// For tests: a defence to take out, so that its line turns red.
    pub weaken: Option<String>,
}

/// Runs the self-test and reports what held.
///
/// # Errors
/// When the container could not even be started.
pub fn try_out(context: &Context, request: &TryRequest) -> Result<Report> {
    let _ = (context, request);
    Err(OpsError::failed("try", "not built"))
}
