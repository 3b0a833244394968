//! Streams of exec and attach: a WebSocket with the channels of remotecommand, version 4.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::engines::support::Place;

/// What a stream carried until its end.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The status, as JSON: `{"status":"Success"}`, or why not.
    pub(crate) status: String,
}

/// Follows the URL that the engine gave: sends `input`, and reads to the end.
///
/// A terminal is told the size first. With a terminal the input must end what was started.
pub(crate) fn exec(place: &Place, url: &str, input: &str, size: Option<(u16, u16)>) -> Ended {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let mut stream = place.connect(address);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    if let Some((rows, columns)) = size {
        let size = format!("{{\"Width\":{columns},\"Height\":{rows}}}");
        send(&mut stream, 4, size.as_bytes());
    }
    if !input.is_empty() {
        send(&mut stream, 0, input.as_bytes());
    }
    read_to_end(&mut stream)
}

/// Sends one frame of a channel, masked as clients must.
fn send(stream: &mut TcpStream, channel: u8, data: &[u8]) {
    let length = u8::try_from(data.len() + 1).unwrap();
    assert!(length < 126);
    let mask = [7, 11, 13, 17];
    let mut frame = vec![0x82, 0x80 | length];
    frame.extend_from_slice(&mask);
    let payload = std::iter::once(&channel).chain(data);
    frame.extend(payload.zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    stream.write_all(&frame).unwrap();
}

fn read_to_end(stream: &mut TcpStream) -> Ended {
    let mut ended = Ended::default();
    loop {
        let mut head = [0; 2];
        if stream.read_exact(&mut head).is_err() {
            return ended;
        }
        let length = match head[1] & 0x7f {
            126 => {
                let mut long = [0; 2];
                stream.read_exact(&mut long).unwrap();
                usize::from(u16::from_be_bytes(long))
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).unwrap();
        if head[0] & 0x0f == 8 {
            return ended;
        }
        let Some((channel, data)) = payload.split_first() else { continue };
        let text = String::from_utf8_lossy(data);
        match channel {
            1 => ended.stdout.push_str(&text),
            2 => ended.stderr.push_str(&text),
            3 => ended.status.push_str(&text),
            _ => {}
        }
    }
}
