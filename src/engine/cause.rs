//! Why a step failed, and whose ids are whose: what the supervisor's steps share.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::plan::IdMap;
use crate::store::ranges::Range;
use crate::sys::{Errno, process};

/// Why a step failed: the kernel's number, and what else is known.
#[derive(Debug)]
pub(super) struct Cause {
    /// The kernel's number, if it was the kernel that refused.
    pub errno: Option<Errno>,
    /// A clause that says more.
    pub detail: Option<String>,
}

impl Cause {
    /// A cause with a clause.
    pub(super) fn with_detail(errno: Errno, detail: String) -> Self {
        Self { errno: Some(errno), detail: Some(detail) }
    }

    /// A cause that is a sentence of its own.
    pub(super) fn said(detail: String) -> Self {
        Self { errno: None, detail: Some(detail) }
    }
}

impl Cause {
    /// The same, or what ended the new process, where all that is known is that it is gone.
    pub(super) fn or_death_of(self, child: BorrowedFd<'_>) -> Self {
        let gone = [Errno::EPIPE, Errno::ECHILD, Errno::ESRCH, Errno::ECONNRESET];
        if !self.errno.is_some_and(|errno| gone.contains(&errno)) {
            return self;
        }
        process::killed_by(child, ENDING).map_or(self, |signal| Self::said(killed(signal)))
    }
}

/// How long a process that does not listen any more may take to end.
pub(super) const ENDING: Duration = Duration::from_millis(500);

/// What is said of a new process that a signal ended on its way.
pub(super) fn killed(signal: i32) -> String {
    format!(
        "the new process was killed by signal {signal} on its way to the program: by the kernel, \
         for want of memory in its control group or on the host, or by someone who kills that \
         group"
    )
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self { errno: Some(errno), detail: None }
    }
}

/// How ids inside become ids of the host, while the supervisor builds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids<'fd> {
    /// How they are mapped; `None` without a user namespace.
    pub(super) map: Option<&'fd IdMap>,
    /// The first host id of its range.
    pub(super) base: u32,
    /// The container's user namespace, for mounts whose ids are translated.
    pub mapping: Option<BorrowedFd<'fd>>,
    /// A user namespace made for one mount alone.
    pub own: Option<BorrowedFd<'fd>>,
}

impl Ids<'_> {
    /// The host's number for a user inside.
    pub(super) fn user(&self, id: u32) -> Result<u32, Cause> {
        self.look_up(id, true)
    }

    /// The host's number for a group inside.
    pub(super) fn group(&self, id: u32) -> Result<u32, Cause> {
        self.look_up(id, false)
    }

    fn look_up(&self, id: u32, user: bool) -> Result<u32, Cause> {
        let lines = match self.map {
            None => return Ok(id),
            Some(IdMap::OwnRange) if id < Range::LENGTH => return Ok(self.base.saturating_add(id)),
            Some(IdMap::OwnRange) => None,
            Some(IdMap::Given { uids, gids }) => Some(if user { uids } else { gids }),
        };
        lines
            .and_then(|lines| {
                lines.iter().find_map(|line| {
                    let offset = id.checked_sub(line.inside)?;
                    (offset < line.size).then(|| line.outside.saturating_add(offset))
                })
            })
            .ok_or_else(|| Cause::with_detail(Errno::EINVAL, format!("id {id} is not mapped")))
    }
}
