//! Who takes the container's terminal: an engine over a socket, or this command itself.

use std::os::fd::OwnedFd;

use oci_spec::runtime::Process;

use super::create::Way;
use super::prepare::Prepared;
use super::relay::{self, Relay};
use super::{CreateRequest, OpsError, Result};
use crate::sys::socket;

/// Where the launch sends the terminal, and what carries it if that is this command's task.
pub(super) type Console = (Option<OwnedFd>, Option<Relay>);

/// Finds out who takes the terminal, and refuses combinations that make no sense.
pub(super) fn console(
    doing: &str,
    prepared: &Prepared,
    request: &CreateRequest,
    way: Way,
) -> Result<Console> {
    let process = prepared.judged.spec.process().as_ref();
    let terminal = process.and_then(Process::terminal) == Some(true);
    let detached = way != Way::Run;
    match (terminal, &request.console_socket) {
        (true, None) if detached => Err(OpsError::failed(
            doing,
            "cannot allocate tty if casemate will detach without setting console socket: \
             /process/terminal is true",
        )
        .hint("give --console-socket, or set /process/terminal to false")),
        (true, None) => {
            let (relay, console) = relay::new().map_err(|error| {
                OpsError::failed(doing, format!("make a socket for the terminal: {error:?}"))
            })?;
            Ok((Some(console), Some(relay)))
        }
        (false, None) => Ok((None, None)),
        (false, Some(_)) => Err(OpsError::failed(
            doing,
            "cannot use console socket if casemate will not allocate tty: \
             /process/terminal is not true",
        )
        .hint("leave --console-socket out, or set /process/terminal to true")),
        (true, Some(_)) if !detached => Err(OpsError::failed(
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
