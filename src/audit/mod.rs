//! The record of what was decided, one JSON object per line, in a file of its own.
//!
//! It says who asked for which container, under which policy and plan, and what came of it. It
//! never holds an argument or an environment variable of a workload: secrets pass there. Each
//! line holds the digest of the one before it, so that a line changed or taken out shows; that
//! the last lines were cut off shows only against a digest kept elsewhere.
//!
//! Whether a launch may go on when its record cannot be written is the policy's to say: the
//! sink gives an error, and decides nothing.

mod chain;
mod event;
mod sink;

pub use chain::{ChainError, check_chain};
pub use event::{Actor, Change, Event, EventKind};
pub use sink::{AuditError, DEFAULT_FILE, Sink};

#[cfg(test)]
mod tests;
