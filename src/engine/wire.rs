//! What the two processes of a launch say to each other: the whole protocol.
//!
//! Every message is eight bytes, or one byte for "go on". End of file from init means that it
//! became the workload; end of file from the supervisor means that the launch is off.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::plan::{Gate, StepId};
use crate::sys::process::Ended;
use crate::sys::{self, Errno, Result, socket};

/// What init says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// It opened a gate.
    Opened(Gate),
    /// A step failed; it ends.
    Failed(Failure),
    /// The hook of this step ended, and not well; so does it.
    HookEnded(StepId, Ended),
    /// What the next hook says can be read from the descriptor that came with this.
    Output,
    /// It has become the workload, or is gone.
    Gone,
}

/// A step of init that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub step: StepId,
    /// Why, in the kernel's number.
    pub errno: Errno,
}

/// The byte that means "go on".
const GO: u8 = b'g';

fn gate_number(gate: Gate) -> u32 {
    match gate {
        Gate::Cgroups => 0x1_0000,
        Gate::UserNamespace => 0x1_0001,
        Gate::IdMaps => 0x1_0002,
        Gate::Namespaces => 0x1_0003,
        Gate::Ready => 0x1_0004,
        Gate::Mounts => 0x1_0005,
        Gate::Placed => 0x1_0006,
        Gate::Filter => 0x1_0007,
        Gate::Watched => 0x1_0008,
        Gate::Made => 0x1_0009,
    }
}

fn gate_of(number: u32) -> Option<Gate> {
    [
        Gate::Cgroups,
        Gate::UserNamespace,
        Gate::IdMaps,
        Gate::Namespaces,
        Gate::Ready,
        Gate::Mounts,
        Gate::Placed,
        Gate::Filter,
        Gate::Watched,
        Gate::Made,
    ]
    .into_iter()
    .find(|gate| gate_number(*gate) == number)
}

/// What a message about a hook begins with, beside the step's number.
const HOOK: u32 = 0x2_0000;

/// What announces a hook's output.
const OUTPUT: u32 = 0x3_0000;

fn encode(first: u32, second: i32) -> [u8; 8] {
    let mut message = [0; 8];
    let (head, tail) = message.split_at_mut(4);
    head.copy_from_slice(&first.to_ne_bytes());
    tail.copy_from_slice(&second.to_ne_bytes());
    message
}

/// Tells the supervisor that `gate` is open. Allocates nothing.
///
/// # Errors
/// `EPIPE` when it is gone.
pub fn say_opened(to: BorrowedFd<'_>, gate: Gate) -> Result<()> {
    socket::send(to, &encode(gate_number(gate), 0))
}

/// Reports a failure. Allocates nothing; if nobody listens, there is nobody to tell.
pub fn say_failed(to: BorrowedFd<'_>, failure: Failure) {
    let number = i32::from_ne_bytes(raw_errno(failure.errno).to_ne_bytes());
    let _ = socket::send(to, &encode(u32::from(failure.step.0), number));
}

#[expect(clippy::as_conversions, reason = "a field-less enum has no other way to its number")]
pub(super) fn raw_errno(errno: Errno) -> i32 {
    errno as i32
}

/// Reports the end of a hook. Allocates nothing; if nobody listens, there is nobody to tell.
pub(super) fn say_ended(to: BorrowedFd<'_>, step: StepId, ended: Ended) {
    let number = match ended {
        Ended::Exited(status) => status,
        Ended::Killed(signal) => signal.saturating_neg(),
    };
    let _ = socket::send(to, &encode(HOOK | u32::from(step.0), number));
}

/// Passes on where a hook's output can be read. Allocates nothing.
///
/// # Errors
/// `EPIPE` when the other side is gone.
pub(super) fn pass_output(to: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<()> {
    socket::send_fd(to, &encode(OUTPUT, 0), output)
}

/// Lets the other side go on. Allocates nothing.
///
/// # Errors
/// `EPIPE` when it is gone.
pub fn say_go(to: BorrowedFd<'_>) -> Result<()> {
    socket::send(to, &[GO])
}

/// Waits until the other side lets this one go on. Allocates nothing.
///
/// # Errors
/// `EPIPE` when it is gone, `EPROTO` when it says anything else.
pub fn await_go(from: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0; 1];
    match socket::receive(from, &mut byte)? {
        0 => Err(Errno::EPIPE),
        _ if byte == [GO] => Ok(()),
        _ => Err(Errno::EPROTO),
    }
}

/// Whether something is said, within so many seconds, that nobody has heard yet.
pub(super) fn was_spoken_to(from: BorrowedFd<'_>, within: i64) -> bool {
    let patience = Timespec { tv_sec: within, tv_nsec: 0 };
    let mut said = [PollFd::from_borrowed_fd(from, PollFlags::IN)];
    rustix::event::poll(&mut said, Some(&patience)).is_ok_and(|ready| ready > 0)
}

/// Waits for what init has to say.
///
/// # Errors
/// `EPROTO` for anything that is not a message.
pub fn hear(from: BorrowedFd<'_>) -> Result<Message> {
    let mut message = [0; 8];
    let got = socket::receive(from, &mut message)?;
    decode(message, got)
}

/// Waits for what init has to say, and takes the descriptor that comes with it.
///
/// # Errors
/// `EPROTO` for anything that is not a message.
pub(super) fn hear_with_output(from: BorrowedFd<'_>) -> Result<(Message, Option<OwnedFd>)> {
    let mut message = [0; 8];
    let (got, output) = socket::receive_maybe_fd(from, &mut message)?;
    Ok((decode(message, got)?, output))
}

fn decode(message: [u8; 8], got: usize) -> Result<Message> {
    if got == 0 {
        return Ok(Message::Gone);
    }
    if got != message.len() {
        return Err(Errno::EPROTO);
    }
    let [a, b, c, d, e, f, g, h] = message;
    let first = u32::from_ne_bytes([a, b, c, d]);
    let second = i32::from_ne_bytes([e, f, g, h]);
    if let Some(gate) = gate_of(first) {
        return Ok(Message::Opened(gate));
    }
    if first == OUTPUT {
        return Ok(Message::Output);
    }
    if let Some(step) = first.checked_sub(HOOK) {
        let step = StepId(u16::try_from(step).map_err(|_| Errno::EPROTO)?);
        let ended =
            if second < 0 { Ended::Killed(second.saturating_neg()) } else { Ended::Exited(second) };
        return Ok(Message::HookEnded(step, ended));
    }
    let step = u16::try_from(first).map_err(|_| Errno::EPROTO)?;
    Ok(Message::Failed(Failure { step: StepId(step), errno: Errno::from_raw(second) }))
}

/// Ends this process after it reported `failure`.
pub(super) fn fail(to: BorrowedFd<'_>, failure: Failure) -> ! {
    say_failed(to, failure);
    sys::process::end(1)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn every_gate_and_a_failure_arrive_as_they_were_said() {
        let (ours, theirs) = socket::pair().unwrap();
        let failure = Failure { step: StepId(41), errno: Errno::EPERM };

        say_opened(theirs.as_fd(), Gate::Namespaces).unwrap();
        say_failed(theirs.as_fd(), failure);
        drop(theirs);

        assert_eq!(hear(ours.as_fd()).unwrap(), Message::Opened(Gate::Namespaces));
        assert_eq!(hear(ours.as_fd()).unwrap(), Message::Failed(failure));
        assert_eq!(hear(ours.as_fd()).unwrap(), Message::Gone);
    }

    #[test]
    fn the_last_words_of_one_who_did_not_listen_are_heard() {
        let (ours, theirs) = socket::pair().unwrap();
        let failure = Failure { step: StepId(7), errno: Errno::EUCLEAN };
        say_go(ours.as_fd()).unwrap();

        say_failed(theirs.as_fd(), failure);
        drop(theirs);

        assert_eq!(hear(ours.as_fd()).unwrap(), Message::Failed(failure));
        assert_eq!(hear(ours.as_fd()).unwrap(), Message::Gone);
    }

    #[test]
    fn what_became_of_a_hook_arrives_with_what_it_said() {
        let (ours, theirs) = socket::pair().unwrap();
        let (read, write) = std::io::pipe().unwrap();
        pass_output(theirs.as_fd(), read.as_fd()).unwrap();
        for ended in [Ended::Exited(1), Ended::Exited(255), Ended::Killed(9)] {
            say_ended(theirs.as_fd(), StepId(77), ended);
        }
        drop(read);
        rustix::io::write(&write, b"words").unwrap();

        let (message, output) = hear_with_output(ours.as_fd()).unwrap();
        let mut said = [0; 5];
        rustix::io::read(output.unwrap(), &mut said).unwrap();

        assert_eq!((message, &said), (Message::Output, b"words"));
        for ended in [Ended::Exited(1), Ended::Exited(255), Ended::Killed(9)] {
            assert_eq!(hear(ours.as_fd()).unwrap(), Message::HookEnded(StepId(77), ended));
        }
    }

    #[test]
    fn a_dead_supervisor_ends_the_wait() {
        let (ours, theirs) = socket::pair().unwrap();
        drop(ours);

        assert_eq!(await_go(theirs.as_fd()), Err(Errno::EPIPE));
    }
}
