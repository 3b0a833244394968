//! A connection to systemd: over the bus, or directly to it where there is no bus.
//!
//! One call after the other, each with a deadline; whatever arrives in between is either the end of
//! a job, which is kept, or of no interest. Addresses are fixed: nothing of the environment decides
//! who is asked.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

use super::BusError;
use super::message::{self, Body, FIXED_BYTES, Kind, MESSAGE_LIMIT_BYTES, Message, Method};
use crate::sys::{Errno, Result, errno, process};

/// How long an answer, or the end of a job, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of the greeting. Reference: D-Bus specification, "Authentication Protocol".
const LINE_LIMIT_BYTES: usize = 512;

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobEnd {
    pub(super) job: String,
    pub(super) result: String,
}

/// An open connection, ready for calls.
#[derive(Debug)]
pub(super) struct Bus {
    socket: OwnedFd,
    with_bus: bool,
    serial: u32,
    unread: Vec<u8>,
    ended: VecDeque<JobEnd>,
    /// Who tells of jobs, by the name that the bus gave it.
    manager: String,
}

const HELLO: Method = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};

impl Bus {
    /// Connects to the manager of the system, or of this user.
    ///
    /// # Errors
    /// [`BusError::Connect`] with the last of the sockets that was tried.
    pub(super) fn open(user: bool) -> std::result::Result<Self, BusError> {
        let uid = process::outer_uid();
        let (bus, direct) = if user {
            let run = format!("/run/user/{uid}");
            (PathBuf::from(format!("{run}/bus")), PathBuf::from(format!("{run}/systemd/private")))
        } else {
            ("/run/dbus/system_bus_socket".into(), "/run/systemd/private".into())
        };
        match Self::greet(&bus, true) {
            // No bus, or none that lets us in: systemd itself listens as well.
            Err(BusError::Connect { .. } | BusError::Refused { .. }) => Self::greet(&direct, false),
            other => other,
        }
    }

    fn greet(path: &Path, with_bus: bool) -> std::result::Result<Self, BusError> {
        let failed = |source| BusError::Connect { path: path.to_owned(), source };
        let socket = reach(path).map_err(failed)?;
        let mut bus = Self::over(socket, with_bus)?;
        if with_bus {
            bus.call(&HELLO, Body::Empty)?;
        }
        Ok(bus)
    }

    /// Greets the other side of a socket.
    pub(super) fn over(socket: OwnedFd, with_bus: bool) -> std::result::Result<Self, BusError> {
        let mut bus = Self {
            socket,
            with_bus,
            serial: 0,
            unread: Vec::new(),
            ended: VecDeque::new(),
            manager: String::new(),
        };
        // As the other side sees it.
        let uid = process::outer_uid().to_string();
        let hex: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        let deadline = Instant::now() + PATIENCE;
        // `BEGIN` goes along, and the first call only after the answer: systemd's own end forgets
        // a call that it reads together with `BEGIN` until another one comes.
        bus.send(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes(), deadline)?;
        let answer = bus.line(deadline)?;
        if !answer.starts_with("OK ") {
            return Err(BusError::Refused { answer });
        }
        Ok(bus)
    }

    /// Believes whoever sent this answer when it tells of jobs, and nobody else: any user of the
    /// host may send a signal to any name on the bus.
    pub(super) fn believe(&mut self, answer: &Message) {
        self.manager.clone_from(&answer.sender);
    }

    /// Whether there is a bus between us and systemd.
    pub(super) fn has_bus(&self) -> bool {
        self.with_bus
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`BusError::Answer`] when the answer is an error, and what else can go wrong on the way.
    pub(super) fn call(
        &mut self,
        method: &Method,
        body: Body<'_>,
    ) -> std::result::Result<Message, BusError> {
        self.serial = self.serial.wrapping_add(1).max(1);
        let deadline = Instant::now() + PATIENCE;
        self.send(&message::call(method, body, self.serial, self.with_bus), deadline)?;
        loop {
            let message = self.receive(deadline)?;
            if message.reply_to != Some(self.serial) {
                self.overhear(&message);
                continue;
            }
            match message.kind {
                Kind::Return => return Ok(message),
                Kind::Error => {
                    let text = message.texts()?.into_iter().next().unwrap_or_default();
                    return Err(BusError::Answer { name: message.error, text });
                }
                Kind::Call | Kind::Signal | Kind::Other => {}
            }
        }
    }

    /// Waits for the end of a job; gives its result, `done` when all went well.
    ///
    /// # Errors
    /// [`BusError::System`] with `ETIMEDOUT`, and what else can go wrong.
    pub(super) fn await_job(&mut self, job: &str) -> std::result::Result<String, BusError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.ended.iter().find(|end| end.job == job) {
                return Ok(end.result.clone());
            }
            let message = self.receive(deadline)?;
            self.overhear(&message);
        }
    }

    /// Keeps the end of a job: `JobRemoved(u id, o job, s unit, s result)`. What others send is
    /// passed over, whatever it says.
    fn overhear(&mut self, message: &Message) {
        let is_end = message.kind == Kind::Signal && message.member == "JobRemoved";
        if !is_end || message.sender != self.manager {
            return;
        }
        if let Ok([job, _, result]) = message.texts().as_deref() {
            // Jobs of others are told as well; a few are enough.
            const KEPT: usize = 64;
            if self.ended.len() == KEPT {
                self.ended.pop_front();
            }
            self.ended.push_back(JobEnd { job: job.clone(), result: result.clone() });
        }
    }

    fn send(&mut self, bytes: &[u8], deadline: Instant) -> std::result::Result<(), BusError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match send(&self.socket, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(io::Errno::INTR) => {}
                Err(io::Errno::AGAIN) => self.wait(PollFlags::OUT, deadline)?,
                Err(error) => return Err(errno(error).into()),
            }
        }
        Ok(())
    }

    fn line(&mut self, deadline: Instant) -> std::result::Result<String, BusError> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end.saturating_add(2)).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.unread.len() > LINE_LIMIT_BYTES {
                return Err(message::Malformed::Length.into());
            }
            self.read_more(deadline)?;
        }
    }

    fn receive(&mut self, deadline: Instant) -> std::result::Result<Message, BusError> {
        loop {
            if let Some(fixed) = self.unread.first_chunk::<FIXED_BYTES>() {
                let whole = FIXED_BYTES.saturating_add(message::rest_bytes(fixed)?);
                if let Some(bytes) = self.unread.get(..whole) {
                    let message = message::parse(bytes)?;
                    self.unread.drain(..whole);
                    return Ok(message);
                }
            }
            self.read_more(deadline)?;
        }
    }

    fn read_more(&mut self, deadline: Instant) -> std::result::Result<(), BusError> {
        if self.unread.len() > MESSAGE_LIMIT_BYTES.saturating_mul(2) {
            return Err(message::Malformed::Length.into());
        }
        self.wait(PollFlags::IN, deadline)?;
        let mut buffer = [0; 4096];
        match io::retry_on_intr(|| io::read(&self.socket, &mut buffer)) {
            Ok(0) => Err(Errno::ECONNRESET.into()),
            Ok(count) => {
                self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(errno(error).into()),
        }
    }

    fn wait(&self, what: PollFlags, deadline: Instant) -> std::result::Result<(), BusError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::ETIMEDOUT.into());
            }
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), what)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) | Err(io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(errno(error).into()),
            }
        }
    }
}

/// Connects to a socket. Reading and writing never block: each has its deadline.
fn reach(path: &Path) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(errno)?;
    let address = SocketAddrUnix::new(path).map_err(errno)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connect(&socket, &address) {
            // Its queue is full: every runtime of the host may be starting containers.
            Err(io::Errno::AGAIN) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(io::Errno::INTR) => {}
            other => return other.map(|()| socket).map_err(errno),
        }
    }
}

#[cfg(test)]
mod tests;
