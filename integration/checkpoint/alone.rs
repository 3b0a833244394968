//! What CRIU can do on this kernel without any container.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::CRIU;
use crate::support::{Runtime, patience, tagged_dir, unique_tag};

/// A runtime that writes and makes containers; none, with what CRIU says, where it cannot even
/// write a process that sleeps in a network namespace of its own, as all containers have here.
pub(super) fn writing_runtime() -> Option<Runtime> {
    static WRITES: OnceLock<Result<(), String>> = OnceLock::new();
    let runtime = super::runtime()?;
    match WRITES.get_or_init(written_alone) {
        Ok(()) => Some(runtime),
        Err(why) => {
            println!("skipped, because CRIU alone cannot write `unshare --net sleep` here: {why}");
            None
        }
    }
}

/// A process in a session and a network namespace of its own, without a terminal.
fn sleeper() -> Child {
    let mut command = Command::new("setsid");
    command.args(["unshare", "--net", "sleep", "100"]);
    let mut sleeper =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let name = format!("/proc/{}/comm", sleeper.id());
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while fs::read_to_string(&name).unwrap() != "sleep\n" {
        assert!(Instant::now() < deadline, "{:?}", sleeper.try_wait());
    }
    sleeper
}

/// Writes it with CRIU alone, which ends it.
fn written_alone() -> Result<(), String> {
    let dir = tagged_dir(&unique_tag());
    let mut sleeper = sleeper();
    let criu = std::env::var(CRIU).unwrap_or_else(|_| "criu".to_owned());
    let status = Command::new(criu)
        .args([
            "dump",
            "-v4",
            "--log-file",
            "log",
            "--tree",
            &sleeper.id().to_string(),
            "--images-dir",
        ])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let _ = sleeper.kill();
    sleeper.wait().unwrap();
    if status.success() {
        return Ok(());
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    Err(told(&log))
}

/// What a log says of a failure: what is called an error, and what was done last before it.
fn told(log: &str) -> String {
    let errors = log.lines().filter_map(|line| line.split_once("Error ").map(|(_, what)| what));
    let errors = errors.collect::<Vec<_>>().join("; ");
    let done = log.lines().take_while(|line| !line.contains("net: Unlock network")).last();
    let done = done.map(|line| line.split_once(") ").map_or(line, |(_, what)| what));
    format!("{errors}, after: {}", done.unwrap_or_default())
}
