//! The container's terminal in the caller's: for `run` and `exec` by hand, where no engine takes
//! it over a socket.
//!
//! This process holds the master. What the caller types goes there, what the program prints
//! comes from there, the window's size follows the caller's, and every signal but those of the
//! terminal itself is the program's. The caller's terminal is put back on every way out.
//!
//! ```text
//! let (relay, console) = relay::new()?;       // `console` goes where a console socket would
//! …launch…
//! let mut terminal = relay.receive()?;        // before the program starts: it has its size
//! …start…
//! let ended = terminal.carry(&signals, process, pid, None)?;
//! ```

mod caller;
mod flow;
mod session;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use caller::Caller;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, SpecialCodeIndex};

use session::Session;

use super::notify::Notifier;
use super::signals::Signals;
use crate::sys::process::{self, Ended};
use crate::sys::{Result, errno, socket, terminal};

/// Where the terminal will come from.
#[derive(Debug)]
pub(super) struct Relay {
    socket: OwnedFd,
}

/// Makes a relay, and the socket that the launch sends the terminal's master to.
pub(super) fn new() -> Result<(Relay, OwnedFd)> {
    let (socket, console) = socket::pair()?;
    Ok((Relay { socket }, console))
}

impl Relay {
    /// Takes the terminal that was made. It has the size of the caller's from here on.
    pub(super) fn receive(self) -> Result<Terminal> {
        let mut message = [0; 64];
        let master = socket::receive_fd(self.socket.as_fd(), &mut message)?;
        rustix::io::ioctl_fionbio(&master, true).map_err(errno)?;
        // Held open, so that a program that closes all of its own, and opens /dev/tty later,
        // is no end of the terminal.
        let slave = terminal::open_slave(master.as_fd())?;
        let terminal = Terminal { master, slave: Some(slave) };
        if !caller::shows_all() {
            terminal.end_lines_plainly().map_err(errno)?;
        }
        terminal.resize();
        Ok(terminal)
    }
}

/// The container's terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    master: OwnedFd,
    slave: Option<OwnedFd>,
}

impl Terminal {
    /// Attaches it to the caller's until the process ends, and gives the end of that.
    ///
    /// # Errors
    /// When the caller's terminal cannot be used, or the process is not ours to wait for. The
    /// process may still run.
    pub(super) fn carry(
        self,
        signals: &Signals,
        process: BorrowedFd<'_>,
        pid: i32,
        notifier: Option<Notifier>,
    ) -> Result<Ended> {
        let caller = Caller::attach()?;
        self.resize();
        let mut session = Session::new(self, caller, signals, notifier);
        while !session.step(process)? {}
        let ended = process::wait_for(pid)?;
        session.finish();
        Ok(ended)
    }

    /// Gives it the size of the caller's, if that has one. A caller that is gone has none.
    fn resize(&self) {
        if let Some((rows, columns)) = caller::size() {
            let _ = terminal::set_size(self.master.as_fd(), rows, columns);
        }
    }

    /// Lines end with a line feed alone: the reader is no terminal, or one that adds the rest.
    fn end_lines_plainly(&self) -> rustix::io::Result<()> {
        let mut modes = rustix::termios::tcgetattr(&self.master)?;
        modes.output_modes -= OutputModes::ONLCR;
        rustix::termios::tcsetattr(&self.master, OptionalActions::Now, &modes)
    }

    /// The character that a reader of lines takes for the end of input; none where bytes are
    /// read as they come.
    fn end_of_input(&self) -> Option<u8> {
        let modes = rustix::termios::tcgetattr(&self.master).ok()?;
        let end = modes.special_codes[SpecialCodeIndex::VEOF];
        modes.local_modes.contains(LocalModes::ICANON).then_some(end)
    }

    /// Lets go of the program's side, so that the end of what it wrote can be seen.
    fn expect_end(&mut self) {
        self.slave = None;
    }
}
