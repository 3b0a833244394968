//! `pause` and `resume`: stop all processes of a container, and let them go on.

use super::{Context, OpsError, Result, group, record};
use crate::audit::EventKind;

/// Freezes a container.
///
/// # Errors
/// `container not running`, also of one that is paused; or why the kernel did not freeze it in
/// time: then all of it goes on.
pub fn pause(context: &Context, id: &str) -> Result<()> {
    let doing = format!("pause `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let entry = store.lock(&id).map_err(|error| super::stored(&doing, &error))?;
    let record = entry.read_state().map_err(|error| super::stored(&doing, &error))?;
    let group = group::open_alive(&doing, &record, entry.status(Some(&record)))?;
    let failed = |error| OpsError::because(doing.as_str(), &error);
    if group.cgroup.is_paused().map_err(failed)? {
        return Err(OpsError::failed(doing, "container not running: it is paused already"));
    }
    group.cgroup.freeze().map_err(failed)?;
    record::plain(EventKind::Paused, &id, &record.level, &record.plan_digest);
    Ok(())
}

/// Thaws a container.
///
/// # Errors
/// `container not paused`.
pub fn resume(context: &Context, id: &str) -> Result<()> {
    let doing = format!("resume `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let entry = store.lock(&id).map_err(|error| super::stored(&doing, &error))?;
    let record = entry.read_state().map_err(|error| super::stored(&doing, &error))?;
    let not_paused = || OpsError::failed(doing.as_str(), "container not paused");
    let group = group::open(&doing, &record)?.ok_or_else(not_paused)?;
    let failed = |error| OpsError::because(doing.as_str(), &error);
    if !group.cgroup.is_paused().map_err(failed)? {
        return Err(not_paused());
    }
    group.cgroup.thaw().map_err(failed)?;
    record::plain(EventKind::Resumed, &id, &record.level, &record.plan_digest);
    Ok(())
}
