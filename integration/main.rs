//! Drives the built binary on the real kernel. One module per subject; run as root.

#[cfg(test)]
mod overlay;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod support;
