//! For tests: fails a chosen step, or leaves steps out.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::plan::StepId;
use crate::sys::{Errno, Result, process};

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

/// Kills a process that was just born: `CASEMATE_STILLBORN` says `once` for the one that is born
/// in its control group, `twice` for the one that is moved there as well.
pub(super) fn kill_newborn(child: BorrowedFd<'_>, moved: bool) {
    let wanted = std::env::var("CASEMATE_STILLBORN").unwrap_or_default();
    if wanted == "twice" || wanted == "once" && !moved {
        let _ = process::signal(child, libc::SIGKILL);
    }
}

/// Fails if it is this step's turn to.
pub(super) fn strike(step: StepId) -> Result<()> {
    if STRIKES_AT.load(Ordering::Relaxed) == step.0 { Err(Errno::EUCLEAN) } else { Ok(()) }
}
