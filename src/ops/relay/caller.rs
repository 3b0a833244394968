//! The caller's side: standard input, standard output, and the terminal that they may be. It is
//! raw while the container's is attached to it, and as it was before at the end.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::termios::{OptionalActions, OutputModes, Termios};

use super::errno;
use crate::ops::signals;
use crate::sys::Result;

/// Where the caller's bytes come from and go to.
#[derive(Debug)]
pub(super) struct Caller {
    input: Option<std::io::Stdin>,
    output: OwnedFd,
    /// How its terminal was, if it was made raw.
    before: Option<Termios>,
}

impl Caller {
    /// Makes the caller's terminal raw, if standard input is one.
    ///
    /// In the background the kernel stops this process here until it is brought to the
    /// foreground, as it does with every program that wants the terminal for itself.
    pub(super) fn attach() -> Result<Self> {
        let stdin = std::io::stdin();
        let before = stdin.is_terminal().then(|| rustix::termios::tcgetattr(&stdin)).transpose();
        let before = before.map_err(errno)?;
        let caller = Self { input: Some(stdin), output: output().map_err(errno)?, before };
        signals::release_job_control()?;
        caller.make_raw()?;
        Ok(caller)
    }

    /// Makes the terminal raw: again, after a shell had it meanwhile.
    pub(super) fn make_raw(&self) -> Result<()> {
        let Some(before) = &self.before else { return Ok(()) };
        let mut raw = before.clone();
        raw.make_raw();
        if !shows_all() {
            // Somebody else's output is on it, who counts on its line ends.
            let keep = before.output_modes & OutputModes::OPOST;
            raw.output_modes |= keep;
        }
        rustix::termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).map_err(errno)
    }

    /// Where input comes from, until it has ended.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(AsFd::as_fd)
    }

    /// Whether input comes from a terminal.
    pub(super) fn has_terminal(&self) -> bool {
        self.before.is_some()
    }

    /// There is no more input.
    pub(super) fn end_input(&mut self) {
        self.input = None;
    }

    /// Where output goes.
    pub(super) fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

/// Whether what the container's terminal gives is shown as it comes, line ends included: by a
/// terminal that is made raw.
pub(super) fn shows_all() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The size of the terminal that the caller looks at, in rows and columns. It may be one
/// although standard input is none.
pub(super) fn size() -> Option<(u16, u16)> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
        .into_iter()
        .find_map(|stream| rustix::termios::tcgetwinsize(stream).ok())
        .map(|size| (size.ws_row, size.ws_col))
        .filter(|size| *size != (0, 0))
}

impl Drop for Caller {
    fn drop(&mut self) {
        let Some(before) = &self.before else { return };
        // From the background too: to be stopped now would help nobody.
        let _ = signals::hold_job_control();
        let _ = rustix::termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before);
    }
}

/// Standard output, as a description of our own that never blocks where that can be had: a
/// caller that does not read must not keep signals from the container.
///
/// Only of terminals and pipes: a file opened again would be written from its beginning.
fn output() -> rustix::io::Result<OwnedFd> {
    let stdout = std::io::stdout();
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&stdout)?.st_mode);
    if kind == FileType::Fifo || stdout.is_terminal() {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if let Ok(own) = rustix::fs::open(c"/proc/self/fd/1", flags, Mode::empty()) {
            return Ok(own);
        }
    }
    rustix::io::fcntl_dupfd_cloexec(&stdout, 3)
}
