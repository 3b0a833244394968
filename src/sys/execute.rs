//! Becoming another program: its arguments and its environment, ready before the clone. Functions
//! marked so allocate nothing: they run in the new process.
#![expect(unsafe_code, reason = "execve(2) takes addresses")]

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Errno, Result};

/// A NULL-terminated array of pointers to NUL-terminated strings, as execve(2) wants it.
///
/// Made before the clone, so that nothing is allocated after it.
#[derive(Debug)]
pub struct StringArray<'text> {
    pointers: Vec<*const c_char>,
    late: Option<Late>,
    _text: std::marker::PhantomData<&'text CStr>,
}

/// A string whose end is known only after the clone. What it begins with stays; the last byte is
/// never written, and is NUL.
#[derive(Debug)]
struct Late {
    bytes: Vec<Cell<u8>>,
    fixed: usize,
}

/// How much room there is for a path, with the NUL at its end, in bytes: the kernel's `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

impl<'text> StringArray<'text> {
    /// Takes the addresses of `strings`, which stay borrowed.
    pub fn new(strings: impl Iterator<Item = &'text CStr>) -> Self {
        let pointers = strings.map(CStr::as_ptr).chain([std::ptr::null()]).collect();
        Self { pointers, late: None, _text: std::marker::PhantomData }
    }

    /// The same; the string that begins with `prefix` is copied to where a path fits behind that.
    pub fn with_room(strings: impl Iterator<Item = &'text CStr>, prefix: &[u8]) -> Self {
        let mut late = None;
        let mut place = |text: &CStr| {
            if late.is_some() || !text.to_bytes().starts_with(prefix) {
                return text.as_ptr();
            }
            let room = text.count_bytes().max(prefix.len().saturating_add(LONGEST_PATH));
            let mut bytes = text.to_bytes().to_vec();
            bytes.resize(room.saturating_add(1), 0);
            let bytes = bytes.into_iter().map(Cell::new).collect();
            let late = late.insert(Late { bytes, fixed: prefix.len() });
            late.bytes.as_ptr().cast()
        };
        let mut pointers: Vec<_> = strings.map(&mut place).collect();
        pointers.push(std::ptr::null());
        Self { pointers, late, _text: std::marker::PhantomData }
    }

    /// Has that string say `value` behind what it begins with. Allocates nothing.
    ///
    /// # Errors
    /// `ENOENT` if there is no such string, `ENAMETOOLONG` if there is no room, `EINVAL` for a NUL.
    pub fn write(&self, value: &[u8]) -> Result<()> {
        let late = self.late.as_ref().ok_or(Errno::ENOENT)?;
        if value.contains(&0) {
            return Err(Errno::EINVAL);
        }
        let places = late.bytes.get(late.fixed..).unwrap_or_default();
        if value.len() >= places.len() {
            return Err(Errno::ENAMETOOLONG);
        }
        for (place, byte) in places.iter().zip(value.iter().chain([&0])) {
            place.set(*byte);
        }
        Ok(())
    }
}

/// Becomes the program at `path`. Returns only on failure. Allocates nothing.
///
/// Reference: execve(2).
#[must_use]
pub fn program(path: &CStr, arguments: &StringArray<'_>, environment: &StringArray<'_>) -> Errno {
    let (argv, envp) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    // SAFETY: all three are NUL- or NULL-terminated and borrowed for longer than the call.
    unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv, envp) };
    Errno::last()
}

/// Becomes the program that `file` refers to. Returns only on failure.
///
/// Reference: execveat(2), `AT_EMPTY_PATH`.
#[must_use]
pub fn program_at(
    file: BorrowedFd<'_>,
    arguments: &StringArray<'_>,
    environment: &StringArray<'_>,
) -> Errno {
    let (argv, envp) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    let (empty, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
    // SAFETY: all are NUL- or NULL-terminated and borrowed for longer than the call.
    unsafe { libc::syscall(libc::SYS_execveat, file.as_raw_fd(), empty, argv, envp, flags) };
    Errno::last()
}
