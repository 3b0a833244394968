//! Copying and comparing for programs that musl is linked into.
//!
//! A launch copies some 6,000 times, 30 bytes as a rule. musl's `memcpy` is a `rep movsq`, which
//! takes 50 ns each time on a processor whose microcode is slow at it: 0.3 ms of a launch. These
//! take a tenth of that. Its `memcmp` goes byte by byte.
//!
//! They take the C library's names in the shipped program only, and are tested in every build.
#![expect(unsafe_code, reason = "copies between the pointers of a caller")]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "reads and writes that rest on one promise, of the caller, and whose order matters"
)]
#![cfg_attr(
    not(all(target_env = "musl", target_arch = "x86_64")),
    allow(dead_code, reason = "other C libraries have their own, and good ones")
)]

/// What is moved at a time.
type Word = u128;
const WORD: usize = size_of::<Word>();
const BLOCK: usize = 4 * WORD;

/// Reads a value at any address.
///
/// # Safety
/// There are that many bytes to read.
#[inline(always)]
unsafe fn get<T: Copy>(from: *const u8, offset: usize) -> T {
    // SAFETY: as the caller promises.
    unsafe { from.add(offset).cast::<T>().read_unaligned() }
}

/// Writes a value to any address.
///
/// # Safety
/// There are that many bytes to write.
#[inline(always)]
unsafe fn put<T: Copy>(to: *mut u8, offset: usize, value: T) {
    // SAFETY: as the caller promises.
    unsafe { to.add(offset).cast::<T>().write_unaligned(value) }
}

/// Copies from one value's size to twice that: the first bytes and the last, which may be the
/// same ones. Both are read before either is written.
///
/// # Safety
/// As for [`copy`], with `size_of::<T>() <= length <= 2 * size_of::<T>()`.
#[inline(always)]
unsafe fn copy_ends<T: Copy>(to: *mut u8, from: *const u8, length: usize) {
    let last = length.wrapping_sub(size_of::<T>());
    // SAFETY: both lie within the length, as the caller promises.
    unsafe {
        let (first, end): (T, T) = (get(from, 0), get(from, last));
        put(to, 0, first);
        put(to, last, end);
    }
}

/// Copies at most 128 bytes; all of them are read before any is written.
///
/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn copy_short(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: each piece is no longer than the length of its arm.
    unsafe {
        match length {
            0 => {}
            1 => put::<u8>(to, 0, get(from, 0)),
            2..4 => copy_ends::<u16>(to, from, length),
            4..8 => copy_ends::<u32>(to, from, length),
            8..16 => copy_ends::<u64>(to, from, length),
            16..=32 => copy_ends::<Word>(to, from, length),
            33..=64 => copy_ends::<[Word; 2]>(to, from, length),
            _ => copy_ends::<[Word; 4]>(to, from, length),
        }
    }
}

/// Copies, as `memmove(3)`: the two may overlap.
///
/// # Safety
/// `length` bytes can be read at `from` and written at `to`.
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    if length <= 2 * BLOCK {
        // SAFETY: as the caller promises.
        return unsafe { copy_short(to, from, length) };
    }
    let last = length.wrapping_sub(BLOCK);
    // SAFETY: every block begins at `last` at the latest. What a block's write may cover is only
    // what has been read: the far end is read first, and the rest is gone through from the side
    // on which the destination lies.
    unsafe {
        if to.addr().wrapping_sub(from.addr()) >= length {
            let end: [Word; 4] = get(from, last);
            let mut at = 0;
            while at < last {
                put::<[Word; 4]>(to, at, get(from, at));
                at = at.wrapping_add(BLOCK);
            }
            put(to, last, end);
        } else {
            let first: [Word; 4] = get(from, 0);
            let mut at = last;
            while at > 0 {
                put::<[Word; 4]>(to, at, get(from, at));
                at = at.saturating_sub(BLOCK);
            }
            put(to, 0, first);
        }
    }
}

/// Compares, as `memcmp(3)`: less than, equal to or greater than 0.
///
/// # Safety
/// `length` bytes can be read at both.
#[inline(always)]
unsafe fn compare(left: *const u8, right: *const u8, length: usize) -> i32 {
    let mut at = 0_usize;
    // SAFETY: no read ends behind the length.
    unsafe {
        while at.wrapping_add(8) <= length {
            let (a, b): (u64, u64) = (get(left, at), get(right, at));
            if a != b {
                return if a.swap_bytes() < b.swap_bytes() { -1 } else { 1 };
            }
            at = at.wrapping_add(8);
        }
        while at < length {
            let (a, b): (u8, u8) = (get(left, at), get(right, at));
            if a != b {
                return i32::from(a).wrapping_sub(i32::from(b));
            }
            at = at.wrapping_add(1);
        }
    }
    0
}

#[cfg(all(target_env = "musl", target_arch = "x86_64"))]
mod exported {
    /// `memcpy(3)`.
    ///
    /// # Safety
    /// As that says.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { super::copy(to, from, length) };
        to
    }

    /// `memmove(3)`.
    ///
    /// # Safety
    /// As that says.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { super::copy(to, from, length) };
        to
    }

    /// `memcmp(3)`.
    ///
    /// # Safety
    /// As that says.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
        // SAFETY: as the caller promises.
        unsafe { super::compare(left, right, length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that tell their places apart.
    fn numbered(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    #[test]
    fn every_length_is_copied_from_and_to_every_alignment_and_no_byte_beside_it() {
        for length in (0..300).chain([511, 512, 513, 1000, 4096, 5001]) {
            for (from, to) in [(0, 0), (1, 0), (0, 1), (3, 5), (15, 2), (8, 8)] {
                let source = numbered(length + 32);
                let mut target = vec![255; length + 32];
                // SAFETY: both have 32 bytes more than is copied.
                unsafe { copy(target.as_mut_ptr().add(to), source.as_ptr().add(from), length) };
                assert_eq!(target[to..to + length], source[from..from + length], "{length}");
                let beside = target[..to].iter().chain(&target[to + length..]);
                assert!(beside.into_iter().all(|byte| *byte == 255), "{length} {from} {to}");
            }
        }
    }

    #[test]
    fn what_overlaps_arrives_as_it_was() {
        for length in (0..300).chain([1000, 4096]) {
            for (from, to) in
                [(0, 1), (1, 0), (0, 15), (17, 0), (0, 64), (63, 0), (0, 100), (100, 0), (7, 7)]
            {
                let mut bytes = numbered(length + 128);
                let mut expected = bytes.clone();
                expected.copy_within(from..from + length, to);
                let start = bytes.as_mut_ptr();
                // SAFETY: the buffer is 128 bytes longer than what is copied.
                unsafe { copy(start.add(to), start.add(from), length) };
                assert_eq!(bytes, expected, "{length} {from} {to}");
            }
        }
    }

    #[test]
    fn the_first_difference_decides_as_unsigned_bytes() {
        for length in 0..70 {
            let left = numbered(length);
            // SAFETY: both have that length.
            assert_eq!(unsafe { compare(left.as_ptr(), left.as_ptr(), length) }, 0);
            for at in 0..length {
                let mut right = left.clone();
                for other in [0, 1, 127, 128, 255] {
                    right[at] = other;
                    // What comes behind the first difference does not matter.
                    if let Some(next) = right.get_mut(at + 1) {
                        *next = !left[at + 1];
                    }
                    if other == left[at] {
                        continue;
                    }
                    // SAFETY: both have that length.
                    let found = unsafe { compare(left.as_ptr(), right.as_ptr(), length) };
                    let expected = left[at].cmp(&other);
                    assert_eq!(found.cmp(&0), expected, "{length} {at} {other}");
                }
            }
        }
    }
}
