//! For tests: fails a chosen step, or leaves steps out.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::plan::StepId;
use crate::sys::{Errno, Result};

static STRIKES_AT: AtomicU16 = AtomicU16::new(0);

/// Makes the step of this number fail with `EUCLEAN`, in this process and the one it starts.
pub fn at(step: StepId) {
    STRIKES_AT.store(step.0, Ordering::Relaxed);
}

/// Takes the step to fail from the environment variable `CASEMATE_FAULT`, a step's number.
pub(super) fn from_environment() {
    let number = std::env::var("CASEMATE_FAULT").ok().and_then(|text| text.parse().ok());
    if let Some(number) = number {
        at(StepId(number));
    }
}

/// Whether steps of this name are left out: `CASEMATE_SKIP` is a list of names, with commas.
#[must_use]
pub fn skips(name: &str) -> bool {
    std::env::var("CASEMATE_SKIP").is_ok_and(|list| list.split(',').any(|one| one == name))
}

/// Fails if it is this step's turn to.
pub(super) fn strike(step: StepId) -> Result<()> {
    if STRIKES_AT.load(Ordering::Relaxed) == step.0 { Err(Errno::EUCLEAN) } else { Ok(()) }
}
