//! Signals while `run` waits: they are the container's, not ours.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};

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

impl Signals {
    /// Waits until init ends, passing on to it what arrives meanwhile.
    pub(super) fn wait_forwarding(&self, init: BorrowedFd<'_>, pid: i32) -> Result<Ended> {
        loop {
            let mut events = [
                PollFd::from_borrowed_fd(init, PollFlags::IN),
                PollFd::from_borrowed_fd(self.arrived.as_fd(), PollFlags::IN),
            ];
            match rustix::event::poll(&mut events, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
            }
            let [ended, signalled] = events.map(|event| !event.revents().is_empty());
            if signalled {
                self.forward(init);
            }
            if ended {
                return process::wait_for(pid);
            }
        }
    }

    fn forward(&self, init: BorrowedFd<'_>) {
        while let Ok(Some(signal)) = self.arrived.read_signal() {
            let Ok(number) = i32::try_from(signal.ssi_signo) else { continue };
            // Ours: children of this process ended, or its terminal changed state.
            if number != libc::SIGCHLD && number != libc::SIGPIPE {
                let _ = process::signal(init, number);
            }
        }
    }
}
