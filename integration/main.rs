//! Drives the built binary on the real kernel. One module per subject; run as root.

#[cfg(test)]
mod layers;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod support;
