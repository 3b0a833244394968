//! System calls, typed and documented: the home of `unsafe`.
//!
//! Everything here is one kernel call, or a few that only make sense together. Nothing here
//! decides. Functions that run in the new process allocate nothing; their docs say so.

pub mod attempt;
pub mod flags;

pub use nix::errno::Errno;

/// What a system call gives: a value, or the number of an error.
pub type Result<T> = std::result::Result<T, Errno>;
