//! What outlives a command: container state and the registry of id ranges.
//!
//! The state of all containers lies below one directory, the *root* (`--root`,
//! [`DEFAULT_ROOT`]); each container has a directory there, named by its id, and whoever holds
//! its [`Entry`] holds the lock on that directory. Entries of the root that begin with a dot are
//! the store's own.
//!
//! | name below `<root>/<id>/` | what |
//! |---|---|
//! | `state.json` | the [`Record`]; missing until the creator writes it |
//! | `plan.json` | the launch plan, for `exec`, `verify` and `explain` |
//! | `notify/` | where the container finds its notification socket; only if its creator waits for one |
//! | `start.sock` | where a created container waits for `start` |
//!
//! Directories are 0700 and files 0600 whatever the caller's umask is. Everything goes by
//! descriptors and without following links; a file is replaced by renaming a complete one into
//! place, so that a reader without the lock sees the old or the new, never a part. Nothing is
//! synced to disk: what is kept here describes processes, and a power loss that could lose it
//! ends them too.
//!
//! This module never signals a process, and never removes a file it does not know.

mod dir;
mod entry;
mod error;
pub mod process;
pub mod ranges;
mod record;
mod root;
mod salvage;
mod state;
mod time;

pub use entry::{
    Entry, PLAN_FILE, REFUSALS_FILE, REFUSALS_TEMPORARY, START_SOCKET, STATE_FILE, WATCH_SOCKET,
};
pub use error::{Holder, StoreError};
pub use process::ProcessId;
pub use record::{Phase, RECORD_VERSION, Record, RecordError, Shown, Status};
pub use state::{DEFAULT_ROOT, Listed, Store, StoredState};
pub use time::rfc3339;

#[cfg(test)]
mod tests;
