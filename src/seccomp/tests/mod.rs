//! Tests of the whole: profiles in, answers out.

mod answers;
mod comparisons;
mod explanations;
mod merging;
mod refusals;
mod reviews;
mod soundness;
mod support;
mod watching;
