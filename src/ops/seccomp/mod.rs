//! `seccomp`: what is done with a filter or a profile by itself.

mod compile;
mod input;

pub use compile::{CompileReport, compile};
