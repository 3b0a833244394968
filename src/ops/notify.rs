//! Notification: what the program says of itself (`sd_notify(3)`) is passed on to whoever waits
//! for it, as far as it is about the program alone. Descriptors, process ids and names of the
//! container mean nothing outside, and are not passed on.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;

use super::signals::Signals;
use crate::plan::notify::{SOCKET, VARIABLE};
use crate::store::Entry;
use crate::sys::{Errno, Result, socket};

/// How long the other side may take to let go of the pipe that it is sent after the last word.
const BARRIER_SEC: i64 = 5;

/// What a message may have, in bytes; more is cut off.
const MESSAGE_BYTES: usize = 4096;

/// How many messages are passed on before anything else is looked at.
const AT_ONCE: usize = 64;

/// Where the caller waits for a word, if it does.
pub(super) fn of_caller() -> Option<OsString> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty())
}

/// Passes on what the program says.
#[derive(Debug)]
pub(super) struct Notifier {
    from: OwnedFd,
    to: OwnedFd,
    /// The process that the other side shall watch from then on.
    main_pid: i32,
    is_ready: bool,
}

impl Notifier {
    /// Listens for the program of the container in `entry`, if it has a place for that, and if
    /// this process's caller listens. A caller that is gone is no reason not to start anything.
    pub(super) fn of(entry: &Entry, main_pid: i32) -> Option<Self> {
        let host = of_caller()?;
        let dir = entry.open_notify_dir().ok().flatten()?;
        let made = socket::send_datagrams_to(host.as_bytes())
            .and_then(|to| Ok((socket::take_datagrams_in(dir.as_fd(), SOCKET)?, to)));
        match made {
            Ok((from, to)) => Some(Self { from, to, main_pid, is_ready: false }),
            Err(error) => {
                tracing::debug!("{VARIABLE} {}: {error:?}", host.to_string_lossy());
                None
            }
        }
    }

    /// Passes on what has come.
    pub(super) fn serve(&mut self) {
        let mut message = [0; MESSAGE_BYTES];
        // A program that never stops talking must not keep this process from its other tasks.
        for _ in 0..AT_ONCE {
            let got = rustix::net::recv(&self.from, &mut message, RecvFlags::DONTWAIT);
            let Ok((_, got)) = got else { return };
            let said = message.get(..got.min(MESSAGE_BYTES)).unwrap_or_default();
            let lines: Vec<_> = said.split(|byte| *byte == b'\n').filter(|l| is_own(l)).collect();
            if lines.is_empty() {
                continue;
            }
            let mut passed = lines.join(&b'\n');
            if lines.contains(&b"READY=1".as_slice()) {
                self.is_ready = true;
                passed.extend_from_slice(format!("\nMAINPID={}", self.main_pid).as_bytes());
            }
            let _ = socket::send(self.to.as_fd(), &passed);
        }
    }

    /// Waits until the program is ready or has ended, and until that was heard; `false` if this
    /// process was told to end first.
    pub(super) fn wait(
        mut self,
        process: BorrowedFd<'_>,
        signals: Option<&Signals>,
    ) -> Result<bool> {
        while !self.is_ready {
            let mut events = vec![
                PollFd::from_borrowed_fd(self.from.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(process, PollFlags::IN),
            ];
            events.extend(
                signals.map(|signals| PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)),
            );
            match rustix::event::poll(&mut events, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
            }
            let has_ended = events.get(1).is_some_and(|event| !event.revents().is_empty());
            drop(events);
            self.serve();
            if has_ended {
                return Ok(true);
            }
            if signals.is_some_and(Signals::says_end) {
                return Ok(false);
            }
        }
        self.barrier();
        Ok(true)
    }

    /// Waits until all that was sent has been taken: the other side finds out who sent it only as
    /// long as this process lives. One that does not know of barriers closes the pipe as well.
    fn barrier(&self) {
        let Ok((read, write)) = std::io::pipe() else { return };
        if socket::send_fd(self.to.as_fd(), b"BARRIER=1", write.as_fd()).is_err() {
            return;
        }
        drop(write);
        let patience = Timespec { tv_sec: BARRIER_SEC, tv_nsec: 0 };
        let mut events = [PollFd::from_borrowed_fd(read.as_fd(), PollFlags::IN)];
        let _ = rustix::event::poll(&mut events, Some(&patience));
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

/// Whether a line is about the program itself.
fn is_own(line: &[u8]) -> bool {
    let Some(at) = line.iter().position(|byte| *byte == b'=') else { return false };
    let (name, value) = line.split_at(at);
    let value = value.get(1..).unwrap_or_default();
    match name {
        b"READY" | b"RELOADING" | b"STOPPING" | b"WATCHDOG" => value == b"1",
        b"MONOTONIC_USEC" | b"ERRNO" => !value.is_empty() && value.iter().all(u8::is_ascii_digit),
        b"STATUS" => {
            std::str::from_utf8(value).is_ok_and(|text| !text.chars().any(char::is_control))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_program_says_of_itself_is_passed_on() {
        for line in
            ["READY=1", "STATUS=up at last, ü", "ERRNO=2", "MONOTONIC_USEC=17", "WATCHDOG=1"]
        {
            assert!(is_own(line.as_bytes()), "{line}");
        }
        for line in [
            "READY=0",
            "MAINPID=1",
            "FDSTORE=1",
            "FDNAME=x",
            "BARRIER=1",
            "NOTIFYACCESS=all",
            "EXTEND_TIMEOUT_USEC=9",
            "STATUS=a\x1b[2J",
            "ERRNO=",
            "ERRNO=x",
            "READY",
            "=1",
            "",
        ] {
            assert!(!is_own(line.as_bytes()), "{line}");
        }
    }
}
