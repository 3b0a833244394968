//! `events`: what a container uses, at intervals, and when it runs out of memory.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Context, OpsError, Result, group};
use crate::cgroup::{Happened, Stats};
use crate::store::Status;

/// One line of `events`. The form is runc's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerEvent {
    /// `stats` or `oom`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The container.
    pub id: String,
    /// What it uses; only with `stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<EventData>,
}

/// The data of a `stats` event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventData {
    #[serde(flatten)]
    stats: Stats,
    intel_rdt: Empty,
    /// The network is the engine's: it makes the devices, and counts on them.
    network_interfaces: Option<Empty>,
}

/// An object without members.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Empty {}

/// How often, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSpan {
    /// One `stats` event, now.
    Once,
    /// A `stats` event at each interval, and `oom` as it happens, until the container has ended.
    Every(Duration),
}

/// Gives events to `tell` until the container has ended, or until `tell` says that nobody listens
/// any more by returning `false`.
///
/// # Errors
/// No such container, one that is not running, or a group that cannot be read.
pub fn events(
    context: &Context,
    id: &str,
    span: EventSpan,
    tell: &mut dyn FnMut(&ContainerEvent) -> Result<bool>,
) -> Result<()> {
    let doing = format!("events `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let stored = store.read(&id).map_err(|error| super::stored(&doing, &error))?;
    let not_running = || OpsError::failed(doing.as_str(), format!("container {id} is not running"));
    let alive = matches!(stored.status, Status::Created | Status::Running);
    let record = stored.record.filter(|_| alive).ok_or_else(not_running)?;
    let group = group::open_alive(&doing, &record, stored.status)?;
    let failed = |error| OpsError::because(doing.as_str(), &error);
    let stats =
        || group.cgroup.stats(&group.hierarchies).map(|stats| stats_event(id.as_str(), stats));
    let interval = match span {
        EventSpan::Once => return tell(&stats().map_err(failed)?).map(drop),
        EventSpan::Every(interval) => interval,
    };
    let mut watch = group.cgroup.watch(&group.hierarchies).map_err(failed)?;
    let mut next = Instant::now() + interval;
    loop {
        let goes_on = match watch.wait(next).map_err(failed)? {
            Happened::Empty => false,
            Happened::OutOfMemory => {
                tell(&ContainerEvent { kind: "oom", id: id.as_str().to_owned(), data: None })?
            }
            Happened::Nothing => {
                next += interval;
                // Gone between the waiting and the reading: the next wait says so.
                stats().map_or(Ok(true), |event| tell(&event))?
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}

fn stats_event(id: &str, stats: Stats) -> ContainerEvent {
    let data = EventData { stats, intel_rdt: Empty {}, network_interfaces: None };
    ContainerEvent { kind: "stats", id: id.to_owned(), data: Some(data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_use_is_a_document_of_zeros_in_the_order_of_runc() {
        let event = stats_event("web-1", Stats::default());

        let said = serde_json::to_string(&event).unwrap();
        assert_eq!(
            said,
            concat!(
                r#"{"type":"stats","id":"web-1","data":{"cpu":{"usage":{"kernel":0,"user":0}},"#,
                r#""cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"#,
                r#""memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"#,
                r#""memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},"#,
                r#""memory":{},"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"#,
                r#""network_interfaces":null}}"#
            )
        );
    }
}
