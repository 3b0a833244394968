//! What is written to the audit record, and when. A record that cannot be written does not stop
//! a container in this version; `--debug` tells.

use std::path::Path;
use std::time::SystemTime;

use super::{Failure, OpsError};
use crate::audit::{Actor, Change, DEFAULT_FILE, Event, EventKind, Sink};
use crate::plan::LaunchPlan;
use crate::spec::id::ContainerId;
use crate::store::rfc3339;

fn append(event: &Event) {
    let appended = Sink::open(Path::new(DEFAULT_FILE)).and_then(|sink| sink.append(event));
    if let Err(error) = appended {
        tracing::debug!("audit record: {error}");
    }
}

fn blank(event: EventKind, id: &ContainerId) -> Event {
    Event {
        time: rfc3339(SystemTime::now()),
        event,
        id: id.clone(),
        level: String::new(),
        policy: String::new(),
        plan_digest: None,
        reason: None,
        change_count: 0,
        changes: Vec::new(),
        actor: Actor::observe(None),
    }
}

fn of_plan(event: EventKind, id: &ContainerId, plan: &LaunchPlan, digest: &str) -> Event {
    let changes = plan.changes.iter().chain(&plan.would_change);
    let changes: Vec<_> =
        changes.map(|change| Change { at: change.at.clone(), rule: change.rule.clone() }).collect();
    Event {
        level: plan.level.clone(),
        policy: plan.policy.clone(),
        plan_digest: Some(digest.to_owned()),
        change_count: changes.len(),
        changes,
        ..blank(event, id)
    }
}

/// Something happened to a container under this plan.
pub(super) fn event(kind: EventKind, id: &ContainerId, plan: &LaunchPlan, digest: &str) {
    append(&of_plan(kind, id, plan, digest));
}

/// Something happened to a container, known by its record only.
pub(super) fn plain(kind: EventKind, id: &ContainerId, level: &str, digest: &str) {
    let digest = Some(digest.to_owned()).filter(|digest| !digest.is_empty());
    append(&Event { level: level.to_owned(), plan_digest: digest, ..blank(kind, id) });
}

/// A bundle was refused, or was none.
pub(super) fn refused(id: &ContainerId, error: &OpsError) {
    let kind = match error.failure {
        Failure::Refused => EventKind::Refused,
        Failure::Failed => EventKind::Failed,
    };
    append(&Event { reason: Some(error.message.clone()), ..blank(kind, id) });
}

/// A launch failed.
pub(super) fn failed(id: &ContainerId, plan: &LaunchPlan, digest: &str, error: &OpsError) {
    let mut event = of_plan(EventKind::Failed, id, plan, digest);
    event.reason = Some(error.message.clone());
    append(&event);
}
