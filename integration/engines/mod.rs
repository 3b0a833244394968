//! Real engines, unmodified, with the binary under test as their runtime.
//!
//! Each test has a place of its own: private mount and network namespaces, in which the engine's
//! configuration, storage, locks and networks are its own, and `profiles/engines` is installed as
//! a user would. Run as root, by `hack/test.sh engines`, which installs the engines.

mod attacks;
mod builders;
mod containerd;
mod cri;
mod crio;
mod docker;
mod leaks;
mod podman;
mod rootless;
mod scale;
mod software;
mod support;
