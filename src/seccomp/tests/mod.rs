//! Tests of the whole: profiles in, answers out.

mod answers;
mod comparisons;
mod explanations;
mod refusals;
mod soundness;
mod support;
