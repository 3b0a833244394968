//! What `try` attempts, from inside a container and from outside.
//!
//! `casemate try` is the proof that anyone can repeat: [`bundle`] makes a bundle out of nothing
//! but this binary, the runtime starts it under the default policy, and [`inside`] runs there as
//! the first process and makes every one of [`attempts`]. What it answered is read by
//! [`answers`], what only the host can see is looked at by [`outside`], and [`report`] says for
//! each promise whether it holds.
//!
//! Every attempt is harmless where it succeeds, and every check can fail: the tests run the same
//! attempts with no box around them, and see them succeed. What is missing counts against the
//! box: an attempt without an answer is broken, and so is a promise that nothing was done for.

pub mod answers;
pub mod attempts;
pub mod bundle;
mod controls;
mod inside;
mod mounts;
pub mod outcome;
pub mod outside;
mod probes;
pub mod report;
#[cfg(test)]
mod tests;

pub use inside::inside;
pub use outcome::{Expect, Finding, Outcome, Promise, Verdict};
pub use report::Report;
