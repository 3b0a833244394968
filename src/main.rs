//! The `casemate` program: parse, run, exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    casemate::cli::main()
}
