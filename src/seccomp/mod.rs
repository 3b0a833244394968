//! Seccomp profiles to BPF programs, and the check on the compiler. Pure.
