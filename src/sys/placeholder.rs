//! A process that does nothing: something to put where a process is asked for.
#![expect(unsafe_code, reason = "clone3(2) returns twice")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::PipeFlags;

use super::clone::{self, Cloned};
use super::{Errno, Result, errno, fd, flags, ns, process};

/// Lives until it is dropped, or until this process ends, however it ends.
#[derive(Debug)]
pub struct Placeholder {
    pid: i32,
    process: OwnedFd,
    /// Once nobody has this end any more, the other side ends.
    _alive: OwnedFd,
}

impl Placeholder {
    /// Starts it.
    ///
    /// # Errors
    /// What clone3(2) and pipe(2) say.
    pub fn start() -> Result<Self> {
        let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
        // SAFETY: this program has one thread, and the child goes straight into `wait`, which
        // allocates nothing, takes no lock and never returns.
        match unsafe { clone::process(0, None) }? {
            Cloned::Parent { pid, process } => Ok(Self { pid, process, _alive: ours }),
            Cloned::Child => wait(&theirs),
        }
    }

    /// Starts it in the user namespace `namespace`. Nobody in there may trace it: its memory is
    /// this process's.
    ///
    /// # Errors
    /// What clone3(2), pipe(2) and setns(2) say.
    pub fn start_in(namespace: BorrowedFd<'_>) -> Result<Self> {
        process::forbid_dumping()?;
        let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
        let (said, says) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
        // SAFETY: this program has one thread, and the child only joins, writes a byte and goes
        // into `wait`: it allocates nothing, takes no lock and never returns.
        match unsafe { clone::process(0, None) }? {
            Cloned::Parent { pid, process } => {
                drop(says);
                let started = Self { pid, process, _alive: ours };
                let mut failure = [0; 1];
                match rustix::io::read(&said, &mut failure).map_err(errno)? {
                    0 => Err(Errno::ESRCH),
                    _ if failure == [0] => Ok(started),
                    _ => Err(Errno::from_raw(failure.map(i32::from)[0])),
                }
            }
            Cloned::Child => {
                let joined = ns::enter(namespace, flags::ns::USER);
                let _ = rustix::io::write(&says, &[joined.err().map_or(0, number)]);
                wait(&theirs)
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        let _ = process::signal(self.process.as_fd(), libc::SIGKILL);
        let _ = process::wait_for(self.pid);
    }
}

#[expect(clippy::as_conversions, reason = "a field-less enum has no other way to its number")]
fn number(error: Errno) -> u8 {
    u8::try_from(error as i32).unwrap_or(u8::MAX)
}

/// The child: keeps nothing of the parent's open but the end of the pipe, and waits for its end.
fn wait(pipe: &OwnedFd) -> ! {
    use std::os::fd::AsRawFd;
    // What the parent holds open may carry locks, or lead to the host's files.
    let number = u32::try_from(pipe.as_raw_fd()).unwrap_or(0);
    if number > 0 {
        let _ = fd::close_range(0, number.saturating_sub(1));
    }
    let _ = fd::close_range(number.saturating_add(1), u32::MAX);
    let mut byte = [0; 1];
    while let Err(rustix::io::Errno::INTR) = rustix::io::read(pipe, &mut byte) {}
    process::end(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_and_then_it_is_not() {
        let placeholder = Placeholder::start().unwrap();
        let place = format!("/proc/{}/fd", placeholder.pid());

        // It may still be closing what it was born with.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while std::fs::read_dir(&place).unwrap().count() > 1 {
            assert!(std::time::Instant::now() < deadline);
        }
        drop(placeholder);

        assert!(!std::path::Path::new(&place).exists());
    }
}
