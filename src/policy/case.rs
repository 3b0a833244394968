//! A bundle before the rules.

use oci_spec::runtime::Spec;

use super::rules::HostView;
use super::{Change, Ids, Policy, Refusal, RuleId, Value, control, place};

/// A specification that is being judged, and what came of it so far.
#[derive(Debug)]
pub struct Case<'host> {
    /// The specification, with the changes made so far.
    pub spec: Spec,
    /// What is known of the host.
    pub host: &'host HostView,
    /// What the policy file says.
    pub policy: &'host Policy,
    /// Where memory is put for the workload to write to.
    pub scratch: Vec<String>,
    /// Where the container's ids come from.
    pub ids: Ids,
    /// The limit of tasks where the bundle gives none.
    pub pids_limit: Option<i64>,
    /// What was changed.
    pub changes: Vec<Change>,
    /// What is refused.
    pub refusals: Vec<Refusal>,
}

impl<'host> Case<'host> {
    /// Takes a specification as the bundle has it.
    #[must_use]
    pub fn new(spec: Spec, host: &'host HostView, policy: &'host Policy) -> Self {
        Self {
            spec,
            host,
            policy,
            scratch: Vec::new(),
            ids: Ids::AsWritten,
            pids_limit: None,
            changes: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Records a change.
    pub fn change(
        &mut self,
        rule: RuleId,
        at: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
    ) {
        self.changes.push(Change {
            rule: rule.0.to_owned(),
            policy: place(rule.0),
            at: at.into(),
            from: from.into(),
            to: to.into(),
        });
    }

    /// Records a refusal; its reason is the control's own.
    pub fn refuse(
        &mut self,
        rule: RuleId,
        at: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.refusals.push(Refusal {
            rule: rule.0.to_owned(),
            policy: place(rule.0),
            at: at.into(),
            why: why.into(),
            because: control(rule.0).map_or("", |control| control.reason).to_owned(),
            hint: hint.into(),
        });
    }
}

/// The list a control is set to.
pub(super) fn list_of(rule: RuleId) -> &'static [&'static str] {
    match control(rule.0).map(|control| control.value) {
        Some(Value::List(list)) => list,
        Some(Value::Force | Value::Refuse | Value::Number(_)) | None => &[],
    }
}
