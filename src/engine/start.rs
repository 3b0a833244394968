//! Lets init go on, and, where its filter has a listener, takes that from it on the way.
//!
//! Nothing may follow the filter but `execve`, which closes the listener: so it is taken from
//! outside, while init stands at the end of seccomp(2) under trace. If this process dies then,
//! init dies with it; if anything fails, it is killed: no call is ever left without an answer
//! and taken for one that was permitted.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::LaunchError;
use super::cause::Cause;
use super::talk::Talk;
use super::wire::{self, Message};
use crate::plan::{Action, Gate, LaunchPlan, Track};
use crate::sys::{Errno, fd, process, trace};

/// How long init may take to load its filter, and whoever answers to let it become the program.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a process that said why it fails, or was killed, may take to end.
const ENDING: Duration = Duration::from_secs(2);

/// An init that waits for `start`.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'fd> {
    /// The conversation with it.
    pub socket: BorrowedFd<'fd>,
    /// Its process id.
    pub pid: i32,
    /// Refers to it even after its id is used again.
    pub process: BorrowedFd<'fd>,
}

/// Whoever sees to it that the calls which the filter holds up are answered.
pub trait Attendant {
    /// Takes the listener: from now on its calls are answered, here or elsewhere.
    ///
    /// # Errors
    /// Why not, as a clause. Init is killed.
    fn take(&mut self, listener: OwnedFd) -> Result<(), String>;

    /// Is readable once whoever answers has ended, where that can be known.
    fn ended(&self) -> Option<BorrowedFd<'_>>;
}

/// Lets init go on, and waits until it has become the program.
///
/// # Errors
/// The step that failed, of init or beside it. Then init has ended, or is killed.
pub fn start(
    init: Waiting<'_>,
    plan: &LaunchPlan,
    attendant: &mut dyn Attendant,
) -> Result<(), LaunchError> {
    let started = let_go(init, plan, attendant);
    if started.is_err() {
        // Whoever hears of the failure may delete the container at once.
        is_readable_within(init.process, ENDING);
    }
    started
}

fn let_go(
    init: Waiting<'_>,
    plan: &LaunchPlan,
    attendant: &mut dyn Attendant,
) -> Result<(), LaunchError> {
    match wire::say_go(init.socket) {
        Ok(()) => {}
        // What it said before it ended can still be heard.
        Err(Errno::EPIPE) => return Err(ended(&mut Talk::new(init.socket), plan)),
        Err(error) => return Err(LaunchError::Conversation(error)),
    }
    see_through(init, plan, attendant)
}

/// Waits until a process that was let go on has become the program.
///
/// # Errors
/// As [`start`].
pub(super) fn see_through(
    init: Waiting<'_>,
    plan: &LaunchPlan,
    attendant: &mut dyn Attendant,
) -> Result<(), LaunchError> {
    let mut talk = Talk::new(init.socket);
    let watched = plan.track(Track::Starter).next().is_some();
    let started = beside(init, plan, Track::Starter, attendant, &mut talk).and_then(|()| {
        let deadline = watched.then(|| Instant::now() + PATIENCE);
        until_program(init, plan, attendant, &mut talk, deadline)
    });
    if started.is_err() && watched {
        // Best effort: it may have ended by itself.
        let _ = process::signal(init.process, libc::SIGKILL);
    }
    started
}

/// Has an init that was just made load its filter, where that comes before `start`, and takes the
/// listener from it.
///
/// # Errors
/// The step that failed, of init or beside it. Then init has ended, or is killed.
pub fn hand_over(
    init: Waiting<'_>,
    plan: &LaunchPlan,
    attendant: &mut dyn Attendant,
) -> Result<(), LaunchError> {
    let done = beside(init, plan, Track::Creator, attendant, &mut Talk::new(init.socket));
    if done.is_err() {
        // Best effort: it may have ended by itself.
        let _ = process::signal(init.process, libc::SIGKILL);
    }
    done
}

/// Carries out the steps that go with init's on this track.
fn beside(
    init: Waiting<'_>,
    plan: &LaunchPlan,
    track: Track,
    attendant: &mut dyn Attendant,
    talk: &mut Talk<'_>,
) -> Result<(), LaunchError> {
    for (id, step) in plan.track(track) {
        let fail = |cause| LaunchError::step(id, step, cause);
        fault(id).map_err(|errno| fail(errno.into()))?;
        match perform(init, &step.action, attendant, talk).map_err(fail)? {
            Outcome::Done => {}
            Outcome::Said(message) => {
                let error = talk.failure(plan, message);
                return Err(error.unwrap_or_else(|| fail(Errno::EPROTO.into())));
            }
            Outcome::Gone => return Err(ended(talk, plan)),
        }
    }
    Ok(())
}

/// Why init has ended, if it said so.
fn ended(talk: &mut Talk<'_>, plan: &LaunchPlan) -> LaunchError {
    loop {
        match talk.hear() {
            Ok(Message::Gone) => return LaunchError::Gone,
            Ok(message) => {
                if let Some(error) = talk.failure(plan, message) {
                    return error;
                }
            }
            Err(error) => return LaunchError::Conversation(error),
        }
    }
}

#[cfg(feature = "fault")]
fn fault(id: crate::plan::StepId) -> Result<(), Errno> {
    super::fault::strike(id)
}

#[cfg(not(feature = "fault"))]
#[expect(clippy::unnecessary_wraps, reason = "with the test feature it can fail")]
fn fault(_: crate::plan::StepId) -> Result<(), Errno> {
    Ok(())
}

/// What a step of the starter came to.
enum Outcome {
    Done,
    /// It said something else than that it goes on.
    Said(Message),
    /// It has ended, or is about to, and says itself why.
    Gone,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "there are no other steps beside init's")]
fn perform(
    init: Waiting<'_>,
    action: &Action,
    attendant: &mut dyn Attendant,
    talk: &mut Talk<'_>,
) -> Result<Outcome, Cause> {
    match action {
        Action::Await { gate } => await_gate(talk, *gate),
        Action::WatchInit => watch(init),
        Action::Open { .. } => wire::say_go(init.socket).map(|()| Outcome::Done).map_err(gone),
        Action::HandOver { .. } => take_listener(init, attendant),
        _ => Err(Errno::EOPNOTSUPP.into()),
    }
}

fn gone(errno: Errno) -> Cause {
    Cause::with_detail(errno, "the new process is gone".to_owned())
}

fn await_gate(talk: &mut Talk<'_>, gate: Gate) -> Result<Outcome, Cause> {
    let message = talk.hear()?;
    Ok(if message == Message::Opened(gate) {
        Outcome::Done
    } else if message == Message::Gone {
        Outcome::Gone
    } else {
        Outcome::Said(message)
    })
}

/// Stops init wherever it waits, and has it go on to its next system call.
fn watch(init: Waiting<'_>) -> Result<Outcome, Cause> {
    let pid = init.pid;
    if let Err(errno) = trace::seize(pid) {
        // What has ended cannot be traced either, and has said why it did.
        if is_readable(init.process) {
            return Ok(Outcome::Gone);
        }
        let why = "trace it; does a debugger hold it, or does kernel.yama.ptrace_scope forbid it?";
        return Err(Cause::with_detail(errno, why.to_owned()));
    }
    trace::interrupt(pid)?;
    let deadline = Instant::now() + PATIENCE;
    match next_stop(pid, deadline)? {
        trace::Stop::Ended => Ok(Outcome::Gone),
        trace::Stop::Signal(signal) => {
            trace::go_on(pid, signal)?;
            Ok(Outcome::Done)
        }
        trace::Stop::Event | trace::Stop::Call => {
            trace::go_on(pid, 0)?;
            Ok(Outcome::Done)
        }
    }
}

/// Waits for the next stop. There is no wait with a deadline, and it is a matter of microseconds.
fn next_stop(pid: i32, deadline: Instant) -> Result<trace::Stop, Cause> {
    let mut pause = Duration::from_micros(5);
    loop {
        if let Some(stop) = trace::stopped(pid)? {
            return Ok(stop);
        }
        if Instant::now() >= deadline {
            let why = "it does not go on; is it stopped, or is its control group frozen?";
            return Err(Cause::with_detail(Errno::ETIMEDOUT, why.to_owned()));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Follows init to the end of seccomp(2), copies the descriptor that this returned, has it
/// attended to, and only then lets init go.
fn take_listener(init: Waiting<'_>, attendant: &mut dyn Attendant) -> Result<Outcome, Cause> {
    let Some(result) = result_of_seccomp(init.pid)? else { return Ok(Outcome::Gone) };
    let Ok(number) = i32::try_from(result) else { return Err(Errno::EPROTO.into()) };
    if number < 0 {
        trace::let_go(init.pid)?;
        return Ok(Outcome::Gone);
    }
    let listener = fd::take_from(init.process, number)?;
    attendant.take(listener).map_err(Cause::said)?;
    match trace::let_go(init.pid) {
        Ok(()) => Ok(Outcome::Done),
        Err(Errno::ESRCH) => Ok(Outcome::Gone),
        Err(errno) => Err(errno.into()),
    }
}

/// `None` if init has ended.
fn result_of_seccomp(pid: i32) -> Result<Option<i64>, Cause> {
    let deadline = Instant::now() + PATIENCE;
    let mut begun = None;
    loop {
        let signal = match next_stop(pid, deadline)? {
            trace::Stop::Ended => return Ok(None),
            trace::Stop::Signal(signal) => signal,
            trace::Stop::Event => 0,
            trace::Stop::Call => match trace::call(pid)? {
                trace::Call::Begins(number) if number == trace::execve_number() => {
                    let why = "it becomes the program without a filter";
                    return Err(Cause::with_detail(Errno::EPROTO, why.to_owned()));
                }
                trace::Call::Begins(number) => {
                    begun = Some(number);
                    0
                }
                trace::Call::Ends(result) if begun == Some(trace::seccomp_number()) => {
                    return Ok(Some(result));
                }
                trace::Call::Ends(_) | trace::Call::None => 0,
            },
        };
        trace::go_on(pid, signal)?;
    }
}

/// Waits until init has become the program, which its `execve` may have to be answered for.
fn until_program(
    init: Waiting<'_>,
    plan: &LaunchPlan,
    attendant: &dyn Attendant,
    talk: &mut Talk<'_>,
    deadline: Option<Instant>,
) -> Result<(), LaunchError> {
    loop {
        if let Some(deadline) = deadline {
            wait(init, attendant, deadline)?;
        }
        let message = talk.hear().map_err(LaunchError::Conversation)?;
        if message == Message::Gone {
            tracing::debug!("init: closing the pipe to signal completion: it is the program");
            return Ok(());
        }
        if let Some(error) = talk.failure(plan, message) {
            return Err(error);
        }
    }
}

/// Waits until init says something. It keeps a listener of its own until it is the program, so
/// the kernel does not notice when whoever answers is gone before.
fn wait(
    init: Waiting<'_>,
    attendant: &dyn Attendant,
    deadline: Instant,
) -> Result<(), LaunchError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec::try_from(left).map_err(|_| LaunchError::Conversation(Errno::EINVAL))?;
        let mut events = vec![PollFd::from_borrowed_fd(init.socket, PollFlags::IN)];
        let ended = attendant.ended();
        events.extend(ended.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match rustix::event::poll(&mut events, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(LaunchError::Conversation(Errno::from_raw(error.raw_os_error())));
            }
            Ok(0) => return Err(LaunchError::Unanswered { seconds: PATIENCE.as_secs() }),
            Ok(_) => {
                let says = events.first().is_some_and(|event| !event.revents().is_empty());
                return if says { Ok(()) } else { Err(LaunchError::Attendant) };
            }
        }
    }
}

/// Whether a socket has something to say, or a process has ended.
fn is_readable(fd: BorrowedFd<'_>) -> bool {
    is_readable_within(fd, Duration::ZERO)
}

fn is_readable_within(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut events = [PollFd::new(&fd, PollFlags::IN)];
    let Ok(timeout) = Timespec::try_from(patience) else { return false };
    matches!(rustix::event::poll(&mut events, Some(&timeout)), Ok(ready) if ready > 0)
}

impl super::Launched {
    /// Its init, as it waits for `start`.
    #[must_use]
    pub fn waiting(&self) -> Waiting<'_> {
        Waiting { socket: self.socket.as_fd(), pid: self.pid, process: self.process.as_fd() }
    }
}
