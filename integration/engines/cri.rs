//! A client of the Container Runtime Interface, as kubelet is one: calls over the engine's socket,
//! and the streams of exec and attach.
//!
//! Calls are few and small, so curl carries them; messages are written by hand. Field numbers are
//! those of api.proto, runtime.v1.

mod message;
mod pod;
mod stream;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use message::{Fields, Message};
pub(crate) use pod::{IMAGE, Pod};
pub(crate) use stream::Ended;
use stream::exec as stream_exec;

use super::support::{Called, Place, call};

/// What came of a call that the engine refused: its own words, which kubelet shows as an event.
pub(crate) type Refused = String;

/// An engine that serves the interface.
pub(crate) trait Service {
    /// Where it runs.
    fn place(&self) -> &Place;

    /// Where it listens.
    fn socket(&self) -> PathBuf;

    /// A call.
    fn ask(&self, method: &str, message: &Message) -> Result<Fields, Refused> {
        ask(self.place(), &self.socket(), method, message)
    }

    /// A call that must work.
    #[track_caller]
    fn must(&self, method: &str, message: &Message) -> Fields {
        self.ask(method, message).unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// A command in a container, waited for: as probes are made. Output, errors, exit status.
    #[track_caller]
    fn exec(&self, id: &str, command: &[&str]) -> (String, String, u64) {
        let message = Message::new().text(1, id).texts(2, command).number(3, 60);
        let said = self.must("ExecSync", &message);
        (said.text(1), said.text(2), said.number(3))
    }

    /// A command in a container, streamed: as `kubectl exec` does it.
    #[track_caller]
    fn exec_stream(&self, id: &str, command: &[&str], tty: Terminal, input: &str) -> Ended {
        let message = Message::new()
            .text(1, id)
            .texts(2, command)
            .number(3, u64::from(tty == Terminal::Yes))
            .number(4, u64::from(!input.is_empty()))
            .number(5, 1)
            .number(6, u64::from(tty == Terminal::No));
        let url = self.must("Exec", &message).text(1);
        let size = (tty == Terminal::Yes).then_some((33, 111));
        stream_exec(self.place(), &url, input, size)
    }

    /// The state of a container: 0 created, 1 running, 2 exited; and its exit status.
    fn state(&self, id: &str) -> (u64, u64) {
        let said = self.must("ContainerStatus", &Message::new().text(1, id)).message(1);
        (said.number(3), said.number(7))
    }

    /// Stops and removes a sandbox.
    fn end_sandbox(&self, id: &str) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            self.must(method, &Message::new().text(1, id));
        }
    }

    /// Stops and removes what there is.
    fn end_all(&self) {
        let all = self.ask("ListPodSandbox", &Message::new()).unwrap_or_default();
        for sandbox in all.messages(1) {
            let id = Message::new().text(1, &sandbox.text(1));
            let _ = self.ask("StopPodSandbox", &id);
            let _ = self.ask("RemovePodSandbox", &id);
        }
    }
}

/// Whether a stream is of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    Yes,
    No,
}

/// Calls a method of the service with a message.
fn ask(place: &Place, socket: &Path, method: &str, message: &Message) -> Result<Fields, Refused> {
    let dir = tempfile::tempdir_in(place.dir()).unwrap();
    let path = |name| dir.path().join(name);
    let bytes = message.bytes();
    let mut request = vec![0];
    request.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
    request.extend_from_slice(bytes);
    fs::write(path("request"), request).unwrap();
    let mut command = place.command("curl");
    command.args(["-sS", "--http2-prior-knowledge", "-X", "POST", "--max-time", "100"]);
    command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
    command.arg("--unix-socket").arg(socket);
    command.arg("--data-binary").arg(format!("@{}", path("request").display()));
    command.arg("-D").arg(path("headers")).arg("-o").arg(path("body"));
    command.arg(format!("http://localhost/runtime.v1.RuntimeService/{method}"));
    let called: Called = call(&mut command);
    assert_eq!(called.status, Some(0), "{method}: {called:?}");
    let headers = fs::read_to_string(path("headers")).unwrap();
    let header = |name: &str| {
        headers.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned()
    };
    if header("grpc-status:") != "0" {
        return Err(unescape(&header("grpc-message:")));
    }
    let body = fs::read(path("body")).unwrap_or_default();
    Ok(Fields::read(body.get(5..).unwrap_or_default()))
}

/// Takes percent signs out of a message.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
