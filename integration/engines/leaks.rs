//! What an engine and its containers leave on the machine when the engine is gone: nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the last of a container's helpers may take to end.
const LIMIT: Duration = Duration::from_secs(60);

/// The ids of all containers that casemate made in a place, from the place's own audit record.
fn ids(audit: &Path) -> Vec<String> {
    let text = fs::read_to_string(audit.join("audit.jsonl")).unwrap_or_default();
    let mut ids: Vec<String> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|record| record["id"].as_str().map(str::to_owned))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn groups(dir: &Path, depth: u32, is_theirs: &dyn Fn(&str) -> bool, found: &mut Vec<String>) {
    for entry in entries(dir).into_iter().filter(|entry| entry.is_dir() && !entry.is_symlink()) {
        if is_theirs(&entry.to_string_lossy()) {
            found.push(format!("control group {}", entry.display()));
        } else if depth > 0 {
            groups(&entry, depth - 1, is_theirs, found);
        }
    }
}

/// Whether a container's id is in a text. A short one is one by chance in longer words.
fn names(text: &str, id: &str) -> bool {
    const LONG: usize = 12;
    let mut words = text.split(|sign: char| !sign.is_ascii_alphanumeric());
    if id.len() < LONG { words.any(|word| word == id) } else { text.contains(id) }
}

/// Processes that have a namespace of mounts.
fn processes(mounts: u64) -> Vec<i32> {
    let pids = entries(Path::new("/proc")).into_iter().filter_map(|dir| {
        let pid = dir.file_name()?.to_str()?.parse::<i32>().ok()?;
        (fs::metadata(dir.join("ns/mnt")).ok()?.ino() == mounts).then_some(pid)
    });
    pids.collect()
}

/// What there is of the containers of a place whose mounts and audit record are these.
fn look(mounts: u64, holder: i32, audit: &Path, tag: &str) -> Vec<String> {
    let ids = ids(audit);
    let is_theirs = |text: &str| text.contains(tag) || ids.iter().any(|id| names(text, id));
    let mut found = Vec::new();
    for pid in processes(mounts).into_iter().filter(|pid| *pid != holder) {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        found.push(format!("process {pid}: {}", String::from_utf8_lossy(&words)));
    }
    for pid in entries(Path::new("/proc")) {
        let groups = fs::read_to_string(pid.join("cgroup")).unwrap_or_default();
        if ids.iter().any(|id| names(&groups, id)) {
            found.push(format!("process {}: in {groups}", pid.display()));
        }
    }
    groups(Path::new("/sys/fs/cgroup"), 4, &is_theirs, &mut found);
    for entry in entries(Path::new("/run/casemate")) {
        if is_theirs(&entry.to_string_lossy()) {
            found.push(format!("state {}", entry.display()));
        }
    }
    for entry in entries(Path::new("/run/casemate/.ranges")) {
        if is_theirs(&fs::read_to_string(&entry).unwrap_or_default()) {
            found.push(format!("range {}", entry.display()));
        }
    }
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(table.lines().filter(|line| is_theirs(line)).map(|line| format!("mount {line}")));
    found
}

/// Waits until nothing is left, and gives what is.
pub(super) fn left(mounts: u64, holder: i32, audit: &Path, tag: &str) -> Vec<String> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = look(mounts, holder, audit, tag);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Ends what still runs in a place, so that a test that fails leaves nothing either.
pub(super) fn end_all(mounts: u64) {
    for pid in processes(mounts) {
        let pid = nix::unistd::Pid::from_raw(pid);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
}
