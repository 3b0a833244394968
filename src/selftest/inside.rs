//! The half of the self-test that runs in the container, as its first process.

use std::fs::read_to_string;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{answers, attempts};

/// As `argv[0]`: print who runs this program, and do nothing else.
pub(super) const IDENTITY: &str = "identity";

/// How long to stay alive for the half outside to look.
const LINGER: Duration = Duration::from_secs(180);

/// Makes every attempt and prints a line of JSON for each; then waits for the end of standard
/// input, so that the process can be looked at from outside.
///
/// Refuses to run unless it is the first process of a pid namespace, or that process is this very
/// program: on a host whose root it is, most attempts would succeed.
#[must_use]
pub fn inside() -> ExitCode {
    let done = if std::env::args_os().next().is_some_and(|name| name == IDENTITY) {
        print_identity()
    } else if std::process::id() == 1 || is_beside_itself() {
        attempt_all()
    } else {
        Err(io::Error::other("this is for the processes of a container of its own"))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is gone too.
            let _ = writeln!(io::stderr(), "error: try inside: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the first process of the pid namespace runs the same program, as where this one
/// entered by `exec`.
fn is_beside_itself() -> bool {
    let program = |process: &str| std::fs::read_link(format!("/proc/{process}/exe"));
    matches!((program("1"), program("self")), (Ok(first), Ok(own)) if first == own)
}

fn attempt_all() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for attempt in attempts::all() {
        answers::write(&mut out, attempt.id, &attempt.make())?;
    }
    answers::write_end(&mut out)?;
    answers::readable(io::stdin().as_fd(), Instant::now() + LINGER).map(drop)
}

fn print_identity() -> io::Result<()> {
    let status = read_to_string("/proc/self/status")?;
    io::stdout().write_all(status.as_bytes())
}

/// A field of a status file: `field(text, "Uid")` is `0 0 0 0`, split at white space.
///
/// Reference: proc_pid_status(5).
pub(super) fn field<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(|rest| rest.split_whitespace().collect())
        .unwrap_or_default()
}
