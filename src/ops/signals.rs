//! Signals while `run` waits: they are the container's, not ours.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};

use super::notify::Notifier;
use crate::sys::process::{self, Ended};
use crate::sys::{Errno, Result};

/// The signals of this process, taken out of their usual way.
#[derive(Debug)]
pub(super) struct Signals {
    arrived: SignalFd,
}

/// From here on, every signal that can be held is held until it is read.
///
/// The new process resets its own mask before it becomes the program.
pub(super) fn take() -> Result<Signals> {
    let mut held = SigSet::all();
    // Faults of our own must end us, with a core where one is wanted.
    for fault in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT]
    {
        held.remove(fault);
    }
    held.thread_block()?;
    let arrived = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    Ok(Signals { arrived })
}

/// The signals that stop a process in the background which wants the terminal.
fn of_job_control() -> SigSet {
    [Signal::SIGTTIN, Signal::SIGTTOU].into_iter().collect()
}

/// Lets the kernel stop this process when it uses the terminal from the background.
pub(super) fn release_job_control() -> Result<()> {
    of_job_control().thread_unblock()
}

/// Takes that back.
pub(super) fn hold_job_control() -> Result<()> {
    of_job_control().thread_block()
}

/// Passes a signal on, unless it is about this process itself: its children, its output.
pub(super) fn forward(process: BorrowedFd<'_>, signal: i32) {
    if signal != libc::SIGCHLD && signal != libc::SIGPIPE {
        let _ = process::signal(process, signal);
    }
}

impl Signals {
    /// The next signal that has arrived, if one has.
    pub(super) fn next(&self) -> Option<i32> {
        let arrived = self.arrived.read_signal().ok().flatten()?;
        i32::try_from(arrived.ssi_signo).ok()
    }

    /// Whether one of those that have arrived asks this process to end; takes them all.
    pub(super) fn says_end(&self) -> bool {
        let ends = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
        // All of them: what is left would be found again at once.
        std::iter::from_fn(|| self.next()).filter(|signal| ends.contains(signal)).count() > 0
    }

    /// Waits until a process ends, passing on to it what arrives meanwhile, and from it what it
    /// says of itself.
    pub(super) fn wait_forwarding(
        &self,
        process: BorrowedFd<'_>,
        pid: i32,
        mut notifier: Option<Notifier>,
    ) -> Result<Ended> {
        loop {
            let mut events = vec![
                PollFd::from_borrowed_fd(process, PollFlags::IN),
                PollFd::from_borrowed_fd(self.arrived.as_fd(), PollFlags::IN),
            ];
            let listens = notifier.as_ref().map(AsFd::as_fd);
            events.extend(listens.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            match rustix::event::poll(&mut events, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
            }
            let ended = events.first().is_some_and(|event| !event.revents().is_empty());
            drop(events);
            std::iter::from_fn(|| self.next()).for_each(|signal| forward(process, signal));
            if let Some(notifier) = &mut notifier {
                notifier.serve();
            }
            if ended {
                return process::wait_for(pid);
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrived.as_fd()
    }
}
