//! Receives the calls that filters hold up, answers them, and notes them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::output::Output;
use super::report::report;
use super::trace::{Program, Trace, Why};
use crate::seccomp::{self, Abi, Action, Basis, Call, SeccompError, Watch};
use crate::sys::notify::{self, Answer, Notification};
use crate::sys::{Errno, Result, socket};

/// How often the report is written, at most.
const PAUSE: Duration = Duration::from_millis(100);

/// How long whoever connects may take to hand a listener over.
const PATIENCE: Duration = Duration::from_secs(1);

/// `EPERM`: for what should never be asked.
const EPERM: u16 = 1;

/// Answers the calls of one container, or of one command.
#[derive(Debug)]
pub struct Watcher {
    of: String,
    basis: Basis,
    native: Abi,
    /// What decides.
    effective: Vec<seccomp::Instruction>,
    listeners: Vec<OwnedFd>,
    /// Where more listeners arrive.
    control: Option<OwnedFd>,
    trace: Trace,
    /// Where the report is kept while the container lives.
    log: Option<Output>,
    /// When the report is next to be written, if it has changed.
    due: Option<Instant>,
    written: Option<Instant>,
}

/// What there is after a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// For each of the other descriptors, whether it has something.
    pub ready: Vec<bool>,
    /// Whether somebody could still make a call.
    pub lives: bool,
}

impl Watcher {
    /// A watcher for filters made of `basis`, which answers as the kernel whose own ABI is
    /// `native` would; `of` is whom its report is about.
    ///
    /// # Errors
    /// What the compiler says of the profile.
    pub fn new(of: &str, basis: Basis, native: Abi) -> std::result::Result<Self, SeccompError> {
        // The same whatever is watched: only the program to load differs.
        let watched = basis.with_request(native, |request| seccomp::watch(request, Watch::All))?;
        let effective = watched.map(|watched| watched.effective.instructions).unwrap_or_default();
        Ok(Self {
            of: of.to_owned(),
            basis,
            native,
            effective,
            listeners: Vec::new(),
            control: None,
            trace: Trace::default(),
            log: None,
            due: None,
            written: None,
        })
    }

    /// Keeps a report here while it watches.
    pub fn keep_log(&mut self, log: Output) {
        self.log = Some(log);
    }

    /// Takes more listeners from whoever connects here: a sequence of messages, one descriptor
    /// with each.
    pub fn take_more_from(&mut self, control: OwnedFd) {
        self.control = Some(control);
    }

    /// Answers the calls of one more filter.
    pub fn add(&mut self, listener: OwnedFd) {
        // Before Linux 6.6 it is slower, and that is all.
        let _ = notify::wake_in_turn(listener.as_fd());
        self.listeners.push(listener);
    }

    /// Its listeners, and where more arrive.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let log = self.log.as_ref().map(Output::dir);
        self.listeners.iter().chain(&self.control).map(AsFd::as_fd).chain(log)
    }

    /// Whom its report is about.
    #[must_use]
    pub fn of(&self) -> &str {
        &self.of
    }

    /// What was seen so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Waits until something happens to the listeners or to `others`, for at most `patience`, and
    /// answers what is asked.
    ///
    /// # Errors
    /// What poll(2) says, but not `EINTR`.
    pub fn wait(
        &mut self,
        others: &[BorrowedFd<'_>],
        patience: Option<Duration>,
    ) -> Result<Waited> {
        let due = self.due.map(|due| due.saturating_duration_since(Instant::now()));
        let patience = patience.into_iter().chain(due).min();
        let timeout = patience.map(Timespec::try_from).transpose().map_err(|_| Errno::EINVAL)?;
        let own: Vec<_> = self.listeners.iter().chain(&self.control).map(AsFd::as_fd).collect();
        let all = own.iter().chain(others);
        let mut events: Vec<_> =
            all.map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let found: Vec<PollFlags> = match rustix::event::poll(&mut events, timeout.as_ref()) {
            Ok(_) => events.iter().map(PollFd::revents).collect(),
            Err(rustix::io::Errno::INTR) => vec![PollFlags::empty(); events.len()],
            Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
        };
        let (own, others) = found.split_at(own.len());
        let ready = others.iter().map(|found| !found.is_empty()).collect();
        let own = own.to_vec();
        self.serve(&own);
        self.write_log_if_due();
        Ok(Waited { ready, lives: !self.listeners.is_empty() })
    }

    fn serve(&mut self, found: &[PollFlags]) {
        let (listeners, control) = found.split_at(self.listeners.len().min(found.len()));
        for (place, found) in listeners.iter().enumerate() {
            if found.contains(PollFlags::IN) {
                self.answer(place);
            }
        }
        // Nobody is left who could ask: the listener has no more use.
        let mut found = listeners.iter();
        self.listeners.retain(|_| {
            let found = found.next().copied().unwrap_or(PollFlags::empty());
            found.contains(PollFlags::IN) || !found.intersects(PollFlags::HUP | PollFlags::ERR)
        });
        if control.iter().any(|found| found.contains(PollFlags::IN)) {
            self.take_one();
        }
    }

    /// Takes a listener from whoever connected. Who may is decided by the socket's directory.
    fn take_one(&mut self) {
        let Some(control) = &self.control else { return };
        let Ok(connection) = socket::accept(control.as_fd()) else { return };
        let timeout = Timespec::try_from(PATIENCE).ok();
        let mut events = [PollFd::new(&connection, PollFlags::IN)];
        if !matches!(rustix::event::poll(&mut events, timeout.as_ref()), Ok(ready) if ready > 0) {
            return;
        }
        let mut byte = [0; 1];
        let Ok(listener) = socket::receive_fd(connection.as_fd(), &mut byte) else { return };
        if notify::is_listener(listener.as_fd()) {
            self.add(listener);
            // Only now may the new process go on.
            let _ = socket::send(connection.as_fd(), b"k");
        }
    }

    /// Answers one call, if its caller still waits.
    fn answer(&mut self, place: usize) {
        let Some(listener) = self.listeners.get(place) else { return };
        let Ok(asked) = notify::receive(listener.as_fd()) else { return };
        let call = Call {
            nr: asked.nr,
            arch: asked.arch,
            instruction_pointer: asked.instruction_pointer,
            args: asked.args,
        };
        let answer = match seccomp::interpret(&self.effective, &call) {
            Ok(action) if action.is_permissive() => {
                // Looked at while it waits: afterwards it may be another program.
                self.trace.permit(&call, || Program::of(asked.pid));
                Answer::Continue
            }
            Ok(Action::Errno(number)) => {
                self.note_refusal(&asked, &call, number);
                Answer::Fail(number)
            }
            // The kernel would not have asked.
            Ok(_) | Err(_) => Answer::Fail(EPERM),
        };
        if let Some(listener) = self.listeners.get(place) {
            let _ = notify::answer(listener.as_fd(), asked.id, answer);
        }
    }

    fn note_refusal(&mut self, asked: &Notification, call: &Call, number: u16) {
        let (basis, native) = (&self.basis, self.native);
        let why = || {
            let judged = basis.with_request(native, |request| seccomp::judge(request, call));
            let case = judged.ok().flatten().map(|judged| judged.case);
            case.map_or_else(Why::default, |case| Why {
                by: case.by,
                because: case.because,
                hint: case.hint,
            })
        };
        let who = (asked.pid, Program::of(asked.pid));
        self.trace.refuse((call, number), who, SystemTime::now(), why);
        if self.log.is_some() && self.due.is_none() {
            let now = Instant::now();
            self.due = Some(self.written.map_or(now, |written| now.max(written + PAUSE)));
        }
    }

    fn write_log_if_due(&mut self) {
        let now = Instant::now();
        if self.due.is_some_and(|due| due <= now) {
            self.write_log();
            (self.due, self.written) = (None, Some(now));
        }
    }

    /// Writes the report as it is now. It is best effort: what a container may do does not
    /// depend on it.
    pub fn write_log(&self) {
        if let Some(log) = &self.log {
            let _ = log.write(&report(&self.of, &self.trace).to_json());
        }
    }
}
