//! The processes of a control group: who they are; joining, freezing and killing them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::directory::{Directory, read_to_end};
use super::{Cgroup, CgroupError, tree};
use crate::sys::{Errno, Result, errno};

/// How long anything here waits for the kernel.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

impl Cgroup {
    /// Puts a process into the v1 hierarchies that hold limits. Each takes some milliseconds;
    /// without such limits there is nothing to do.
    ///
    /// # Errors
    /// [`CgroupError::System`]; `ESRCH` when the process is gone.
    pub fn join_v1(&self, pid: i32) -> std::result::Result<(), CgroupError> {
        for group in &self.v1 {
            let what = CgroupError::system("join v1", self.path.as_str());
            group.leaf.write("cgroup.procs", &pid.to_string()).map_err(what)?;
        }
        Ok(())
    }

    /// All processes of the group and of the groups below it, in no order. A group that is gone
    /// has none.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn pids(&self) -> std::result::Result<Vec<i32>, CgroupError> {
        pids_below(&self.leaf).map_err(CgroupError::system("list", self.path.as_str()))
    }

    /// Whether any process is left, zombies aside.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn is_populated(&self) -> std::result::Result<bool, CgroupError> {
        has_event(&self.leaf, "populated 1")
            .map_err(CgroupError::system("read", self.path.as_str()))
    }

    /// Whether all processes are stopped by [`Cgroup::freeze`].
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn is_frozen(&self) -> std::result::Result<bool, CgroupError> {
        has_event(&self.leaf, "frozen 1").map_err(CgroupError::system("read", self.path.as_str()))
    }

    /// Whether [`Cgroup::freeze`] was the last word on this group. One that is frozen from
    /// above is not paused.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn is_paused(&self) -> std::result::Result<bool, CgroupError> {
        match self.leaf.read("cgroup.freeze") {
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(false),
            other => other.map(|text| text.trim() == "1"),
        }
        .map_err(CgroupError::system("read", self.path.as_str()))
    }

    /// Stops all processes, and returns when they have stopped.
    ///
    /// # Errors
    /// [`CgroupError::Timeout`] after 2 s; they are let go again.
    pub fn freeze(&self) -> std::result::Result<(), CgroupError> {
        let path = self.path.as_str();
        self.leaf.write("cgroup.freeze", "1").map_err(CgroupError::system("freeze", path))?;
        let frozen = wait_for_event(&self.leaf, "frozen 1");
        if frozen.map_err(CgroupError::system("freeze", path))? {
            return Ok(());
        }
        self.thaw()?;
        Err(timeout(path, "not frozen"))
    }

    /// Lets all processes go on.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn thaw(&self) -> std::result::Result<(), CgroupError> {
        let what = CgroupError::system("thaw", self.path.as_str());
        self.leaf.write("cgroup.freeze", "0").map_err(what)
    }

    /// Kills every process of the group and of those below, frozen ones too, and those that
    /// are being forked. Does not wait for their end.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn kill_all(&self) -> std::result::Result<(), CgroupError> {
        kill_all(&self.leaf).map_err(CgroupError::system("kill", self.path.as_str()))
    }
}

pub(super) fn timeout(path: &str, state: &'static str) -> CgroupError {
    let waited_ms = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
    CgroupError::Timeout { path: path.to_owned(), state, waited_ms }
}

/// Kills what is in a group.
pub(super) fn kill_all(group: &Directory) -> Result<()> {
    match group.write("cgroup.kill", "1") {
        // A kernel before 5.14, a threaded group, or a group that is gone.
        Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => kill_each(group),
        other => other,
    }
}

/// Kills one by one, until nobody is left who was not killed.
///
/// A pid may be another process by the time it is opened; so a signal is sent only if the group
/// still lists the pid after the process was pinned by its descriptor.
pub(super) fn kill_each(group: &Directory) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut pinned = Vec::new();
        for pid in pids_below(group)? {
            let Some(number) = Pid::from_raw(pid) else { continue };
            if let Ok(process) = pidfd_open(number, PidfdFlags::empty()) {
                pinned.push((pid, process));
            }
        }
        let still = pids_below(group)?;
        if still.is_empty() {
            return Ok(());
        }
        for (_, process) in pinned.iter().filter(|(pid, _)| still.contains(pid)) {
            // It may have ended meanwhile, which is as good.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        if Instant::now() >= deadline {
            return Err(Errno::ETIMEDOUT);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes of a group and of those below.
fn pids_below(group: &Directory) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    tree::walk(group, &mut |group, _| add_pids(group, &mut pids), &mut |_, _| Ok(()))?;
    Ok(pids)
}

fn add_pids(group: &Directory, pids: &mut Vec<i32>) -> Result<()> {
    let listed = match group.read("cgroup.procs") {
        // A threaded group has threads only; their processes are listed further up.
        Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => return Ok(()),
        other => other?,
    };
    // 0 stands for a process of a pid namespace that is not below ours.
    pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid != 0));
    Ok(())
}

/// Whether `cgroup.events` has this line. A group that is gone has no line.
fn has_event(group: &Directory, line: &str) -> Result<bool> {
    match group.read("cgroup.events") {
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(false),
        other => other.map(|events| events.lines().any(|found| found == line)),
    }
}

/// Waits, without spinning, until `cgroup.events` has this line; `false` after [`PATIENCE`].
/// A group that vanishes meanwhile is as quiet as can be.
pub(super) fn wait_for_event(group: &Directory, line: &str) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Opened anew each time: one page of text, and no seek to get wrong.
        let events = match group.open_file("cgroup.events", OFlags::RDONLY) {
            Err(Errno::ENOENT | Errno::ENODEV) => return Ok(true),
            other => other?,
        };
        match read_to_end(&events) {
            Err(Errno::ENODEV) => return Ok(true),
            Err(errno) => return Err(errno),
            Ok(text) if text.lines().any(|found| found == line) => return Ok(true),
            Ok(_) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        wait_for_change(&events, left)?;
    }
}

fn wait_for_change(events: &OwnedFd, left: Duration) -> Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    let mut fds = [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(errno(error)),
    }
}
