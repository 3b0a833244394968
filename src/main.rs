//! The `casemate` program: parse, run, exit status.

use std::process::ExitCode;

/// Ends the new process when it allocates: it promised not to.
#[cfg(feature = "fault")]
#[global_allocator]
static GUARD: casemate::engine::fault::Guard = casemate::engine::fault::Guard;

fn main() -> ExitCode {
    casemate::cli::main()
}
