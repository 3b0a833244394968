//! Hooks around a container that runs already, or is gone: from the plan that was stored, never
//! from the bundle as it is now.

use super::record;
use crate::engine::{self, HookState, LaunchError};
use crate::plan::{Action, LaunchPlan, Track};
use crate::store::{Entry, Record};

/// What hooks are told of the container of this record.
pub(super) fn state(record: &Record) -> HookState<'_> {
    HookState {
        oci_version: &record.oci_version,
        id: record.id.as_str(),
        bundle: &record.bundle,
        annotations: &record.annotations,
    }
}

/// Whether a plan has hooks on this track.
pub(super) fn any(plan: &LaunchPlan, track: Track) -> bool {
    let is_hook = |action: &Action| matches!(action, Action::RunHook(_));
    plan.track(track).any(|(_, step)| is_hook(&step.action))
}

/// Runs the hooks that follow the start of a program; without one, nothing happens.
///
/// # Errors
/// The first that failed. The program still runs.
pub(super) fn poststart(plan: &LaunchPlan, record: &Record) -> Result<(), LaunchError> {
    let pid = record.process.map(crate::store::ProcessId::pid);
    engine::run_hooks(plan, Track::AfterStart, &state(record), pid)
}

/// Runs the hooks that follow the end of a container, every one of them, and gives a sentence for
/// each that failed: that changes nothing any more.
pub(super) fn poststop(plan: &LaunchPlan, record: &Record) -> Vec<String> {
    let failed = engine::run_each_hook(plan, Track::AfterEnd, &state(record), None);
    let sentences: Vec<_> = failed.iter().map(ToString::to_string).collect();
    for sentence in &sentences {
        record::warned(&record.id, plan, &record.plan_digest, sentence);
    }
    sentences
}

/// The plan of a container that is about to be removed, if hooks follow that. `Err` says why
/// they cannot be run.
pub(super) fn last_plan(
    entry: &Entry,
    record: Option<&Record>,
) -> Result<Option<LaunchPlan>, String> {
    let Some(record) = record.filter(|record| record.has_poststop) else { return Ok(None) };
    let unknown = |why: String| format!("its poststop hooks are not run: {why}");
    let document = entry.read_plan().map_err(|error| unknown(error.to_string()))?;
    if crate::plan::digest(&document) != record.plan_digest {
        return Err(unknown("its plan is not the one that it was created with".to_owned()));
    }
    LaunchPlan::from_json(&document).map(Some).map_err(|error| unknown(error.to_string()))
}
