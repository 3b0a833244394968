//! Drives the built binary on the real kernel. One module per subject; run as root.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cgroups;
#[cfg(test)]
mod cli;
#[cfg(all(test, feature = "fault"))]
mod every_step;
#[cfg(test)]
mod explain;
#[cfg(all(test, feature = "fault"))]
mod hardened;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod overlay;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod rootfs;
#[cfg(test)]
mod seccomp_compiler;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod try_out;
