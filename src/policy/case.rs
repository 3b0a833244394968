//! A bundle before the rules.

use oci_spec::runtime::Spec;

use super::exception::{Day, State, lowers};
use super::rules::HostView;
use super::{Change, Exception, Ids, Policy, Refusal, RuleId, Value, Waived, control, place};

/// The control whose rules are waived one by one.
const BASELINE: &str = "seccomp.baseline";

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
    /// Promises that hold only in part, for want of root.
    pub reduced: Vec<String>,
    /// What was changed.
    pub changes: Vec<Change>,
    /// What is refused.
    pub refusals: Vec<Refusal>,
    /// What exceptions let through.
    pub excepted: Vec<Waived>,
    /// The exceptions that hold for this container.
    exceptions: Vec<&'host Exception>,
    /// Those that did, and the last day they did.
    expired: Vec<(&'host Exception, Day)>,
}

impl<'host> Case<'host> {
    /// Takes a specification as the bundle has it.
    #[must_use]
    pub fn new(spec: Spec, host: &'host HostView, policy: &'host Policy) -> Self {
        let annotations = spec.annotations().clone().unwrap_or_default();
        let annotation = |name: &str| annotations.get(name).map(String::as_str);
        let (mut exceptions, mut expired) = (Vec::new(), Vec::new());
        for exception in &policy.exceptions {
            match exception.state(&host.subject, &annotation) {
                State::Holds => exceptions.push(exception),
                State::Expired(day) => expired.push((exception, day)),
                State::Elsewhere => {}
            }
        }
        Self {
            spec,
            host,
            policy,
            scratch: Vec::new(),
            ids: Ids::AsWritten,
            pids_limit: None,
            reduced: Vec::new(),
            changes: Vec::new(),
            refusals: Vec::new(),
            excepted: Vec::new(),
            exceptions,
            expired,
        }
    }

    /// Whether an exception waives a control; if so, records what it let through.
    pub fn is_waived(&mut self, rule: RuleId, at: &str, what: &str) -> bool {
        let waives = |exception: &&&Exception| exception.waive.iter().any(|name| name == rule.0);
        let Some(exception) = self.exceptions.iter().find(waives).copied() else { return false };
        self.record_waived(exception, rule.0, at, what);
        true
    }

    /// What exceptions add to the list of a control.
    #[must_use]
    pub fn added(&self, rule: RuleId) -> Vec<&'host str> {
        let lists = self.exceptions.iter().filter_map(|exception| exception.allow.get(rule.0));
        lists.flatten().map(String::as_str).collect()
    }

    /// Records that a word which an exception added to a control's list mattered.
    pub fn used(&mut self, rule: RuleId, word: &str, at: &str, what: &str) {
        let adds = |exception: &&&Exception| {
            let list = exception.allow.get(rule.0);
            list.is_some_and(|list| list.iter().any(|added| added == word))
        };
        if let Some(exception) = self.exceptions.iter().find(adds).copied() {
            self.record_waived(exception, rule.0, at, what);
        }
    }

    /// Records the denials of the filter that do not stand.
    pub(super) fn waive_baseline(&mut self) {
        for exception in self.exceptions.clone() {
            for rule in exception.baseline_rules() {
                let name = format!("{BASELINE}/{rule}");
                let what = format!("is not cut by `{rule}`");
                self.record_waived(exception, &name, "/linux/seccomp", &what);
            }
        }
    }

    fn record_waived(&mut self, exception: &Exception, rule: &str, at: &str, what: &str) {
        let waived = Waived {
            exception: exception.id.clone(),
            rule: rule.to_owned(),
            policy: self.place_of(exception),
            lowers: lowers(rule).to_owned(),
            at: at.to_owned(),
            what: what.to_owned(),
            reason: exception.reason.clone(),
        };
        if !self.excepted.contains(&waived) {
            self.excepted.push(waived);
        }
    }

    fn place_of(&self, exception: &Exception) -> String {
        format!("{}:{}", self.policy.source, exception.line)
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

    /// Records a refusal, unless an exception waives it; its reason is the control's own.
    pub fn refuse(
        &mut self,
        rule: RuleId,
        at: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (at, why) = (at.into(), why.into());
        if !self.is_waived(rule, &at, &why) {
            self.refuse_always(rule, at, why, hint);
        }
    }

    /// Records a refusal that no exception waives, although its control can be.
    pub fn refuse_always(
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
            hint: self.expiry_of(rule).unwrap_or_else(|| hint.into()),
        });
    }

    /// What to do where an exception would have waived this, but its day has passed.
    fn expiry_of(&self, rule: RuleId) -> Option<String> {
        let about = |exception: &Exception| {
            exception.waive.iter().any(|name| name == rule.0)
                || exception.allow.contains_key(rule.0)
        };
        let (exception, day) = self.expired.iter().find(|(exception, _)| about(exception))?;
        let place = self.place_of(exception);
        Some(format!("exception `{}` ({place}) held until {day}; renew it there", exception.id))
    }
}

/// The list a control is set to.
pub(super) fn list_of(rule: RuleId) -> &'static [&'static str] {
    match control(rule.0).map(|control| control.value) {
        Some(Value::List(list)) => list,
        Some(Value::Force | Value::Refuse | Value::Number(_)) | None => &[],
    }
}
