//! What only the host can see: who the process really is, and what was left behind.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::inside::field;
use super::outcome::{Expect, Finding, Outcome, Promise, errno};
use super::probes::beyond;
use crate::sys::ns;

use Promise::{P1, P2, P4, P5, P6, P7, P8};

/// Namespaces that a container never shares with its host.
const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// Looks at a live process of a container from the host's side. `free` is the first id that is no
/// user's of the host, or not the caller's, as the caller counts.
#[must_use]
pub fn observe(pid: i32, free: u64) -> Vec<Finding> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let status = read("status");
    let mut findings = vec![
        ids(&status, "Uid", &read("uid_map"), ("host.users", free)),
        ids(&status, "Gid", &read("gid_map"), ("host.groups", free)),
        shared_namespaces(&dir),
        mount_owner(&dir),
    ];
    let what = "hold a capability beyond the level's, as the host sees it";
    let right = format!("CapBnd is {}", field(&status, "CapBnd").join(" "));
    findings.push(Finding::seen(P4, "host.capabilities", what, &beyond(&status), &right));
    for (promise, id, name, value) in
        [(P4, "host.no-new-privs", "NoNewPrivs", "1"), (P5, "host.filter", "Seccomp", "2")]
    {
        let found = field(&status, name).join(" ");
        let said = format!("{name} is {found:?}");
        let wrong = if found == value { Vec::new() } else { vec![said.clone()] };
        let what = format!("run with another `{name}` than {value}, as the host sees it");
        findings.push(Finding::seen(promise, id, &what, &wrong, &said));
    }
    findings
}

/// Every id of the process lies in the one range that its map has, far from the host's own.
fn ids(status: &str, name: &str, map: &str, (id, free): (&str, u64)) -> Finding {
    let numbers = |text: &str| -> Vec<u64> {
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let ids = numbers(&field(status, name).join(" "));
    let mut wrong = Vec::new();
    let mut base = 0;
    if let [0, first, 65_536] = *numbers(map).as_slice() {
        base = first;
        if base < free {
            wrong.push(format!("the range starts at {base}"));
        }
    } else {
        wrong.push(format!("the map is {:?}", map.split_whitespace().collect::<Vec<_>>()));
    }
    let strange = ids.iter().filter(|id| **id == 0 || !(base..base + 65_536).contains(id));
    wrong.extend(strange.map(|id| format!("an id is {id}")));
    if ids.is_empty() {
        wrong.push(format!("no `{name}` to be read"));
    }
    let what = "run as an id outside of the container's own 65,536";
    Finding::seen(P1, id, what, &wrong, &format!("{name} {ids:?} in {base}+65536"))
}

fn shared_namespaces(dir: &Path) -> Finding {
    let link = |dir: &Path, kind: &str| fs::read_link(dir.join("ns").join(kind));
    let wrong: Vec<_> = NAMESPACES
        .into_iter()
        .filter_map(|kind| match (link(dir, kind), link(Path::new("/proc/self"), kind)) {
            (Ok(theirs), Ok(ours)) if theirs != ours => None,
            (Ok(_), Ok(_)) => Some(format!("{kind} is the host's")),
            (Err(error), _) | (_, Err(error)) => Some(format!("{kind}: {error}")),
        })
        .collect();
    let what = "share a namespace with the host";
    Finding::seen(P1, "host.namespaces", what, &wrong, &NAMESPACES.join(" "))
}

/// That nothing inside owns the mounts is what holds them even without a filter.
fn mount_owner(dir: &Path) -> Finding {
    let what = "own the mount namespace";
    let ours = || -> io::Result<bool> {
        let owner = ns::owner(File::open(dir.join("ns/mnt"))?.as_fd()).map_err(io::Error::from)?;
        let owner = File::from(owner).metadata()?;
        let here = fs::metadata("/proc/self/ns/user")?;
        Ok((owner.dev(), owner.ino()) == (here.dev(), here.ino()))
    };
    let outcome = match ours() {
        Ok(true) => Outcome::Held("it belongs to the host's user namespace".to_owned()),
        Ok(false) => Outcome::Succeeded("it belongs to another user namespace".to_owned()),
        Err(error) => Outcome::Denied(errno(&error)),
    };
    Finding::new(P2, "host.mount-owner", what, Expect::Held, outcome)
}

/// Compares a process that entered a container with the container's first process.
#[must_use]
pub fn same_box(init: i32, entered: i32) -> Vec<Finding> {
    let dir = |pid: i32| PathBuf::from(format!("/proc/{pid}"));
    let (init, entered) = (dir(init), dir(entered));
    let status = |dir: &Path| fs::read_to_string(dir.join("status")).unwrap_or_default();
    let (first, second) = (status(&init), status(&entered));
    let mut wrong = Vec::new();
    for name in [
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
    ] {
        let (planned, found) = (field(&first, name), field(&second, name));
        if planned != found || (found.is_empty() && name != "Groups") {
            wrong.push(format!("{name} is {found:?}, not {planned:?}"));
        }
    }
    for name in ["ns/user", "ns/mnt", "ns/pid", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup", "root"] {
        let (planned, found) = (fs::read_link(init.join(name)), fs::read_link(entered.join(name)));
        if planned.is_err() || planned.ok() != found.ok() {
            wrong.push(format!("{name} differs"));
        }
    }
    for name in ["cgroup", "uid_map", "gid_map", "oom_score_adj"] {
        let read = |dir: &Path| fs::read_to_string(dir.join(name)).ok();
        if read(&init).is_none() || read(&init) != read(&entered) {
            wrong.push(format!("{name} differs"));
        }
    }
    let what = "enter with other rights than the first process has";
    vec![Finding::seen(P6, "exec.same-box", what, &wrong, "ids, rights, namespaces, cgroup")]
}

/// Compares the digest that `explain` gave before with the one that `state` gave after.
#[must_use]
pub fn digests(explained: &str, stored: &str) -> Finding {
    let same = !explained.is_empty() && explained == stored;
    let said = format!("explain {explained:?}, state {stored:?}");
    let wrong = if same { Vec::new() } else { vec![said.clone()] };
    Finding::seen(P7, "record.digest", "start from another plan than explained", &wrong, &said)
}

/// The host, as far as a container could leave something there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    mounts: usize,
    traces: Vec<String>,
}

impl Host {
    /// Looks for traces of `tag`: mounts, control groups and processes that carry it, and entries
    /// of the watched directories that carry it in their name or in their first bytes.
    ///
    /// # Errors
    /// Those of reading the mount table. A watched directory that is not there has no traces.
    pub fn observe(watched: &[&Path], tag: &str) -> io::Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let of_mounts = table.lines().filter(|line| line.contains(tag));
        let mut traces: Vec<_> = of_mounts.map(|line| format!("mount {line}")).collect();
        control_groups(Path::new("/sys/fs/cgroup"), tag, &mut traces);
        for entry in watched.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten() {
            let in_name = entry.file_name().to_string_lossy().contains(tag);
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            let text = || fs::read(entry.path()).unwrap_or_default();
            if in_name || (is_file && String::from_utf8_lossy(&text()).contains(tag)) {
                traces.push(format!("entry {}", entry.path().display()));
            }
        }
        for entry in fs::read_dir("/proc")?.flatten() {
            let read = |name| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            // A dead process that nobody has reaped yet is its parent's affair.
            if read("cgroup").contains(tag) && !read("status").contains("State:\tZ") {
                traces.push(format!("process {}", entry.file_name().display()));
            }
        }
        traces.sort_unstable();
        Ok(Self { mounts: table.lines().count(), traces })
    }

    /// What is there afterwards that was not there before.
    #[must_use]
    pub fn compare(&self, after: &Self) -> Vec<Finding> {
        let new: Vec<_> =
            after.traces.iter().filter(|trace| !self.traces.contains(trace)).cloned().collect();
        let said = format!("{} mounts before, {} after", self.mounts, after.mounts);
        // Others may mount at any time: without our tag on it, that is no proof against us.
        let mounts = if after.mounts > self.mounts {
            Outcome::Inconclusive(said)
        } else {
            Outcome::Held(said)
        };
        let what = "leave mounts, control groups, processes or files behind";
        vec![
            Finding::seen(P8, "after.traces", what, &new, "nothing of the container is left"),
            Finding::new(P8, "after.mounts", "leave more mounts than before", Expect::Held, mounts),
        ]
    }
}

/// Control groups below `dir` whose name has the tag; what is below those is not listed.
fn control_groups(dir: &Path, tag: &str, traces: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(tag) {
            traces.push(format!("control group {}", entry.path().display()));
        } else {
            control_groups(&entry.path(), tag, traces);
        }
    }
}
