//! `kill`: sends a signal to init, or to all processes.

use super::{Context, OpsError, Result};

/// Sends `signal` to a container's init; with `all`, to every process in its control group.
///
/// # Errors
/// Why not, in the words that engines look for.
pub fn kill(context: &Context, id: &str, signal: i32, all: bool) -> Result<()> {
    let _ = (context, signal, all);
    Err(OpsError::failed(format!("kill `{id}`"), "not built"))
}

/// Reads a signal as people write it: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_signal(text: &str) -> std::result::Result<i32, String> {
    Err(format!("unknown signal `{text}`"))
}
