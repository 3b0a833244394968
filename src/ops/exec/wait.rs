//! The short time, or the long one in a paused container, until a process is its program.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags};

use crate::engine::exec::Entered;
use crate::ops::signals::Signals;

/// Signals that end this command, and with it a process that is not yet its program.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Waits until the process has something to say. Its program would not get signals yet: one that
/// asks this command to end ends the process as well.
pub(super) fn until_running(entered: &Entered, signals: &Signals) -> Result<(), String> {
    loop {
        let mut events = [
            PollFd::from_borrowed_fd(entered.conversation(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut events, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                entered.end();
                return Err(format!("wait for the process: {error}"));
            }
        }
        let [heard, signalled] = events.map(|event| !event.revents().is_empty());
        if heard {
            return Ok(());
        }
        let ending = signalled
            .then(|| std::iter::from_fn(|| signals.next()).find(|signal| ENDING.contains(signal)));
        if let Some(Some(signal)) = ending {
            entered.end();
            return Err(format!("signal {signal} came before the program had started"));
        }
    }
}
