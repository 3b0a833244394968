//! The container's terminal, handed over a socket as engines ask for it.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use serde_json::json;

use crate::support::{Bundle, Runtime};

fn terminal_bundle(line: &str) -> Bundle {
    Bundle::new()
        .set("/process/terminal", json!(true))
        .set("/process/consoleSize", json!({"height": 33, "width": 99}))
        .shell(line)
}

#[test]
fn the_engine_gets_the_master_and_the_program_its_terminal() {
    let runtime = Runtime::new();
    let bundle =
        terminal_bundle("tty; stty size; ls -l /dev/console | cut -c1; [ -t 0 ] && echo yes");
    let path = bundle.dir().join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (dir, socket) = (bundle.dir().to_str().unwrap(), path.to_str().unwrap());

    runtime.call(["create", "--console-socket", socket, "--bundle", dir, bundle.id()]).ok();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut byte = [0; 64];
    let master = casemate::sys::socket::receive_fd(stream.as_fd(), &mut byte).unwrap();
    runtime.start(&bundle).ok();

    let mut said = String::new();
    // The end of a terminal is EIO, not end of file.
    let _ = std::fs::File::from(master).read_to_string(&mut said);
    assert_eq!(said.replace('\r', ""), "/dev/pts/0\n33 99\nc\nyes\n");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_terminal_needs_a_socket_and_a_socket_a_terminal() {
    let runtime = Runtime::new();
    let said = runtime.create(&terminal_bundle("true")).failed(1);
    assert!(said.contains("--console-socket"), "{said}");

    let bundle = Bundle::new();
    let dir = bundle.dir().to_str().unwrap();
    let call = ["create", "--console-socket", "/nowhere", "--bundle", dir, bundle.id()];
    let said = runtime.call(call).failed(1);
    assert!(said.contains("/process/terminal is not true"), "{said}");
}
