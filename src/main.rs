//! The `casemate` program: parse, run, exit status.

use std::process::ExitCode;

/// One thread, a short life, many small blocks: see `sys::arena`.
#[cfg(not(feature = "fault"))]
#[global_allocator]
static ARENA: casemate::sys::arena::Arena = casemate::sys::arena::Arena::new();

/// For tests: ends the new process when it allocates, since it promised not to.
#[cfg(feature = "fault")]
#[global_allocator]
static GUARD: casemate::sys::alloc_guard::Guard = casemate::sys::alloc_guard::Guard;

fn main() -> ExitCode {
    casemate::cli::main()
}
