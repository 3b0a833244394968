//! The two terminals while they are attached: what is waited for, and what is done then.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::caller::Caller;
use super::flow::{Flow, Moved};
use super::{Terminal, errno};
use crate::ops::notify::Notifier;
use crate::ops::signals::{self, Signals};
use crate::sys::Result;

/// What there is to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Process,
    Signals,
    Input,
    Output,
    Master,
    Notifier,
}

/// Two terminals that are attached to each other.
pub(super) struct Session<'a> {
    /// `None` once it has ended, or was hung up because nobody reads what it gives.
    terminal: Option<Terminal>,
    caller: Caller,
    /// From the caller to the program.
    input: Flow,
    /// From the program to the caller.
    output: Flow,
    /// Whether what was typed so far ends with a complete line.
    begins_line: bool,
    signals: &'a Signals,
    notifier: Option<Notifier>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        terminal: Terminal,
        caller: Caller,
        signals: &'a Signals,
        notifier: Option<Notifier>,
    ) -> Self {
        let (input, output) = (Flow::new(), Flow::new());
        let terminal = Some(terminal);
        Self { terminal, caller, input, output, begins_line: true, signals, notifier }
    }

    /// Waits once, and does what can be done then; `true` once the process has ended.
    pub(super) fn step(&mut self, process: BorrowedFd<'_>) -> Result<bool> {
        let ready = self.wait(Some(process), None)?;
        if ready.contains(&Side::Signals) {
            self.attend(process);
        }
        if let Some(notifier) = &mut self.notifier {
            notifier.serve();
        }
        self.carry(&ready);
        Ok(ready.contains(&Side::Process))
    }

    /// The process has ended: carries the rest of what was printed. Whoever else has the
    /// terminal open is not waited for.
    pub(super) fn finish(&mut self) {
        self.caller.end_input();
        self.input = Flow::new();
        if let Some(terminal) = &mut self.terminal {
            terminal.expect_end();
        }
        while self.terminal.is_some() || !self.output.is_empty() {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let patience = if self.output.is_empty() { Some(&now) } else { None };
            let Ok(ready) = self.wait(None, patience) else { return };
            let wants_end = ready.contains(&Side::Signals) && self.signals.says_end();
            if ready.is_empty() || wants_end {
                return;
            }
            self.carry(&ready);
        }
    }

    fn wait(
        &self,
        process: Option<BorrowedFd<'_>>,
        patience: Option<&Timespec>,
    ) -> Result<Vec<Side>> {
        let wanted = self.wanted(process);
        let mut events: Vec<_> =
            wanted.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        match rustix::event::poll(&mut events, patience) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(vec![Side::Signals]),
            Err(error) => return Err(errno(error)),
        }
        let ready = wanted.iter().zip(&events).filter(|(_, event)| !event.revents().is_empty());
        Ok(ready.map(|((side, ..), _)| *side).collect())
    }

    /// Only what can be acted on: a descriptor that has ended would wake us for ever.
    fn wanted<'fd>(
        &'fd self,
        process: Option<BorrowedFd<'fd>>,
    ) -> Vec<(Side, BorrowedFd<'fd>, PollFlags)> {
        let (reads, writes) = (PollFlags::IN, PollFlags::OUT);
        let mut wanted = vec![(Side::Signals, self.signals.as_fd(), reads)];
        wanted.extend(process.map(|process| (Side::Process, process, reads)));
        let listens = self.notifier.as_ref().filter(|_| process.is_some());
        wanted.extend(listens.map(|notifier| (Side::Notifier, notifier.as_fd(), reads)));
        if let Some(input) = self.caller.input().filter(|_| self.input.is_empty()) {
            wanted.push((Side::Input, input, reads));
        }
        if !self.output.is_empty() {
            wanted.push((Side::Output, self.caller.output(), writes));
        }
        let takes = if self.input.is_empty() { PollFlags::empty() } else { writes };
        let gives = if self.output.is_empty() { reads } else { PollFlags::empty() };
        if let Some(terminal) = self.terminal.as_ref().filter(|_| !(takes | gives).is_empty()) {
            wanted.push((Side::Master, terminal.master.as_fd(), takes | gives));
        }
        wanted
    }

    /// Moves bytes, where there are any and they can go.
    fn carry(&mut self, ready: &[Side]) {
        let is_ready = |side: Side| ready.contains(&side);
        if is_ready(Side::Output) && self.output.drain(self.caller.output()) == Moved::Ended {
            return self.hang_up();
        }
        if is_ready(Side::Input) {
            self.read_input();
        }
        let Some(terminal) = self.terminal.as_ref().filter(|_| is_ready(Side::Master)) else {
            return;
        };
        if !self.input.is_empty() && self.input.drain(terminal.master.as_fd()) == Moved::Ended {
            self.input = Flow::new();
        }
        if self.output.is_empty() && self.output.fill(terminal.master.as_fd()) == Moved::Ended {
            self.terminal = None;
        }
    }

    fn read_input(&mut self) {
        let Some(input) = self.caller.input() else { return };
        if self.input.fill(input) == Moved::Goes {
            if let Some(last) = self.input.last() {
                self.begins_line = last == b'\n';
            }
            return;
        }
        self.caller.end_input();
        if self.caller.has_terminal() {
            // Its window was closed.
            return self.hang_up();
        }
        if let Some(end) = self.terminal.as_ref().and_then(Terminal::end_of_input) {
            // In the middle of a line, the first one only ends the line.
            let ends = [end, end];
            self.input.put(if self.begins_line { &ends[..1] } else { &ends });
        }
    }

    /// Nobody reads any more: the program is told as if the line had been cut.
    fn hang_up(&mut self) {
        self.terminal = None;
        self.output = Flow::new();
    }

    fn attend(&self, process: BorrowedFd<'_>) {
        while let Some(signal) = self.signals.next() {
            if signal == libc::SIGWINCH {
                if let Some(terminal) = &self.terminal {
                    terminal.resize();
                }
                continue;
            }
            if signal == libc::SIGCONT {
                let _ = self.caller.make_raw();
            }
            signals::forward(process, signal);
        }
    }
}
