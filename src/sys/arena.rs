//! The program's allocator: memory is taken from the kernel in large pieces and never given
//! back, which is right for a program that lives for milliseconds and has one thread.
//!
//! A launch makes some thousands of small allocations. The C libraries' allocators spend more
//! on locks, returning pages and bookkeeping than the launch spends on using the memory.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::NonNull;

/// How much is taken from the kernel at a time, in bytes. Its pages are there at once: what a
/// launch needs is used from end to end, and to be given 16 pages takes less than 16 faults.
const PIECE: usize = 64 << 10;

/// Blocks are of 2^4 to 2^15 bytes; larger ones are mappings of their own.
const SMALLEST_BITS: u32 = 4;
const CLASSES: usize = 12;
const LARGEST: usize = 1 << 15;

/// A free block; the link to the next one lies in it.
struct Free {
    next: Option<NonNull<Free>>,
}

struct State {
    /// The unused rest of the last piece.
    at: usize,
    end: usize,
    free: [Option<NonNull<Free>>; CLASSES],
}

/// See the module's documentation. For programs with one thread only.
pub struct Arena(UnsafeCell<State>);

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arena")
    }
}

// SAFETY: the program that installs it has one thread: nothing in this package starts another,
// and a child made by clone3 works on its own copy.
unsafe impl Sync for Arena {}

impl Arena {
    /// An arena that has taken nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(State { at: 0, end: 0, free: [None; CLASSES] }))
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

/// The class of a block of `size` bytes, and the size of its blocks; `None` for a large one.
fn class_of(layout: &Layout) -> Option<(usize, usize)> {
    debug_assert!(layout.align() <= 4096, "nothing here is aligned to more than a page");
    let size = layout.size().max(layout.align()).max(1 << SMALLEST_BITS).next_power_of_two();
    let class = usize::try_from(size.trailing_zeros().wrapping_sub(SMALLEST_BITS)).ok()?;
    (size <= LARGEST).then_some((class, size))
}

fn map(bytes: usize, filled: bool) -> Option<usize> {
    let length = bytes.checked_next_multiple_of(4096)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let flags = if filled { anonymous | libc::MAP_POPULATE } else { anonymous };
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing we have.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    (at != libc::MAP_FAILED).then_some(at.addr())
}

impl State {
    fn take(&mut self, size: usize) -> *mut u8 {
        // Blocks are as aligned as they are large, up to a page.
        let aligned = self.at.next_multiple_of(size.min(4096));
        let (at, end) = match aligned.checked_add(size) {
            Some(after) if self.at != 0 && after <= self.end => (aligned, self.end),
            _ => match map(PIECE, true) {
                Some(piece) => (piece, piece.saturating_add(PIECE)),
                None => return std::ptr::null_mut(),
            },
        };
        self.at = at.saturating_add(size);
        self.end = end;
        std::ptr::with_exposed_provenance_mut(at)
    }
}

// SAFETY: every block handed out is of at least the size and alignment asked for, lies in a
// mapping that is never unmapped while it is in use, and is handed out again only after it was
// given back.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((class, size)) = class_of(&layout) else {
            let at = map(layout.size(), false).unwrap_or(0);
            return std::ptr::with_exposed_provenance_mut(at);
        };
        // SAFETY: there is one thread, and no other reference lives across a call.
        let state = unsafe { &mut *self.0.get() };
        let Some(list) = state.free.get_mut(class) else { return std::ptr::null_mut() };
        match list.take() {
            Some(block) => {
                // SAFETY: the block was put on the list by `dealloc`, which wrote the link.
                *list = unsafe { block.as_ref() }.next;
                block.as_ptr().cast()
            }
            None => state.take(size),
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(new_size, layout.align()) else {
            return std::ptr::null_mut();
        };
        if class_of(&layout).is_some_and(|class| class_of(&wanted) == Some(class)) {
            return pointer;
        }
        // SAFETY: the size is not zero, as the caller of `realloc` promises.
        let block = unsafe { self.alloc(wanted) };
        if !block.is_null() {
            let kept = layout.size().min(new_size);
            // SAFETY: both blocks have that many bytes, and the new one is nobody else's.
            unsafe { block.copy_from_nonoverlapping(pointer, kept) };
            // SAFETY: the caller gives the old block back.
            unsafe { self.dealloc(pointer, layout) };
        }
        block
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some((class, _)) = class_of(&layout) else {
            // SAFETY: a large block is a mapping of its own, and the caller is done with it.
            unsafe { libc::munmap(pointer.cast(), layout.size()) };
            return;
        };
        // SAFETY: there is one thread, and no other reference lives across a call.
        let state = unsafe { &mut *self.0.get() };
        if let (Some(list), Some(block)) =
            (state.free.get_mut(class), NonNull::new(pointer.cast::<Free>()))
        {
            let next = list.take();
            // SAFETY: the block is at least 16 bytes, aligned to 16, and nobody's any more.
            unsafe { block.write(Free { next }) };
            *list = Some(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_distinct_and_used_again() {
        let arena = Arena::new();
        let mut seen = std::collections::BTreeSet::new();
        for size in [1, 15, 16, 17, 100, 4096, 5000, 40_000] {
            for align in [1, 8, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is not zero.
                let block = unsafe { arena.alloc(layout) };
                assert_eq!(block.addr() % align, 0);
                assert!(seen.insert(block.addr()), "{size} {align}");
                // SAFETY: the block has `size` bytes.
                unsafe { block.write_bytes(7, size) };
            }
        }
        let layout = Layout::from_size_align(100, 8).unwrap();
        // SAFETY: the size is not zero.
        let first = unsafe { arena.alloc(layout) };
        // SAFETY: it came from this arena with this layout.
        unsafe { arena.dealloc(first, layout) };
        // SAFETY: the size is not zero.
        assert_eq!(unsafe { arena.alloc(layout) }, first);
    }

    #[test]
    fn a_block_grows_in_place_within_its_class_and_takes_its_bytes_elsewhere() {
        let arena = Arena::new();
        let at = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the size is not zero.
        let mut block = unsafe { arena.alloc(at(20)) };
        // SAFETY: the block has 20 bytes.
        unsafe { block.write_bytes(7, 20) };
        for (from, to, in_place) in
            [(20, 32, true), (32, 33, false), (33, 90_000, false), (90_000, 17, false)]
        {
            // SAFETY: the block came from this arena with this layout, and the size is not zero.
            let grown = unsafe { arena.realloc(block, at(from), to) };
            assert_eq!(grown == block, in_place, "{from} {to}");
            for offset in 0..17 {
                // SAFETY: the first 17 bytes were written, and kept each time.
                let byte = unsafe { grown.wrapping_add(offset).read() };
                assert_eq!(byte, 7, "{from} {to} {offset}");
            }
            block = grown;
        }
    }
}
