//! systemd as the maker of control groups: a scope for each container, asked for over D-Bus.
//!
//! The scope is the container's group like any other: limits, devices, freezing and killing are
//! done in its files, for the scope is delegated to us. systemd is told the limits that it has
//! words for, so that it does not write others when it reloads, and it removes the scope when that
//! is empty.
//!
//! The client is our own. `libcgroups` 0.7 has one, but takes the bus's address from the
//! environment and runs a program to learn its own uid, opens its socket without close-on-exec,
//! reserves what memory the peer asks for, and does not wait for the job but for the process;
//! with it come half a megabyte of sources that do the rest another way. `zbus` brings threads
//! and an executor, `dbus` a C library.

mod bus;
mod manager;
mod message;
mod start;
mod wire;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(super) use manager::Manager;
pub(super) use start::start;

use crate::sys::Errno;

/// Where systemd says that it runs: sd_booted(3).
const BOOTED: &str = "/run/systemd/system";

/// The strings that a message begins with: what is looked at of an answer. For fuzzing.
///
/// # Errors
/// [`message::Malformed`].
pub fn texts_of(bytes: &[u8]) -> Result<Vec<String>, message::Malformed> {
    message::parse(bytes)?.texts()
}

/// Whether systemd is the host's init. Without it nobody makes scopes.
#[must_use]
pub fn is_running() -> bool {
    let found = rustix::fs::lstat(BOOTED);
    found.is_ok_and(|found| {
        rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::Directory
    })
}

/// A unit that holds a container, as the state file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedUnit {
    /// Its name.
    pub name: String,
    /// Whether it is of the calling user's manager, not of the system's.
    pub user: bool,
}

/// Why systemd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Nobody listens there.
    #[error("connect to {}", path.display())]
    Connect {
        /// The last socket that was tried.
        path: PathBuf,
        /// The kernel's answer.
        source: Errno,
    },

    /// The other side does not want to talk to us.
    #[error("the bus does not let us in: `{answer}`")]
    Refused {
        /// What it said.
        answer: String,
    },

    /// An error, in the words of whoever was asked.
    #[error("{name}: {text}")]
    Answer {
        /// Its name, as in `org.freedesktop.systemd1.UnitExists`.
        name: String,
        /// What it says.
        text: String,
    },

    /// A job ended otherwise than well.
    #[error("its job ended with `{result}`")]
    Job {
        /// How: `failed`, `canceled`, `timeout`, `dependency`.
        result: String,
    },

    /// What arrived is no message.
    #[error("read a message")]
    Message(#[from] message::Malformed),

    /// The conversation broke, or took too long.
    #[error("talk to systemd")]
    System(#[from] Errno),
}

impl BusError {
    /// Whether it is the error of this name, without what all names of systemd begin with.
    fn is(&self, wanted: &str) -> bool {
        let Self::Answer { name, .. } = self else { return false };
        name.strip_prefix("org.freedesktop.systemd1.") == Some(wanted)
    }
}
