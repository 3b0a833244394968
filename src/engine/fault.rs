//! For tests: fails a chosen step, or leaves steps out.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU16, Ordering};

use super::wire;
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

/// When a process that is about to be born is to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// Not at all.
    None,
    /// Before it does anything.
    AtBirth,
    /// Once it has said something.
    Later,
}

impl Death {
    /// As `CASEMATE_STILLBORN` says: `once` for the one that is born in its control group, `twice`
    /// for the one that is moved there as well, `late` for a kill that comes later.
    pub(super) fn wanted(moved: bool) -> Self {
        match std::env::var("CASEMATE_STILLBORN").as_deref() {
            Ok("twice") => Self::AtBirth,
            Ok("once") if !moved => Self::AtBirth,
            Ok("late") if !moved => Self::Later,
            _ => Self::None,
        }
    }

    /// Carries it out, in the parent.
    pub(super) fn come(self, child: BorrowedFd<'_>, hears: BorrowedFd<'_>) {
        if self == Self::Later {
            let _ = wire::was_spoken_to(hears, 5);
        }
        if self != Self::None {
            let _ = process::signal(child, libc::SIGKILL);
        }
    }

    /// Waits for it, in the child.
    pub(super) fn wait(self) {
        if self == Self::AtBirth {
            loop {
                process::wait_for_signal();
            }
        }
    }
}

/// Ends this process with a step, as a kill does that nobody can tell of: `CASEMATE_DIES_AFTER` is
/// the step's number.
pub(super) fn die_after(step: StepId) {
    let number = std::env::var("CASEMATE_DIES_AFTER").ok().and_then(|text| text.parse().ok());
    if number == Some(step.0) {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Fails if it is this step's turn to.
pub(super) fn strike(step: StepId) -> Result<()> {
    if STRIKES_AT.load(Ordering::Relaxed) == step.0 { Err(Errno::EUCLEAN) } else { Ok(()) }
}
