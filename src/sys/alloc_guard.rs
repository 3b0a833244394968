//! For tests: an allocator that ends the process once allocation is forbidden, which keeps the
//! promise of the new process honest.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use super::process;

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// The exit status of a process that allocated where it must not.
pub const ALLOCATED: i32 = 86;

/// From now on, in this process, an allocation is the end.
pub fn forbid_allocation() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// The system's allocator, until allocation is forbidden.
#[derive(Debug)]
pub struct Guard;

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
