//! Whether the kernel takes a filter: a child process loads it, and is killed.
#![expect(unsafe_code, reason = "fork(2) returns twice, and memory is shared with the child")]

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::seccomp::{Instruction, install};
use super::{Errno, Result, process};

/// What the child writes once the filter stands. Before, it is 0; an error number is negative.
const LOADED: i32 = 1;

/// How long the child may take on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(5);

/// Loads a program in a child, which makes no call after that: it says so in memory that both see,
/// and is killed. Nothing of it is left, not even a line in the kernel's log.
///
/// The process must have one thread only.
///
/// # Errors
/// Of seccomp(2), and `EACCES` if the child cannot give up privileges: inside. Of mmap(2), fork(2)
/// and waitpid(2), and `ETIMEDOUT`: outside.
pub fn load(program: &[Instruction], flags: u32) -> Result<Result<()>> {
    let page = Page::new()?;
    // SAFETY: there is no other thread that could hold a lock. The child never returns from its
    // arm, and allocates nothing.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let loaded = process::forbid_new_privileges()
                .map_err(|_| Errno::EACCES)
                .and_then(|()| install(program, flags).map(drop));
            page.flag().store(said(loaded), Ordering::Release);
            loop {
                std::hint::spin_loop();
            }
        }
        ForkResult::Parent { child } => {
            let begun = Instant::now();
            let mut found = 0;
            while found == 0 && begun.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_micros(200));
                found = page.flag().load(Ordering::Acquire);
            }
            let _ = kill(child, Signal::SIGKILL);
            waitpid(child, None)?;
            match found {
                0 => Err(Errno::ETIMEDOUT),
                LOADED => Ok(Ok(())),
                number => Ok(Err(Errno::from_raw(number.saturating_neg()))),
            }
        }
    }
}

#[expect(clippy::as_conversions, reason = "a field-less enum has no other way to its number")]
fn said(loaded: Result<()>) -> i32 {
    loaded.map_or_else(|errno| -(errno as i32), |()| LOADED)
}

/// A page that a process shares with its children; zero at first.
struct Page(*mut libc::c_void);

/// Enough for one number; the kernel gives a whole page.
const LENGTH: usize = 4096;

impl Page {
    fn new() -> Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice; it replaces nothing.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, protection, kind, -1, 0) };
        if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self(at)) }
    }

    fn flag(&self) -> &AtomicI32 {
        // SAFETY: the mapping is a page that lives as long as `self`, is aligned for any type, and
        // is touched through this atomic only, here and in the child.
        unsafe { AtomicI32::from_ptr(self.0.cast()) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.0, LENGTH) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(k: u32) -> Vec<Instruction> {
        vec![Instruction { code: 0x06, jt: 0, jf: 0, k }]
    }

    #[test]
    fn a_filter_that_kills_for_everything_is_taken_and_no_program_is_refused() {
        for k in [0x7fff_0000, 0, 0x8000_0000, 0x0003_0000, 0x0005_0001, 0x7fc0_0000] {
            assert_eq!(load(&answer(k), 0), Ok(Ok(())), "{k:#x}");
        }
        let no_return = vec![Instruction { code: 0x20, jt: 0, jf: 0, k: 0 }];
        assert_eq!(load(&no_return, 0), Ok(Err(Errno::EINVAL)));
        assert_eq!(load(&[], 0), Ok(Err(Errno::EINVAL)));
        assert_eq!(load(&answer(0), 1 << 30), Ok(Err(Errno::EINVAL)));
    }
}
