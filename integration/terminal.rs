//! The container's terminal: handed over a socket as engines ask for it, and carried by `run`
//! itself for a person.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;

use crate::support::{Bundle, Runtime, patience};

fn terminal_bundle(line: &str) -> Bundle {
    Bundle::new()
        .set("/process/terminal", json!(true))
        .set("/process/consoleSize", json!({"height": 33, "width": 99}))
        .shell(line)
}

// rows: create.--console-socket
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
    stream.set_read_timeout(Some(patience(Duration::from_secs(5)))).unwrap();
    let mut byte = [0; 64];
    let master = casemate::sys::socket::receive_fd(stream.as_fd(), &mut byte).unwrap();
    runtime.start(&bundle).ok();

    let mut said = String::new();
    // The end of a terminal is EIO, not end of file.
    let _ = File::from(master).read_to_string(&mut said);
    assert_eq!(said.replace('\r', ""), "/dev/pts/0\n33 99\nc\nyes\n");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn who_detaches_needs_a_socket_and_a_socket_needs_a_terminal_and_to_detach() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("true");
    let dir = bundle.dir().to_str().unwrap();
    for call in [&["create"][..], &["run", "--detach"]] {
        let said = runtime.call(call.iter().chain(&["--bundle", dir, bundle.id()])).failed(1);
        assert!(said.contains("detach without setting console socket"), "{said}");
    }
    let call = ["run", "--console-socket", "/nowhere", "--bundle", dir, bundle.id()];
    let said = runtime.call(call).failed(1);
    assert!(said.contains("cannot use console socket if casemate will not detach"), "{said}");

    let bundle = Bundle::new();
    let dir = bundle.dir().to_str().unwrap();
    for verb in ["create", "run"] {
        let call = [verb, "--console-socket", "/nowhere", "--bundle", dir, bundle.id()];
        let said = runtime.call(call).failed(1);
        assert!(said.contains("/process/terminal is not true"), "{said}");
    }
}

// rows: run.--detach
#[test]
fn a_detached_run_hands_its_terminal_over_too() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("stty size; exec sleep 60");
    let path = bundle.dir().join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (dir, socket) = (bundle.dir().to_str().unwrap(), path.to_str().unwrap());

    let call = ["run", "-d", "--console-socket", socket, "--bundle", dir, bundle.id()];
    runtime.call(call).ok();

    let (stream, _) = listener.accept().unwrap();
    let mut byte = [0; 64];
    let master = casemate::sys::socket::receive_fd(stream.as_fd(), &mut byte).unwrap();
    let mut said = [0; 7];
    File::from(master).read_exact(&mut said).unwrap();
    assert_eq!(&said, b"33 99\r\n");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

/// A person's window: a terminal of the test's own, with `casemate run` in it.
struct Window {
    master: File,
    slave: OwnedFd,
    before: Termios,
    child: Child,
    shown: String,
}

impl Window {
    fn open(runtime: &Runtime, bundle: &Bundle) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        resize(&master, 24, 80);
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let call = runtime.command(["run", "--bundle", bundle.dir().to_str().unwrap()]);
        // The terminal is the controlling one of a session of its own, as in a window.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(call.get_program()).args(call.get_args()).arg(bundle.id());
        let stream = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let child = command.spawn().unwrap();
        Self { master: File::from(master), slave, before, child, shown: String::new() }
    }

    /// Waits until this is shown, and forgets all before it.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + patience(Duration::from_secs(20));
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.shown);
            let mut bytes = [0; 4096];
            match self.master.read(&mut bytes) {
                Ok(got) => self.shown.push_str(&String::from_utf8_lossy(&bytes[..got])),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Waits for the end, and makes sure that the terminal is as it was before.
    fn ended(mut self) -> Option<i32> {
        let deadline = Instant::now() + patience(Duration::from_secs(20));
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(2));
        };
        let after = tcgetattr(&self.slave).unwrap();
        let modes =
            |of: &Termios| (of.input_modes, of.output_modes, of.control_modes, of.local_modes);
        assert_eq!(modes(&after), modes(&self.before));
        status
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

#[test]
fn what_is_typed_reaches_the_program_and_its_echo_comes_from_inside() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("echo ready; read line; echo \"<$line>\"; exit 7");
    let mut window = Window::open(&runtime, &bundle);

    // Line ends are the inner terminal's: exactly one carriage return each.
    window.wait_for("ready\r\n");
    assert!(window.is_raw());
    window.type_in("hello\r");
    window.wait_for("hello\r\n<hello>\r\n");

    assert_eq!(window.ended(), Some(7));
}

#[test]
fn the_window_has_one_size_inside_and_outside() {
    let runtime = Runtime::new();
    let line = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done";
    let bundle = terminal_bundle(line);
    let mut window = Window::open(&runtime, &bundle);

    window.wait_for("24 80\r\nready");
    resize(&window.master, 50, 132);
    window.wait_for("50 132\r\n");

    assert_eq!(window.ended(), Some(0));
}

#[test]
fn an_interrupt_from_the_keyboard_is_the_programs() {
    let runtime = Runtime::new();
    let line = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done";
    let bundle = terminal_bundle(line);
    let mut window = Window::open(&runtime, &bundle);

    window.wait_for("ready");
    window.type_in("\x03");
    window.wait_for("caught");

    assert_eq!(window.ended(), Some(9));
}

#[test]
fn the_terminal_is_put_back_when_the_container_is_killed() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("echo ready; exec sleep 60");
    let mut window = Window::open(&runtime, &bundle);
    window.wait_for("ready");
    assert!(window.is_raw());

    runtime.kill(&bundle, "KILL").ok();

    assert_eq!(window.ended(), Some(137));
}

#[test]
fn the_terminal_is_put_back_when_the_caller_is_told_to_end() {
    let runtime = Runtime::new();
    let line = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let bundle = terminal_bundle(line);
    let mut window = Window::open(&runtime, &bundle);
    window.wait_for("ready");

    let caller = rustix::process::Pid::from_child(&window.child);
    rustix::process::kill_process(caller, rustix::process::Signal::TERM).unwrap();

    assert_eq!(window.ended(), Some(5));
}

#[test]
fn the_terminal_is_left_alone_when_the_program_cannot_be_started() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("true").args(["/bin/nothing"]);
    let mut window = Window::open(&runtime, &bundle);

    window.wait_for("no such file or directory");

    assert_eq!(window.ended(), Some(1));
}

#[test]
fn all_output_arrives_also_where_it_is_no_terminal() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("seq 1 200000; echo end >&2");

    let said = runtime.run(&bundle).ok();

    let expected: String =
        (1..=200_000).map(|number| format!("{number}\n")).collect::<String>() + "end\n";
    assert_eq!(said.len(), expected.len());
    assert!(said == expected, "what arrived differs from what was written");
}

#[test]
fn input_that_is_no_terminal_has_an_end() {
    let runtime = Runtime::new();
    for (typed, counted) in [("one\ntwo\n", "8\n"), ("one\ntwo", "7\n"), ("", "0\n")] {
        let bundle = terminal_bundle("wc -c");
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
        let (from, mut into) = std::io::pipe().unwrap();
        into.write_all(typed.as_bytes()).unwrap();
        drop(into);
        command.stdin(from);

        let said = runtime.finish(command).ok();

        assert!(said.ends_with(counted), "{typed:?}: {said:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_a_hang_up() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("exec yes");
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 4];

    child.stdout.take().unwrap().read_exact(&mut said).unwrap();

    assert_eq!(&said, b"y\ny\n");
    // Its own write fails, and it says so by its status.
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_window_that_is_closed_is_a_hang_up() {
    let runtime = Runtime::new();
    let bundle = terminal_bundle("stty raw; echo ready; cat; echo ended > /volume/ended");
    let volume = bundle.dir().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let bundle = bundle.mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"]);
    let mut window = Window::open(&runtime, &bundle);
    window.wait_for("ready");

    let (null, slave) = (File::open("/dev/null").unwrap(), File::open("/dev/null").unwrap());
    (window.master, window.slave) = (null, OwnedFd::from(slave));

    let deadline = Instant::now() + patience(Duration::from_secs(20));
    while window.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(volume.join("ended").exists());
}

#[test]
fn the_size_of_the_bundle_holds_where_the_caller_has_none() {
    let runtime = Runtime::new();

    let said = runtime.run(&terminal_bundle("stty size")).ok();

    assert_eq!(said, "33 99\n");
}
