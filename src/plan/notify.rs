//! The chapter on notification: a caller that waits for a service to be ready (`sd_notify(3)`)
//! gives `NOTIFY_SOCKET`; the container gets a socket of its own for it, in a directory that is
//! mounted read-only, and its program a variable that names it.

use super::mount::{Filesystem, MountAttributes};
use super::mounts::Wanted;
use super::text::{RootedPath, Text};
use crate::sys::flags::mount_attr;

/// The variable.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// The socket's name in its directory.
pub const SOCKET: &str = "notify.sock";

/// Where the directory is inside. Engines and images know it from runc.
const DIRECTORY: &str = "/run/notify";

/// The directory, as a mount after all others.
pub(super) fn mount() -> Option<Wanted> {
    Some(Wanted {
        pointer: VARIABLE.to_owned(),
        at: RootedPath::new(DIRECTORY).ok()?,
        filesystem: Filesystem::Notify,
        attributes: MountAttributes {
            set: mount_attr::RDONLY | mount_attr::NOSUID | mount_attr::NODEV | mount_attr::NOEXEC,
            clear: 0,
            recursive_set: 0,
            recursive_clear: 0,
            propagation: mount_attr::MS_PRIVATE,
            then_propagation: 0,
            mapped: false,
            locked: false,
        },
        notes: Vec::new(),
    })
}

/// Tells the program of the socket, whatever the bundle says of another one.
pub(super) fn announce(environment: &mut Vec<Text>) {
    let is_other = |text: &Text| text.as_str().split('=').next() == Some(VARIABLE);
    environment.retain(|text| !is_other(text));
    environment.extend(Text::new(format!("{VARIABLE}={DIRECTORY}/{SOCKET}")));
}
