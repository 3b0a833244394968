//! A client of the Container Runtime Interface, as kubelet is one: calls over the engine's socket,
//! and the streams of exec and attach.
//!
//! Calls are few and small, so curl carries them; messages are written by hand. Field numbers are
//! those of api.proto, runtime.v1.

mod message;
mod stream;

use std::fs;
use std::path::Path;

pub(crate) use message::{Fields, Message};
pub(crate) use stream::{Ended, exec as stream_exec};

use super::support::{Called, Place, call};

/// What came of a call that the engine refused: its own words, which kubelet shows as an event.
pub(crate) type Refused = String;

/// Calls a method of the service with a message.
pub(crate) fn ask(
    place: &Place,
    socket: &Path,
    method: &str,
    message: &Message,
) -> Result<Fields, Refused> {
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
