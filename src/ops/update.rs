//! `update`: changes the limits of a container that lives.
//!
//! What is asked for goes the way of a bundle's resources: the rules of the level that the
//! container was created under, the conversion, the check of what this host can hold. What holds
//! afterwards is kept in the container's record, beside a plan that stays as it was.

use oci_spec::runtime::LinuxResources;

use super::{Context, OpsError, Result, group, record};
use crate::engine;
use crate::plan::cgroup::{Amendment, CgroupPlan, check_enforceable};
use crate::plan::{Action, LaunchPlan};
use crate::policy::{self, JudgedUpdate, Level};
use crate::spec;
use crate::store::{Entry, Record};

/// What the options of `update` ask for.
#[derive(Debug, Clone, Default)]
pub struct UpdateRequest {
    /// The container's id, as given.
    pub id: String,
    /// The limits.
    pub resources: LinuxResources,
    /// Schemata of a resctrl group.
    pub schemata: Vec<String>,
}

/// Writes lines into the schemata of the container's own group in resctrl.
fn update_schemata(doing: &str, entry: &Entry, request: &UpdateRequest) -> Result<()> {
    let plan = entry.read_plan().ok().and_then(|bytes| LaunchPlan::from_json(&bytes).ok());
    let mut steps = plan.iter().flat_map(|plan| &plan.steps);
    let group = steps.find_map(|step| {
        let Action::MakeResctrl(resctrl) = &step.action else { return None };
        Some(resctrl)
    });
    let Some(group) = group else {
        return Err(OpsError::failed(
            doing,
            "updating a non-existent Intel RDT configuration is not supported",
        )
        .hint("give the container /linux/intelRdt when it is created"));
    };
    engine::resctrl::update(group, entry.id().as_str(), &request.schemata)
        .map_err(|what| OpsError::failed(doing, format!("resctrl: {what}")))
}

/// Reads the document of `update --resources`.
///
/// # Errors
/// What is wrong with it. Properties that no version of the specification has are refused, for
/// they may be limits.
pub fn parse_update(id: &str, document: &[u8]) -> Result<LinuxResources> {
    let doing = format!("update `{id}`");
    let parsed = spec::parse_resources(document)
        .map_err(|errors| OpsError::failed(doing.as_str(), format!("resources: {errors}")))?;
    let unknown = parsed.unknown().first().map(ToString::to_string);
    match unknown.or_else(|| parsed.not_applied().first().map(ToString::to_string)) {
        Some(fault) => Err(OpsError::failed(doing, format!("resources: {fault}"))),
        None => Ok(parsed.into_value()),
    }
}

/// Changes the limits of a container.
///
/// # Errors
/// Why not; the limits are then as before, as far as the kernel let them be set back.
pub fn update(context: &Context, request: &UpdateRequest) -> Result<()> {
    let doing = format!("update `{}`", request.id);
    let (id, store) = super::find(context, &doing, &request.id)?;
    let entry = store.lock(&id).map_err(|error| super::stored(&doing, &error))?;
    let mut record = entry.read_state().map_err(|error| super::stored(&doing, &error))?;
    let mut group = group::open_alive(&doing, &record, entry.status(Some(&record)))?;
    if !request.schemata.is_empty() {
        update_schemata(&doing, &entry, request)?;
    }
    let level = Level::parse(&record.level);
    let judged = policy::judge_update(level, request.resources.clone())
        .map_err(|refusals| OpsError::refused(doing.as_str(), &refusals))?;
    let amended = amend(&doing, &entry, &record, &judged)?;
    let noted = check_enforceable(&amended.update, group.hierarchies.facts())
        .map_err(|errors| faults(&doing, &errors))?;
    for note in amended.update.notes.iter().chain(&noted) {
        tracing::debug!("{}: {}", note.at, note.why);
    }
    let before = record.clone();
    record.limits = Some(amended.effective.clone());
    // First: what cannot be recorded, as on a disk that is full, is not done.
    entry.write_state(&record).map_err(|error| super::stored(&doing, &error))?;
    let written = group
        .cgroup
        .update(&amended.update, &group.hierarchies)
        .map_err(|error| OpsError::because(doing.as_str(), &error));
    // Also when it failed: processes may be in more hierarchies than before.
    record.cgroup = serde_json::to_value(group.cgroup.save())
        .map_err(|error| OpsError::because(doing.as_str(), &error))?;
    if written.is_err() {
        record.limits.clone_from(&before.limits);
    }
    let recorded = if written.is_err() || record.cgroup != before.cgroup {
        entry.write_state(&record).map_err(|error| super::stored(&doing, &error))
    } else {
        Ok(())
    };
    match &written {
        Ok(()) => record::updated(&record, &judged, &amended.changes),
        Err(error) => record::not_updated(&record, error),
    }
    written.and(recorded)
}

/// The limits in force, and what the update makes of them.
fn amend(doing: &str, entry: &Entry, record: &Record, judged: &JudgedUpdate) -> Result<Amendment> {
    let current = match &record.limits {
        Some(limits) => limits.clone(),
        None => planned(doing, entry)?,
    };
    current.amend(&judged.resources).map_err(|errors| faults(doing, &errors))
}

/// The limits that the container was created with.
fn planned(doing: &str, entry: &Entry) -> Result<CgroupPlan> {
    let bytes = entry.read_plan().map_err(|error| super::stored(doing, &error))?;
    let plan = LaunchPlan::from_json(&bytes).map_err(|error| OpsError::because(doing, &error))?;
    let group = plan.steps.into_iter().find_map(|step| {
        let Action::MakeCgroup { cgroup } = step.action else { return None };
        Some(*cgroup)
    });
    group.ok_or_else(|| OpsError::failed(doing, "its plan has no control group"))
}

/// All faults: the first one in the sentence, the others as facts.
fn faults(doing: &str, errors: &[impl std::fmt::Display]) -> OpsError {
    let mut said = errors.iter().map(ToString::to_string);
    let first = said.next().unwrap_or_default();
    let error = OpsError::failed(doing, first);
    said.fold(error, |error, other| error.fact("also", other)).fact("undone", "nothing was changed")
}
