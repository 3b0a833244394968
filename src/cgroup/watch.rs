//! Waits for what happens to a control group: out of memory, and its end.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::OFlags;
use rustix::io;

use super::directory::{Directory, read_to_end};
use super::{Cgroup, CgroupError, Hierarchies};
use crate::sys::{Errno, Result, errno};

/// What happened to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It met its memory limit, and the kernel killed a process or stopped it.
    OutOfMemory,
    /// Its last process has ended, or it was removed.
    Empty,
    /// Nothing, until the time was up.
    Nothing,
}

/// Watches one group. Only what happens after it was made is told.
#[derive(Debug)]
pub struct Watch<'group> {
    group: &'group Cgroup,
    memory: Source<'group>,
}

/// Where the kernel says that memory ran out.
#[derive(Debug)]
enum Source<'group> {
    /// v2: a counter in `memory.events`.
    Counter { kills: u64 },
    /// v1: a descriptor that the kernel writes to.
    Descriptor { notified: OwnedFd, leaf: &'group Directory },
    /// Nowhere: no hierarchy limits the memory of this group.
    Nowhere,
}

const EVENTS: &str = "memory.events";

impl Cgroup {
    /// Begins to watch the group.
    ///
    /// # Errors
    /// [`CgroupError::System`] when the kernel refuses a notification.
    pub fn watch(&self, hierarchies: &Hierarchies) -> std::result::Result<Watch<'_>, CgroupError> {
        let mount = hierarchies.facts().v1.get("memory");
        let v1 = mount.and_then(|mount| self.v1.iter().find(|group| group.mount == *mount));
        let memory = match (v1, self.leaf.read(EVENTS)) {
            (Some(group), _) => Source::Descriptor {
                notified: register(&group.leaf)
                    .map_err(CgroupError::system("watch", self.path.as_str()))?,
                leaf: &group.leaf,
            },
            (None, Ok(text)) => Source::Counter { kills: kills(&text) },
            (None, Err(_)) => Source::Nowhere,
        };
        Ok(Watch { group: self, memory })
    }
}

/// Asks v1 to count up a descriptor when memory runs out.
fn register(leaf: &Directory) -> Result<OwnedFd> {
    let notified = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(errno)?;
    let control = leaf.open_file("memory.oom_control", OFlags::RDONLY)?;
    let line = format!("{} {}", notified.as_raw_fd(), control.as_raw_fd());
    leaf.write("cgroup.event_control", &line)?;
    Ok(notified)
}

impl Watch<'_> {
    /// Waits, without spinning, until something happens or `deadline` has passed.
    ///
    /// # Errors
    /// [`CgroupError::System`] when the group cannot be read, though it is there.
    pub fn wait(&mut self, deadline: Instant) -> std::result::Result<Happened, CgroupError> {
        let what = CgroupError::system("watch", self.group.path.as_str());
        self.wait_until(deadline).map_err(what)
    }

    fn wait_until(&mut self, deadline: Instant) -> Result<Happened> {
        loop {
            // Opened anew each time; what changes after the reading wakes the wait below.
            let changed = match &mut self.memory {
                Source::Counter { kills: known } => match read_open(&self.group.leaf, EVENTS)? {
                    Some((file, text)) => {
                        let now = kills(&text);
                        if now > std::mem::replace(known, now) {
                            return Ok(Happened::OutOfMemory);
                        }
                        Some(file)
                    }
                    None => return Ok(Happened::Empty),
                },
                Source::Descriptor { notified, leaf } => {
                    // The kernel notifies of a removal as well.
                    if take(notified)? && leaf.read("memory.oom_control").is_ok() {
                        return Ok(Happened::OutOfMemory);
                    }
                    None
                }
                Source::Nowhere => None,
            };
            let Some((events, text)) = read_open(&self.group.leaf, "cgroup.events")? else {
                return Ok(Happened::Empty);
            };
            if text.lines().any(|line| line == "populated 0") {
                return Ok(Happened::Empty);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Happened::Nothing);
            }
            let mut fds = vec![PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI)];
            fds.extend(changed.as_ref().map(|file| PollFd::new(file, PollFlags::PRI)));
            if let Source::Descriptor { notified, .. } = &self.memory {
                fds.push(PollFd::from_borrowed_fd(notified.as_fd(), PollFlags::IN));
            }
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(io::Errno::INTR) => {}
                Err(error) => return Err(errno(error)),
            }
        }
    }
}

/// Opens and reads a file; `None` when the group is gone.
fn read_open(group: &Directory, file: &str) -> Result<Option<(OwnedFd, String)>> {
    let gone = |error: Errno| matches!(error, Errno::ENOENT | Errno::ENODEV);
    let opened = match group.open_file(file, OFlags::RDONLY) {
        Err(error) if gone(error) => return Ok(None),
        other => other?,
    };
    match read_to_end(&opened) {
        Err(error) if gone(error) => Ok(None),
        other => other.map(|text| Some((opened, text))),
    }
}

/// Whether the descriptor was counted up since it was last taken.
fn take(notified: &OwnedFd) -> Result<bool> {
    let mut count = [0; 8];
    match io::read(notified, &mut count) {
        Ok(_) => Ok(true),
        Err(io::Errno::AGAIN | io::Errno::INTR) => Ok(false),
        Err(error) => Err(errno(error)),
    }
}

/// How many processes were killed so far.
fn kills(text: &str) -> u64 {
    let value = |line: &str| line.strip_prefix("oom_kill ")?.parse().ok();
    text.lines().find_map(value).unwrap_or_default()
}
