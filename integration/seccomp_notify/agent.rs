//! A seccomp agent, as an engine would run one: it gets listeners over a socket, and answers.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use casemate::sys::notify::{self, Answer, Notification};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::Value;

/// An agent, listening.
pub(super) struct Agent {
    socket: PathBuf,
    told: Receiver<Value>,
}

impl Agent {
    /// Listens on a socket in `dir`, and answers every call as `decide` says.
    pub(super) fn new(dir: &Path, decide: fn(&Notification) -> Answer) -> Self {
        let socket = dir.join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (tell, told) = channel();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (state, listener) = receive(&connection.unwrap());
                if tell.send(state).is_err() {
                    return;
                }
                thread::spawn(move || answer_all(&listener, decide));
            }
        });
        Self { socket, told }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The container process state of the next container.
    pub(super) fn told(&self) -> Value {
        self.told.recv_timeout(crate::support::patience(Duration::from_secs(10))).unwrap()
    }
}

impl Agent {
    /// Whether it was given nothing that nobody has asked for yet.
    pub(super) fn told_nothing(&self) -> bool {
        self.told.try_recv().is_err()
    }
}

/// One message with one descriptor, and then the end.
fn receive(connection: &UnixStream) -> (Value, OwnedFd) {
    let mut bytes = vec![0; 1 << 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = rustix::net::recvmsg(connection, &mut data, &mut control, flags).unwrap();
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    assert_eq!(fds.len(), 1);
    let state = serde_json::from_slice(&bytes[..got.bytes]).unwrap();
    assert_eq!(rustix::io::read(connection, &mut [0; 1]), Ok(0), "more than one message");
    (state, fds.pop().unwrap())
}

fn answer_all(listener: &OwnedFd, decide: fn(&Notification) -> Answer) {
    loop {
        let mut events = [PollFd::new(listener, PollFlags::IN)];
        poll(&mut events, None).unwrap();
        if events[0].revents().contains(PollFlags::HUP) {
            return;
        }
        if let Ok(asked) = notify::receive(listener.as_fd()) {
            let _ = notify::answer(listener.as_fd(), asked.id, decide(&asked));
        }
    }
}
