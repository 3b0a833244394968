//! Drives the built binary on the real kernel. One module per subject; run as root.

mod seccomp_compiler;
