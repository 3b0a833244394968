//! A program with a terminal: for an engine, and for a person.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::{exec, sleeper, words};
use crate::support::{Runtime, patience};

const SHOW: &str = "tty; stty size; stat -c %u $(tty); [ -t 0 ] && [ -t 2 ] && : > /dev/tty && echo \
                    yes; ls -l /dev/console 2>&1 | grep -c console";

// rows: exec.--console-socket, process.terminal, process.consoleSize
// rows: exec.--tty
#[test]
fn the_engine_gets_the_master_and_the_program_its_terminal() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let path = bundle.dir().join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let file = bundle.dir().join("process.json");
    let document = json!({
        "terminal": true, "consoleSize": {"height": 33, "width": 99},
        "user": {"uid": 1000, "gid": 1000}, "cwd": "/", "args": ["/bin/sh", "-c", SHOW],
        "env": ["PATH=/bin"],
    });
    std::fs::write(&file, document.to_string()).unwrap();
    let options = [
        "--detach",
        "--console-socket",
        path.to_str().unwrap(),
        "--process",
        file.to_str().unwrap(),
    ];

    exec(&runtime, &bundle, &options, &[]).ok();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(patience(Duration::from_secs(5)))).unwrap();
    let mut byte = [0; 64];
    let master = casemate::sys::socket::receive_fd(stream.as_fd(), &mut byte).unwrap();

    let mut said = String::new();
    // The end of a terminal is EIO, not end of file.
    let _ = std::fs::File::from(master).read_to_string(&mut said);
    let (shown, last) = said.trim_end().rsplit_once("\r\n").unwrap();
    assert_eq!(shown.replace('\r', ""), "/dev/pts/0\n33 99\n1000\nyes", "{said}");
    assert!(last == "0" || last == "1", "{said}");
}

// rows: exec.--tty
#[test]
fn by_hand_the_command_carries_the_terminal_itself() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let mut command =
        runtime.command(words(&bundle, &["-t"], &["sh", "-c", "tty; read a; echo got $a; exit 3"]));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();

    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"words\n").unwrap();
    let output = child.wait_with_output().unwrap();

    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    // The echo of what was typed comes when it was typed: that may be at once.
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["/dev/pts/0", "got words", "words"]);
}

#[test]
fn who_detaches_needs_a_socket_and_a_socket_needs_a_terminal_and_somebody_who_detaches() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    for (options, words) in [
        (&["-d", "-t"][..], "detach without setting console socket"),
        (
            &["-t", "--console-socket", "/x"],
            "cannot use console socket if casemate will not detach",
        ),
        (
            &["-d", "--console-socket", "/x"],
            "cannot use console socket if casemate will not allocate",
        ),
        (&["-d", "-t", "--console-socket", "/x"], "connect to the console socket /x: ENOENT"),
    ] {
        let said = exec(&runtime, &bundle, options, &["true"]).failed(255);

        assert!(said.contains(words), "{options:?}: {said}");
    }
}
