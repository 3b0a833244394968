//! Who lives in the container.

use std::fs;

use crate::ops::{OpsError, Result};

/// Refuses processes that CRIU would not find, or not put where they were: those that are no
/// descendants of init, and those in groups of their own.
pub(super) fn check(doing: &str, init: i32, pids: &[i32]) -> Result<()> {
    let home = group(init);
    for pid in pids {
        if *pid != init && !descends(*pid, init) {
            let message =
                format!("process {pid} was brought in from outside, and CRIU would lose it");
            return Err(OpsError::failed(doing, message)
                .hint("wait for what `exec` has started, or end it"));
        }
        let found = group(*pid);
        if found.is_some() && found != home {
            let message = format!("process {pid} is in a control group below the container's own");
            return Err(OpsError::failed(doing, message)
                .fact("because", "it would be made again in the container's own"));
        }
    }
    Ok(())
}

/// A process that is gone by now descends from whoever it did.
fn descends(mut pid: i32, init: i32) -> bool {
    while pid != init {
        match parent(pid) {
            Some(above) if above > 0 => pid = above,
            Some(_) => return false,
            None => return true,
        }
    }
    true
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold anything, also parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Its group of cgroup v2.
fn group(pid: i32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}
