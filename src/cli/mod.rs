//! The command line: arguments, help, errors as people and engines read them.

use std::process::ExitCode;

/// Parses the arguments, runs one operation, and turns its outcome into an exit status.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
