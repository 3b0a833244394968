//! The control group of a container, as the commands after `create` find it.

use super::{OpsError, Result};
use crate::cgroup::{Cgroup, CgroupError, Hierarchies, SavedCgroup};
use crate::store::{Phase, Record, Status};
use crate::sys::Errno;

/// The word for a container whose processes are frozen. The specification leaves it to runtimes.
pub(super) const PAUSED: &str = "paused";

/// A container's control group, open.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) cgroup: Cgroup,
    pub(super) hierarchies: Hierarchies,
}

/// Opens the group that a record tells of; `None` when it is gone, or was never made.
pub(super) fn open(doing: &str, record: &Record) -> Result<Option<Group>> {
    let Some(saved) = saved(record) else { return Ok(None) };
    let failed = |error: CgroupError| OpsError::because(doing, &error);
    let hierarchies = Hierarchies::open().map_err(failed)?;
    match Cgroup::open(&saved, &hierarchies) {
        Ok(cgroup) => Ok(Some(Group { cgroup, hierarchies })),
        Err(CgroupError::System { source: Errno::ENOENT | Errno::ENODEV, .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn saved(record: &Record) -> Option<SavedCgroup> {
    serde_json::from_value(record.cgroup.clone()).ok()
}

/// The group of a container that lives.
///
/// # Errors
/// `container not running`, as engines expect; that it has no group of its own.
pub(super) fn open_alive(doing: &str, record: &Record, status: Status) -> Result<Group> {
    let not_running = || OpsError::failed(doing, "container not running");
    match status {
        Status::Created | Status::Running if has_none(record) => {
            Err(OpsError::failed(doing, "the container has no control group of its own").hint(
                "without root it has one only where the engine names one: use the systemd cgroup \
                 manager in a session of yours",
            ))
        }
        Status::Created | Status::Running => open(doing, record)?.ok_or_else(not_running),
        Status::Creating | Status::Stopped => Err(not_running()),
    }
}

/// What a process needs that enters a container which lives: its group, if it has one.
///
/// # Errors
/// `container not running`, as engines expect.
pub(super) fn open_to_enter(
    doing: &str,
    record: &Record,
    status: Status,
) -> Result<(Option<Cgroup>, Hierarchies)> {
    let alive = matches!(status, Status::Created | Status::Running);
    if alive && has_none(record) {
        let hierarchies = Hierarchies::open().map_err(|error| OpsError::because(doing, &error))?;
        return Ok((None, hierarchies));
    }
    let Group { cgroup, hierarchies } = open_alive(doing, record, status)?;
    Ok((Some(cgroup), hierarchies))
}

/// Whether a container stays in the group of who created it.
pub(super) fn has_none(record: &Record) -> bool {
    record.phase == Phase::Created && record.cgroup.is_null()
}

/// Whether a container that lives is paused. Without a group that can be read it is not.
pub(super) fn is_paused(record: &Record) -> bool {
    Freezers::default().is_paused(record)
}

/// Tells paused containers from others. The hierarchies are opened when the first one is asked
/// about.
#[derive(Debug, Default)]
pub(super) struct Freezers {
    hierarchies: Option<Hierarchies>,
}

impl Freezers {
    /// The status, in the word that is shown.
    pub(super) fn word(&mut self, status: Status, record: Option<&Record>) -> String {
        let alive = matches!(status, Status::Created | Status::Running);
        match record.filter(|_| alive) {
            Some(record) if self.is_paused(record) => PAUSED.to_owned(),
            Some(_) | None => status.to_string(),
        }
    }

    fn is_paused(&mut self, record: &Record) -> bool {
        let Some(saved) = saved(record) else { return false };
        if self.hierarchies.is_none() {
            self.hierarchies = Hierarchies::open().ok();
        }
        let Some(hierarchies) = &self.hierarchies else { return false };
        Cgroup::open(&saved, hierarchies).and_then(|cgroup| cgroup.is_paused()).unwrap_or(false)
    }
}
