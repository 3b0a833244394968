//! Rules: what is refused, what is changed, and why. Pure.
//!
//! A policy is a level and its controls. Each control has one rule: a function that looks at
//! the bundle's specification and either leaves it, changes it and records the change, or
//! refuses it. Nothing is dropped silently.

mod builtin;
mod case;
mod checkpoint;
mod exception;
mod exec;
mod hooks_table;
mod host_table;
mod parse;
pub mod pods;
mod rootless;
pub mod rules;
pub mod seccomp;
mod systemd;
mod update;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

pub use builtin::CONTROLS;
pub use case::Case;
pub use checkpoint::CheckpointPolicy;
pub use exception::{Exception, Subject, WAIVABLE, WIDENED, Waived, waived_denials};
pub use exec::{Allow, ExecPolicy, judge_process};
pub use hooks_table::HooksTable;
pub use host_table::HostTable;
pub use parse::{PolicyError, parse};
pub use rootless::{CallerInside, RootlessPolicy};
pub use seccomp::SeccompPolicy;
pub use systemd::SystemdPolicy;
pub use update::{JudgedUpdate, judge_update};

/// How much is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every promise holds. The default.
    Hardened,
    /// Nothing is changed; what `hardened` would do is recorded.
    Audit,
}

impl Level {
    /// Its name, as policy files and commands write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardened => "hardened",
            Self::Audit => "audit",
        }
    }

    /// Reads what [`Level::as_str`] wrote. A word that it never wrote means the strictest level.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word == Self::Audit.as_str() { Self::Audit } else { Self::Hardened }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a control, `area.verb-object`: stable once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RuleId(pub &'static str);

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// One control of a level, as its file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Its name.
    pub id: RuleId,
    /// The line of the file it begins on, counted from 1.
    pub line: u32,
    /// What it is set to.
    pub value: Value,
    /// Why it is there, as a clause.
    pub reason: &'static str,
}

/// What a control is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The bundle is changed.
    Force,
    /// The container is not started.
    Refuse,
    /// What is allowed, or added.
    List(&'static [&'static str]),
    /// A number, in the control's own unit.
    Number(i64),
}

/// A policy: the level that holds, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The level.
    pub level: Level,
    /// Where it was chosen: a file's path, or the built-in default.
    pub source: String,
    /// What of the host's own a bundle may take.
    pub host: HostTable,
    /// Its table `[seccomp]`.
    pub seccomp: SeccompPolicy,
    /// Its table `[systemd]`.
    pub systemd: SystemdPolicy,
    /// Its table `[checkpoint]`.
    pub checkpoint: CheckpointPolicy,
    /// Its table `[rootless]`.
    pub rootless: RootlessPolicy,
    /// What does not hold for whom.
    pub exceptions: Vec<Exception>,
    /// What may be started in a container that runs.
    pub exec: ExecPolicy,
    /// Which hooks are run.
    pub hooks: HooksTable,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            level: Level::Hardened,
            source: "built-in default".to_owned(),
            host: HostTable::default(),
            seccomp: SeccompPolicy::default(),
            systemd: SystemdPolicy::default(),
            checkpoint: CheckpointPolicy::default(),
            rootless: RootlessPolicy::default(),
            exceptions: Vec::new(),
            exec: ExecPolicy::default(),
            hooks: HooksTable::default(),
        }
    }
}

/// The name of the file that the controls stand in.
pub const CONTROLS_FILE: &str = "hardened.toml";

/// Finds a control by name.
#[must_use]
pub fn control(id: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|control| control.id.0 == id)
}

/// Where a control stands: file and line.
#[must_use]
pub fn place(id: &str) -> String {
    control(id).map_or_else(
        || CONTROLS_FILE.to_owned(),
        |control| format!("{CONTROLS_FILE}:{}", control.line),
    )
}

/// Something the policy changed in what the bundle asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The control that did it.
    pub rule: String,
    /// The file and line it stands on.
    pub policy: String,
    /// A JSON pointer (RFC 6901) to what was changed.
    pub at: String,
    /// What the bundle asked for.
    pub from: String,
    /// What it gets.
    pub to: String,
}

/// Something the policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("refused by rule `{rule}`: {at} {why}")]
pub struct Refusal {
    /// The control that refuses.
    pub rule: String,
    /// The file and line it stands on.
    pub policy: String,
    /// A JSON pointer (RFC 6901) to what is refused.
    pub at: String,
    /// What is wrong there, as a clause.
    pub why: String,
    /// Why it matters, as a clause.
    pub because: String,
    /// What to do.
    pub hint: String,
}

/// Where a container's ids come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ids {
    /// From the bundle, as it says.
    #[default]
    AsWritten,
    /// A range of host ids that no other container has.
    OwnRange,
    /// From a live container of the same pod.
    OfPod,
}

/// What became of a bundle's specification.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The level it was judged under.
    pub level: Level,
    /// The policy's source.
    pub source: String,
    /// The specification that will be carried out.
    pub spec: Spec,
    /// Where memory is put for the workload to write to.
    pub scratch: Vec<String>,
    /// Where the container's ids come from.
    pub ids: Ids,
    /// The limit of tasks where the bundle gives none.
    pub pids_limit: Option<i64>,
    /// Promises that hold only in part, for want of root: whole sentences.
    pub reduced: Vec<String>,
    /// Rules of the seccomp baseline that do not stand, by name.
    pub waived: Vec<String>,
    /// What may be started in the container while it runs.
    pub exec: ExecPolicy,
    /// What was changed in it.
    pub changes: Vec<Change>,
    /// What exceptions of the policy let through.
    pub excepted: Vec<Waived>,
    /// Under `audit`: what `hardened` would have changed.
    pub would_change: Vec<Change>,
    /// Under `audit`: what `hardened` would have refused.
    pub would_refuse: Vec<Refusal>,
}

impl Judged {
    /// The control that changed what is at `pointer`, or the whole that it is part of.
    #[must_use]
    pub fn changed_by(&self, pointer: &str) -> Option<&Change> {
        // What was added to a list says nothing of its other members.
        let lists = ["/mounts", "/linux/namespaces"];
        self.changes.iter().rev().filter(|change| !lists.contains(&change.at.as_str())).find(
            |change| {
                pointer
                    .strip_prefix(change.at.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            },
        )
    }
}

/// Judges a specification: changes what the level forces, refuses what it does not allow.
///
/// # Errors
/// All refusals, not the first one.
pub fn judge(policy: &Policy, spec: Spec, host: &rules::HostView) -> Result<Judged, Vec<Refusal>> {
    let as_written = (policy.level == Level::Audit).then(|| spec.clone());
    let mut case = Case::new(spec, host, policy);
    rules::apply_all(&mut case);
    case.waive_baseline();
    let Case {
        spec: changed, scratch, ids, pids_limit, reduced, changes, refusals, excepted, ..
    } = case;
    let waived = excepted.iter().filter_map(Waived::baseline_rule).map(str::to_owned).collect();
    match policy.level {
        Level::Hardened if refusals.is_empty() => Ok(Judged {
            level: policy.level,
            source: policy.source.clone(),
            spec: changed,
            scratch,
            ids,
            pids_limit,
            reduced,
            waived,
            exec: policy.exec.clone(),
            changes,
            excepted,
            would_change: Vec::new(),
            would_refuse: Vec::new(),
        }),
        Level::Hardened => Err(refusals),
        Level::Audit => Ok(Judged {
            level: policy.level,
            source: policy.source.clone(),
            spec: as_written.unwrap_or(changed),
            scratch: Vec::new(),
            ids: Ids::AsWritten,
            pids_limit: None,
            reduced: Vec::new(),
            exec: policy.exec.clone(),
            changes: Vec::new(),
            waived: Vec::new(),
            excepted: Vec::new(),
            would_change: changes,
            would_refuse: refusals,
        }),
    }
}
