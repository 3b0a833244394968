//! The container that a process enters, as its records have it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Process;

use super::{ExecRequest, listed, read_document};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::ops::attend::Attending;
use crate::ops::{Context, OpsError, Result, attend, find, group, record, stored};
use crate::plan::{self, LaunchPlan};
use crate::policy::Level;
use crate::spec;
use crate::store::{Entry, ProcessId, Record, Status};

/// A container that can be entered, under its lock.
pub(super) struct Container {
    entry: Entry,
    status: Status,
    /// What is recorded of it.
    pub record: Record,
    /// The plan that made it.
    pub plan: LaunchPlan,
    /// Its first process.
    pub init: ProcessId,
    /// Its control group, if it has one of its own.
    pub cgroup: Option<Cgroup>,
    /// The host's control groups.
    pub hierarchies: Hierarchies,
}

/// The same, without its lock.
pub(super) struct Released {
    record: Record,
    plan: LaunchPlan,
    status: Status,
    /// Its directory.
    dir: OwnedFd,
}

impl Container {
    /// Finds it, and makes sure that it can be entered.
    pub(super) fn open(context: &Context, doing: &str, request: &ExecRequest) -> Result<Self> {
        let failed = |error: &dyn std::error::Error| OpsError::because(doing, error);
        let (id, store) = find(context, doing, &request.id)?;
        let entry = store.lock(&id).map_err(|error| stored(doing, &error))?;
        let record = entry.read_state().map_err(|error| stored(doing, &error))?;
        let status = entry.status(Some(&record));
        let (cgroup, hierarchies) = group::open_to_enter(doing, &record, status)?;
        let init =
            record.process.ok_or_else(|| OpsError::failed(doing, "container not running"))?;
        let plan = read_plan(doing, &entry, &record)?;
        let is_paused = cgroup.as_ref().map_or(Ok(false), Cgroup::is_paused);
        if !request.ignore_paused && is_paused.map_err(|error| failed(&error))? {
            return Err(OpsError::failed(doing, "cannot exec in a paused container")
                .hint("resume it, or give --ignore-paused: the program then starts once it is"));
        }
        Ok(Self { entry, status, record, plan, init, cgroup, hierarchies })
    }

    /// Reads the document that describes the process.
    pub(super) fn document(&self, doing: &str, path: &Path) -> Result<Process> {
        let bytes = read_document(doing, path)?;
        let said = |errors: Vec<String>| {
            let errors = errors.into_iter().map(|error| format!("{}: {error}", path.display()));
            listed(doing, errors)
        };
        let (document, names_user) = spec::parse_entering(&bytes)
            .map_err(|errors| said(errors.iter().map(ToString::to_string).collect()))?;
        let mut faults: Vec<_> = document.not_applied().iter().map(ToString::to_string).collect();
        // The specification has unknown properties ignored; a level that promises something
        // cannot.
        if self.plan.level != Level::Audit.as_str() {
            faults.extend(document.unknown().iter().map(ToString::to_string));
        }
        if !faults.is_empty() {
            return Err(said(faults));
        }
        let mut process = document.into_value();
        if let Some(defaults) = self.plan.exec.as_ref().filter(|_| !names_user) {
            process.set_user(defaults.process.user().clone());
        }
        Ok(process)
    }

    /// Lets other commands work on it.
    pub(super) fn release(self, doing: &str) -> Result<Released> {
        let dir = self.entry.open_again().map_err(|error| stored(doing, &error))?;
        drop(self.entry);
        Ok(Released { record: self.record, plan: self.plan, status: self.status, dir })
    }

    pub(super) fn record_failure(&self, error: &OpsError) {
        record::failed(&self.record.id, &self.plan, &self.record.plan_digest, error);
    }
}

impl Released {
    /// Who answers what the filter of process `pid` asks.
    pub(super) fn attending<'a>(&'a self, plan: &'a LaunchPlan, pid: i32) -> Attending<'a> {
        attend::attending_to(plan, &self.record, self.dir.as_fd(), pid, self.status.as_str())
    }

    pub(super) fn record_failure(&self, error: &OpsError) {
        record::failed(&self.record.id, &self.plan, &self.record.plan_digest, error);
    }

    /// Another program runs; the digest is that of the container's plan.
    pub(super) fn record_exec(&self, plan: &LaunchPlan) {
        record::exec(&self.record.id, plan, &self.record.plan_digest);
    }
}

/// The plan that made the container, and no other.
fn read_plan(doing: &str, entry: &Entry, record: &Record) -> Result<LaunchPlan> {
    let document = entry.read_plan().map_err(|error| stored(doing, &error))?;
    if plan::digest(&document) != record.plan_digest {
        return Err(OpsError::failed(doing, "plan.json is not the plan that made the container")
            .hint("delete the container, and create it again"));
    }
    LaunchPlan::from_json(&document).map_err(|error| OpsError::because(doing, &error))
}
