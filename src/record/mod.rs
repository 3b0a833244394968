//! Watches what a program asks of the kernel: to learn a profile, and to tell what was refused.
//!
//! [`watcher`] receives the calls that a filter holds up, answers each as the filter that would
//! have stood, and notes it in a [`trace`]. [`generate`] makes a profile of that, [`report`] a
//! list of refusals. A container is watched by an [`agent`], a process of its own; a command of
//! the host's by the process that runs it ([`command`]).
//!
//! A watcher never decides anything, and never lets a call pass that the filter refuses.

pub mod agent;
pub mod command;
pub mod generate;
pub mod kernel_log;
pub mod narrow;
pub mod output;
mod program;
pub mod report;
pub mod trace;
pub mod watcher;
