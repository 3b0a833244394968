//! Looks at a container that lives, and says where it differs from its plan.
//!
//! | part | what it does |
//! |---|---|
//! | [`Expected`] | what a plan promises of the processes and mounts it leads to; pure |
//! | [`observe()`] | reads what there is |
//! | [`compare`] | says where the two differ; pure |
//!
//! A difference is a drift, whichever way it goes: what is held less tightly than planned is one,
//! and so is a mount that nobody planned. What a program may do to itself is none: a process that
//! gave up a capability, or put a second filter on top of the first.
//!
//! This module changes nothing. It stops a process for a moment when it is asked for its filter.

pub mod compare;
mod expected;
mod observe;
mod status;
#[cfg(test)]
mod tests;

pub use compare::Drift;
pub use expected::{Expected, ExpectedMount, MountKind};
pub use observe::{
    ObserveError, Observed, ObservedMount, ObservedProcess, Relation, filter, observe,
};
