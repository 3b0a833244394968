//! One file per operation: the only place where the pure core meets the shell.
