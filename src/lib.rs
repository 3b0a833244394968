//! casemate: an OCI runtime that boxes every container by default, or refuses and says why.
//!
//! One idea: **decide everything, then do it.** A pure core turns bundle, policy and kernel
//! facts into a [`plan::LaunchPlan`]; a thin shell carries it out. Nothing is decided after the
//! first `clone3`.
//!
//! The way of data through the house, which is also the order of the layers
//! (`integration/layers.rs` enforces who may import whom):
//!
//! | layer | module | what it is for |
//! |---|---|---|
//! | 0 | [`sys`] | system calls, typed; the home of `unsafe` |
//! | 1 | [`spec`] | `config.json` as written; what the specification demands of it |
//! | 2 | [`policy`] | rules: what is refused, what is changed, and why |
//! | 2 | [`seccomp`] | profiles to BPF programs, and the check on the compiler |
//! | 3 | [`plan`] | the list of steps: the security argument, in order |
//! | 4 | [`host`] | reads bundles, mount tables, kernel features |
//! | 4 | [`cgroup`] | makes, limits, asks and removes control groups |
//! | 4 | [`store`] | what outlives a command: container state, id ranges |
//! | 4 | [`audit`] | the record of what was decided |
//! | 4 | [`criu`] | talks to the program that writes processes to files |
//! | 5 | [`engine`] | carries a plan out, and takes it back when it fails |
//! | 5 | [`record`] | watches what a program asks of the kernel: profiles, and what was refused |
//! | 5 | [`doctor`] | looks at a host before anything runs on it |
//! | 5 | [`verify`] | says where a living container differs from its plan |
//! | 5 | [`selftest`] | what `try` attempts, from inside and from outside |
//! | 6 | [`ops`] | one file per operation: where core and shell meet |
//! | 7 | [`cli`] | arguments, help, errors as people and engines read them |

pub mod audit;
pub mod cgroup;
pub mod cli;
pub mod criu;
pub mod doctor;
pub mod engine;
pub mod host;
pub mod ops;
pub mod plan;
pub mod policy;
pub mod record;
pub mod seccomp;
pub mod selftest;
pub mod spec;
pub mod store;
pub mod sys;
pub mod verify;
