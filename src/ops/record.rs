//! What is written to the audit record, and when. A record that cannot be written does not stop
//! a container in this version; `--debug` tells.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Failure, OpsError};
use crate::audit::{Actor, Change, DEFAULT_FILE, Event, EventKind, Sink};
use crate::host::outer;
use crate::plan::LaunchPlan;
use crate::plan::cgroup::LimitChange;
use crate::policy::JudgedUpdate;
use crate::spec::id::ContainerId;
use crate::store::{Record, rfc3339};

fn append(event: &Event) {
    let file = file();
    if let Some(above) = file.parent().and_then(Path::parent).filter(|above| !above.exists()) {
        // The sink makes what is its own; a new home has less.
        let _ = std::fs::create_dir_all(above);
    }
    let appended = Sink::open(&file).and_then(|sink| sink.append(event));
    if let Err(error) = appended {
        tracing::debug!("audit record: {error}");
    }
}

/// The record of the host; that of a user without root is the user's.
pub(super) fn file() -> PathBuf {
    let state = || {
        let given = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))
    };
    let state = if outer::is_user() { state().filter(|dir| dir.is_absolute()) } else { None };
    state.map_or_else(|| PathBuf::from(DEFAULT_FILE), |dir| dir.join("casemate/audit.jsonl"))
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
        waived: Vec::new(),
        limits: Vec::new(),
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
        waived: plan.excepted.iter().map(|of| format!("{}: {}", of.exception, of.rule)).collect(),
        ..blank(event, id)
    }
}

/// Something happened to a container under this plan.
pub(super) fn event(kind: EventKind, id: &ContainerId, plan: &LaunchPlan, digest: &str) {
    append(&of_plan(kind, id, plan, digest));
}

/// Another program was started in a container: `plan` is that of the `exec`, `digest` that of the
/// container's plan. Where nothing is enforced, the reason is what would have refused it.
pub(super) fn exec(id: &ContainerId, plan: &LaunchPlan, digest: &str) {
    let reason = plan.would_refuse.first().map(|refusal| format!("would be {refusal}"));
    append(&Event { reason, ..of_plan(EventKind::Exec, id, plan, digest) });
}

/// Something happened to a container, known by its record only.
pub(super) fn plain(kind: EventKind, id: &ContainerId, level: &str, digest: &str) {
    let digest = Some(digest.to_owned()).filter(|digest| !digest.is_empty());
    append(&Event { level: level.to_owned(), plan_digest: digest, ..blank(kind, id) });
}

fn of_record(kind: EventKind, record: &Record) -> Event {
    Event {
        level: record.level.clone(),
        plan_digest: Some(record.plan_digest.clone()),
        ..blank(kind, &record.id)
    }
}

/// A container's limits were changed.
pub(super) fn updated(record: &Record, judged: &JudgedUpdate, limits: &[LimitChange]) {
    let changes = judged.changes.iter().chain(&judged.would_change);
    let changes: Vec<_> =
        changes.map(|change| Change { at: change.at.clone(), rule: change.rule.clone() }).collect();
    append(&Event {
        change_count: changes.len(),
        changes,
        limits: limits.to_vec(),
        ..of_record(EventKind::Updated, record)
    });
}

/// An update was begun, and failed.
pub(super) fn not_updated(record: &Record, error: &OpsError) {
    let reason = Some(error.message.clone());
    append(&Event { reason, ..of_record(EventKind::Failed, record) });
}

/// A bundle was refused, or was none.
pub(super) fn refused(id: &ContainerId, error: &OpsError) {
    let kind = match error.failure {
        Failure::Refused => EventKind::Refused,
        Failure::Failed | Failure::Status(_) => EventKind::Failed,
    };
    append(&Event { reason: Some(error.message.clone()), ..blank(kind, id) });
}

/// Something went wrong that changed nothing for the container.
pub(super) fn warned(id: &ContainerId, plan: &LaunchPlan, digest: &str, what: &str) {
    let mut event = of_plan(EventKind::Failed, id, plan, digest);
    event.reason = Some(what.to_owned());
    append(&event);
}

/// A launch failed.
pub(super) fn failed(id: &ContainerId, plan: &LaunchPlan, digest: &str, error: &OpsError) {
    let mut event = of_plan(EventKind::Failed, id, plan, digest);
    event.reason = Some(error.message.clone());
    append(&event);
}
