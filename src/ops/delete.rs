//! `delete`: removes what create made.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::group::Freezers;
use super::kill::kill_beside;
use super::{Context, OpsError, RANGES, Result, attend, hooks, record};
use crate::audit::EventKind;
use crate::cgroup::{
    Claimant, Hierarchies, SavedCgroup, remove_marked, remove_planned, remove_saved,
};
use crate::engine;
use crate::host::outer;
use crate::plan::cgroup::CgroupPath;
use crate::store::ranges::Ranges;
use crate::store::{Entry, Phase, Record, Status, StoreError};
use crate::sys::process;

/// How long a killed init may take to die.
const DYING: Duration = Duration::from_secs(10);

/// Deletes a container; with `force` also a running one, and an unknown one is no error. Gives
/// what its hooks failed at: that changes nothing any more.
///
/// # Errors
/// Why not.
pub fn delete(context: &Context, id: &str, force: bool) -> Result<Vec<String>> {
    perform(context, id, force, None)
}

fn perform(
    context: &Context,
    id: &str,
    force: bool,
    expected: Option<&Record>,
) -> Result<Vec<String>> {
    let doing = format!("delete `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let entry = match store.lock(&id) {
        Ok(entry) => entry,
        Err(StoreError::DoesNotExist { .. }) if force => return Ok(Vec::new()),
        Err(error) => return Err(super::stored(&doing, &error)),
    };
    let record = match entry.read_state() {
        Ok(record) => Some(record),
        Err(error) if !force => return Err(super::stored(&doing, &error)),
        // What its record does not tell is found by its plan, its id, and its mark.
        Err(_) => entry.salvage_state(),
    };
    let another =
        |expected: &Record| record.as_ref().is_some_and(|found| found.process != expected.process);
    if expected.is_some_and(another) {
        return Ok(Vec::new());
    }
    let status = entry.status(record.as_ref());
    // A created container has run nothing yet: to delete it is to cancel it, as runc does.
    if !force && status != Status::Stopped && status != Status::Created {
        let status = Freezers::default().word(status, record.as_ref());
        return Err(OpsError::failed(doing, format!("container is {status}, not stopped"))
            .hint("kill it first, or use `delete --force`"));
    }
    if let Some(record) = &record {
        kill_beside(record);
    }
    kill_init(&doing, record.as_ref())?;
    remove_resources(&doing, &entry, record.as_ref())?;
    if let Some(record) = &record {
        attend::see_off(record);
    }
    let (level, digest) = record.as_ref().map_or(("", ""), |r| (&r.level, &r.plan_digest));
    record::plain(EventKind::Deleted, &id, level, digest);
    let complete = record.as_ref().is_some_and(|record| record.phase == Phase::Created);
    let last_plan = hooks::last_plan(&entry, record.as_ref());
    entry.remove().map_err(|error| super::stored(&doing, &error))?;
    let warnings = match (&record, last_plan) {
        (Some(record), Ok(Some(plan))) => hooks::poststop(&plan, record),
        (_, Ok(_)) => Vec::new(),
        (_, Err(warning)) => vec![warning],
    };
    // A user without root has no part in the registry.
    if !complete && !outer::is_user() {
        // It may have taken a range that no record tells of.
        let ranges = Ranges::open(Path::new(RANGES));
        let freed = ranges.and_then(|ranges| ranges.reclaim());
        freed.map_err(|error| OpsError::because(doing, &error))?;
    }
    Ok(warnings)
}

/// Deletes a container whose program has ended, if nobody else did, and if the id has not been
/// given to another one meanwhile.
pub(super) fn after_run(context: &Context, id: &str, expected: &Record) -> Result<Vec<String>> {
    perform(context, id, true, Some(expected))
}

/// Kills init and waits until it is gone: with it goes every process of its pid namespace.
pub(super) fn kill_init(doing: &str, record: Option<&Record>) -> Result<()> {
    let Some(process) = record.and_then(|record| record.process) else { return Ok(()) };
    let opened = process
        .open()
        .map_err(|error| OpsError::failed(doing, format!("reach init: {error:?}")))?;
    let Some(init) = opened else { return Ok(()) };
    let _ = process::signal(init.as_fd(), libc::SIGKILL);
    let deadline = Instant::now() + DYING;
    while Instant::now() < deadline {
        let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let mut events =
            [rustix::event::PollFd::from_borrowed_fd(init.as_fd(), rustix::event::PollFlags::IN)];
        if matches!(rustix::event::poll(&mut events, Some(&wait)), Ok(ready) if ready > 0) {
            return Ok(());
        }
    }
    Err(OpsError::failed(doing, "init does not die after SIGKILL")
        .hint("it may hang in the kernel; look at /proc/PID/stack, and try again"))
}

/// Removes the control group and gives the range of ids back.
pub(super) fn remove_resources(doing: &str, entry: &Entry, record: Option<&Record>) -> Result<()> {
    let failed = |error: &dyn std::error::Error| OpsError::because(doing, error);
    let hierarchies = Hierarchies::open().map_err(|error| failed(&error))?;
    let saved =
        record.and_then(|record| serde_json::from_value::<SavedCgroup>(record.cgroup.clone()).ok());
    let is_complete = record.is_some_and(|record| record.phase == Phase::Created);
    match saved {
        None if is_complete && record.is_some_and(|record| record.cgroup.is_null()) => {}
        // Joined pid namespaces do not die with init; what is in the group does now.
        Some(saved) => remove_saved(&saved, &hierarchies).map_err(|error| failed(&error))?,
        None => remove_half_made(doing, entry, &hierarchies)?,
    }
    record.and_then(|record| record.shown.as_ref()).into_iter().for_each(engine::hide_root);
    engine::resctrl::remove(record.map_or(&[], |record| record.resctrl.as_slice()));
    let owner = entry.owner().map_err(|error| super::stored(doing, &error))?;
    let range = record.and_then(|record| record.range);
    if range.is_none() && (is_complete || outer::is_user()) {
        return Ok(());
    }
    let ranges = Ranges::open(Path::new(RANGES)).map_err(|error| failed(&error))?;
    let released = match range {
        Some(range) => ranges.release(range, &owner),
        // It may have taken one that no record tells of.
        None => ranges.release_all(&owner),
    };
    released.map_err(|error| failed(&error))
}

/// A create was killed before it could record what it made, or the record was lost: the plan says
/// where that is, and without one the marks do.
fn remove_half_made(doing: &str, entry: &Entry, hierarchies: &Hierarchies) -> Result<()> {
    let owner = entry.owner().map_err(|error| super::stored(doing, &error))?;
    let claimant = Claimant { id: entry.id().as_str().to_owned(), root: owner.root };
    let removed = match entry.read_plan().ok().and_then(|bytes| planned_path(&bytes)) {
        Some(path) => remove_planned(&path, &claimant, hierarchies),
        None => remove_marked(&claimant, hierarchies),
    };
    removed.map_err(|error| OpsError::because(doing, &error))
}

/// Where a plan puts the control group, also one of another version's.
fn planned_path(bytes: &[u8]) -> Option<CgroupPath> {
    let plan: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let mut steps = plan.get("steps")?.as_array()?.iter();
    let path = steps.find_map(|step| step.pointer("/action/cgroup/path"))?;
    serde_json::from_value(path.clone()).ok()
}
