//! For tests: fails a chosen step, and ends the new process when it allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use crate::plan::StepId;
use crate::sys::{Errno, Result, process};

static STRIKES_AT: AtomicU16 = AtomicU16::new(0);
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

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
pub(super) fn skips(name: &str) -> bool {
    std::env::var("CASEMATE_SKIP").is_ok_and(|list| list.split(',').any(|one| one == name))
}

/// Fails if it is this step's turn to.
pub(super) fn strike(step: StepId) -> Result<()> {
    if STRIKES_AT.load(Ordering::Relaxed) == step.0 { Err(Errno::EUCLEAN) } else { Ok(()) }
}

/// From now on, in this process, an allocation is the end.
pub(super) fn forbid_allocation() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// The exit status of a process that allocated where it must not.
const ALLOCATED: i32 = 86;

/// The system's allocator, until allocation is forbidden.
#[derive(Debug)]
pub struct Guard;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call is passed on unchanged to the system's allocator, or ends the process.
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if FORBIDDEN.load(Ordering::Relaxed) {
            process::end(ALLOCATED);
        }
        // SAFETY: the caller keeps the contract of the same function of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the same function of the trait.
        unsafe { System.dealloc(pointer, layout) }
    }
}
