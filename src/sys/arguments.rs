//! The arguments of this process, where everyone who sees the process can read them.
#![expect(unsafe_code, reason = "the kernel shows memory that no value of ours owns")]

use rustix::fs::{Mode, OFlags};

use super::{Errno, Result, errno};

/// The memory that `/proc/PID/cmdline` shows: no right over a process is needed to read it.
#[derive(Debug)]
pub struct Arguments {
    start: usize,
    length: usize,
}

impl Arguments {
    /// Finds out where they are.
    ///
    /// # Errors
    /// What reading `/proc/self/stat` gave, `EIO` when it says something else.
    ///
    /// Reference: proc_pid_stat(5), fields 48 and 49.
    pub fn find() -> Result<Self> {
        let mut buffer = [0_u8; 2048];
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let stat = rustix::fs::open(c"/proc/self/stat", flags, Mode::empty()).map_err(errno)?;
        let length = rustix::io::read(&stat, &mut buffer).map_err(errno)?;
        parse(buffer.get(..length).unwrap_or_default()).ok_or(Errno::EIO)
    }

    /// Makes them unreadable, for this process and those that it clones, until what is returned
    /// is dropped; in a clone, for ever.
    #[must_use]
    pub fn cover(&self) -> Covered {
        let start: *mut u8 = std::ptr::with_exposed_provenance_mut(self.start);
        // SAFETY: the kernel put the arguments there when it started this program, and the memory
        // is this process's own for as long as it runs. There is one thread, and no reference
        // into it is held: `std::env` hands out copies.
        let kept = unsafe { std::slice::from_raw_parts(start, self.length) }.to_vec();
        // SAFETY: as above; the range is writable, for it lies on the initial stack.
        unsafe { std::ptr::write_bytes(start, 0, self.length) };
        Covered { start, kept }
    }
}

impl Covered {
    /// Leaves them unreadable for good.
    pub fn stay(self) {
        std::mem::forget(self);
    }
}

/// The arguments are zeros until this is dropped.
#[derive(Debug)]
pub struct Covered {
    start: *mut u8,
    kept: Vec<u8>,
}

impl Drop for Covered {
    fn drop(&mut self) {
        // SAFETY: the same range that `cover` read and wrote; the two do not overlap, for `kept`
        // is on the heap.
        unsafe { std::ptr::copy_nonoverlapping(self.kept.as_ptr(), self.start, self.kept.len()) };
    }
}

/// The name may hold any byte, so the fields are counted from its last `)`.
fn parse(text: &[u8]) -> Option<Arguments> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end.saturating_add(1)..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(45);
    let start = fields.next()?.parse::<usize>().ok()?;
    let end = fields.next()?.parse::<usize>().ok()?;
    let length = end.checked_sub(start).filter(|length| (1..=LONGEST).contains(length))?;
    (start != 0).then_some(Arguments { start, length })
}

/// More than any kernel takes, in bytes: a quarter of the largest stack there is.
const LONGEST: usize = 6 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_found_in_the_fields_after_the_name() {
        let mut fields: Vec<String> = (3..=52).map(|number: u64| number.to_string()).collect();
        fields[45] = "4096".to_owned();
        fields[46] = "4100".to_owned();

        let found = parse(format!("7 (a) b) {}", fields.join(" ")).as_bytes()).unwrap();

        assert_eq!((found.start, found.length), (4096, 4));
        assert!(parse(b"7 (a) S 1").is_none());
    }

    #[test]
    fn what_is_covered_shows_again_afterwards() {
        let shown = || std::fs::read("/proc/self/cmdline").unwrap();
        let before = shown();
        assert!(before.iter().any(|byte| *byte != 0));

        let covered = Arguments::find().unwrap().cover();
        let during = shown();
        drop(covered);

        assert!(during.iter().all(|byte| *byte == 0), "{during:?}");
        assert_eq!(shown(), before);
    }
}
