//! Who calls: root of the host, or of a user namespace that a rootless engine made.

use super::{OpsError, Result};

/// Refuses a caller that could not make a container, before something else is blamed.
///
/// # Errors
/// For any user but root.
pub(super) fn check(doing: &str) -> Result<()> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(());
    }
    let message = format!("it is called by the user {}, and needs root", user.as_raw());
    Err(OpsError::failed(doing, message).hint(HINT))
}

const HINT: &str = "call it as root, or as root of a user namespace with ids of its own, as rootless \
                    Podman does: `podman unshare casemate run …`";
