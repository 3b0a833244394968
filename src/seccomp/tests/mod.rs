//! Tests of the whole: profiles in, answers out.

mod answers;
mod refusals;
mod soundness;
mod support;
