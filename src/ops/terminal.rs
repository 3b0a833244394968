//! Who takes a program's terminal: an engine over a socket, or this command itself.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::relay::{self, Relay};
use super::{OpsError, Result};
use crate::sys::socket;

/// Where a terminal is sent, and what carries it if that is this command's task.
pub(super) type Console = (Option<OwnedFd>, Option<Relay>);

/// What the caller says about a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Whether the program gets one.
    pub terminal: bool,
    /// The property that says so.
    pub property: &'static str,
    /// The socket of the engine that takes it.
    pub socket: Option<&'a Path>,
    /// Whether this command returns before the program ends.
    pub detached: bool,
}

/// Finds out who takes the terminal, and refuses combinations that make no sense.
pub(super) fn console(doing: &str, wanted: Wanted<'_>) -> Result<Console> {
    let property = wanted.property;
    match (wanted.terminal, wanted.socket) {
        (true, None) if wanted.detached => Err(OpsError::failed(
            doing,
            format!(
                "cannot allocate tty if casemate will detach without setting console socket: \
                 {property} is true"
            ),
        )
        .hint(format!("give --console-socket, or set {property} to false"))),
        (true, None) => {
            let (relay, console) = relay::new().map_err(|error| {
                OpsError::failed(doing, format!("make a socket for the terminal: {error:?}"))
            })?;
            Ok((Some(console), Some(relay)))
        }
        (false, None) => Ok((None, None)),
        (false, Some(_)) => Err(OpsError::failed(
            doing,
            format!(
                "cannot use console socket if casemate will not allocate tty: {property} is not \
                 true"
            ),
        )
        .hint(format!("leave --console-socket out, or set {property} to true"))),
        (true, Some(_)) if !wanted.detached => Err(OpsError::failed(
            doing,
            "cannot use console socket if casemate will not detach: it carries the terminal itself",
        )
        .hint("leave --console-socket out, or give --detach")),
        (true, Some(path)) => {
            let console = socket::connect_stream(path).map_err(|error| {
                let what = format!("connect to the console socket {}: {error:?}", path.display());
                OpsError::failed(doing, what)
            })?;
            Ok((Some(console), None))
        }
    }
}
