//! What `exec` does: another process in a container that exists, in the very same box. Pure.
//!
//! The container's own stored plan says what that box is; the bundle is never read again. What
//! the process may choose for itself (its program, variables, directory, ids) comes from the
//! caller; what holds it comes from the plan: the namespaces, the control group, the filter (the
//! same program), `no_new_privs`, and a ceiling of capabilities and limits.
//!
//! The result is a plan like that of a launch, carried out by the same loop.

mod merge;
mod privileges;
mod steps;
#[cfg(test)]
mod tests;

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use super::build::PlanError;
use super::facts::{LimitFacts, LsmFacts};
use super::terms::GroupBelow;
use super::{Action, IdMap, LaunchPlan, Namespace};
use crate::policy::{ExecPolicy, Level, Policy, Refusal};

pub use merge::{ExecAsked, check_variable};

/// What an `exec` starts from where it is not told otherwise: kept with the container's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecDefaults {
    /// Init's process as the policy left it, without its arguments, and without its
    /// capabilities: the steps have them.
    pub process: Process,
    /// What the policy of that time says about commands.
    #[serde(default, skip_serializing_if = "ExecPolicy::is_default")]
    pub policy: ExecPolicy,
}

impl ExecDefaults {
    /// Takes from init's process what another one may need.
    #[must_use]
    pub fn new(process: &Process, policy: &ExecPolicy) -> Self {
        let mut process = process.clone();
        // A set of capabilities has no order, and a plan must be the same twice.
        process.set_capabilities(None).set_args(None).set_terminal(None).set_console_size(None);
        Self { process, policy: policy.clone() }
    }
}

/// What was found out about this process and the container before anything was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecFacts {
    /// The bounding set of this process, as a bit mask: the ceiling where nothing is enforced.
    pub bounding: u64,
    /// What it may do about resource limits.
    pub limits: LimitFacts,
    /// Whether the container is in hierarchies of cgroup v1, which a process joins only after
    /// its birth.
    pub joins_v1: bool,
    /// Which security modules are switched on, if any is asked for.
    pub lsm: LsmFacts,
}

/// What the plan of an `exec` is made from.
#[derive(Debug)]
pub struct ExecInputs<'a> {
    /// The stored plan of the container.
    pub plan: &'a LaunchPlan,
    /// What the caller wants.
    pub asked: &'a ExecAsked,
    /// Groups below the container's own to enter instead of it.
    pub below: &'a [GroupBelow],
    /// What was found out.
    pub facts: &'a ExecFacts,
    /// The policy of today. What that of the container's creation says about commands holds too.
    pub policy: &'a Policy,
}

/// Why there is no plan. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecFault {
    /// The policy does not allow it.
    Refused(Vec<Refusal>),
    /// What was asked for cannot be done: pointers into the process document.
    Faulty(Vec<PlanError>),
}

/// Builds the plan of an `exec`.
///
/// # Errors
/// All refusals, or else all faults.
pub fn build(inputs: &ExecInputs<'_>) -> Result<LaunchPlan, ExecFault> {
    steps::Builder::new(inputs)?.build()
}

/// Whether the level that the container was made under holds anything back.
fn is_enforced(plan: &LaunchPlan) -> bool {
    plan.level != Level::Audit.as_str()
}

/// How the container's ids are mapped; `None` without a user namespace.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "no other step has to do with ids")]
pub fn id_map(plan: &LaunchPlan) -> Option<&IdMap> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::WriteIdMaps { ids } | Action::CheckIdMaps { ids } | Action::JoinPod { ids } => {
            Some(ids)
        }
        _ => None,
    })
}

/// The kinds of namespaces that a step gives init.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other step has to do with namespaces")]
fn namespaces_of(action: &Action) -> Vec<Namespace> {
    match action {
        Action::Spawn { namespaces: kinds } | Action::NewNamespaces { kinds } => kinds.clone(),
        Action::OpenNamespace { kind, .. } | Action::JoinNamespace { kind } => vec![*kind],
        Action::ShiftClocks { .. } => vec![Namespace::Time],
        _ => Vec::new(),
    }
}
