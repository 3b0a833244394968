//! Why an operation did not succeed: what, where, why, and what to do.

use std::fmt;

use crate::engine::StepFailure;
use crate::plan::build::PlanError;
use crate::policy::Refusal;

/// How an operation failed; decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It could not be done.
    Failed,
    /// The policy does not allow it; nothing was created.
    Refused,
    /// It could not be done, and the caller expects this exit status for that.
    Status(u8),
}

/// Why an operation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpsError {
    /// What was attempted on what, as in "create `web-1`"; empty when the message says it.
    pub doing: String,
    /// What is wrong: a clause that stands alone.
    pub message: String,
    /// Facts, as label and text: who asked for it, what was undone.
    pub facts: Vec<(&'static str, String)>,
    /// What to do.
    pub hint: Option<String>,
    /// Failed or refused.
    pub failure: Failure,
}

impl fmt::Display for OpsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.doing.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.doing, self.message)
        }
    }
}

impl std::error::Error for OpsError {}

impl OpsError {
    /// A failure with nothing but its message.
    #[must_use]
    pub fn failed(doing: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            message: message.into(),
            facts: Vec::new(),
            hint: None,
            failure: Failure::Failed,
        }
    }

    /// A failure that another error explains, with all its sources.
    #[must_use]
    pub fn because(doing: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::failed(doing, message)
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.facts.push((label, text.into()));
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Refusals of the policy: the first one in the sentence, all of them in the facts.
    #[must_use]
    pub fn refused(doing: impl Into<String>, refusals: &[Refusal]) -> Self {
        let Some(first) = refusals.first() else { return Self::failed(doing, "refused") };
        let mut error = Self {
            doing: doing.into(),
            message: first.to_string(),
            facts: vec![("because", first.because.clone()), ("policy", first.policy.clone())],
            hint: Some(first.hint.clone()),
            failure: Failure::Refused,
        };
        for other in refusals.iter().skip(1) {
            error.facts.push(("also", other.to_string()));
        }
        error.facts.push(("undone", "nothing was created".to_owned()));
        error
    }

    /// Faults of the bundle: the first one in the sentence, all of them in the facts.
    #[must_use]
    pub fn faulty(doing: impl Into<String>, faults: &[PlanError]) -> Self {
        let mut faults = faults.iter().map(ToString::to_string);
        let first = faults.next().unwrap_or_default();
        let mut error = Self::failed(doing, format!("config.json {first}"));
        error.facts.extend(faults.map(|fault| ("also", fault)));
        error.facts.push(("undone", "nothing was created".to_owned()));
        error
    }
}

/// Adds the words under which people know a refused mount: those of the runtime that most have
/// used.
pub(super) fn known_as(error: OpsError, doing: &str, step: &StepFailure) -> OpsError {
    let detail = step.detail.as_deref().filter(|detail| detail.starts_with("error mounting"));
    let Some(detail) = detail else { return error };
    let command = doing.split(' ').next().unwrap_or_default();
    let words = format!(
        "runc {command} failed: unable to start container process: error during container init: \
         {detail}"
    );
    error.fact("known as", words)
}
