//! A service that says when it is ready: `NOTIFY_SOCKET`, sd_notify(3).

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Bundle, Runtime, Snapshot, patience};

/// The other side: a manager of services that waits for words.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(dir: &Path) -> Self {
        let path = dir.join("manager.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { socket, path }
    }

    /// The next word; a pipe that came with it is closed. None if there is none for a while.
    fn next(&self) -> Option<String> {
        let mut message = [0; 4096];
        match casemate::sys::socket::receive_maybe_fd(self.socket.as_fd(), &mut message) {
            Ok((got, _)) => Some(String::from_utf8_lossy(&message[..got]).into_owned()),
            Err(casemate::sys::Errno::EAGAIN) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Waits for a word that begins so.
    fn wait_for(&self, begin: &str) -> String {
        let deadline = Instant::now() + patience(Duration::from_secs(15));
        loop {
            if let Some(word) = self.next()
                && word.starts_with(begin)
            {
                return word;
            }
            assert!(Instant::now() < deadline, "no word of {begin:?}");
        }
    }
}

/// A bundle whose program can say something; `None` without a C compiler.
fn speaking(line: &str) -> Option<Bundle> {
    let bundle = Bundle::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/notification/say.c");
    let program = bundle.rootfs().join("bin/say");
    let built = Command::new("cc").args(["-static", source, "-o"]).arg(&program).status();
    if !built.is_ok_and(|status| status.success()) {
        println!("skipped, because there is no C compiler that links statically");
        return None;
    }
    Some(bundle.shell(line))
}

fn spawn(runtime: &Runtime, words: &[&str], bundle: &Bundle, manager: &Manager) -> Child {
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(words.iter().copied().chain(["--bundle", dir, bundle.id()]));
    command.env("NOTIFY_SOCKET", &manager.path);
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Also before there is a container.
fn wait_until_running(runtime: &Runtime, bundle: &Bundle) {
    let deadline = Instant::now() + patience(Duration::from_secs(15));
    loop {
        let ran = runtime.call(["state", bundle.id()]);
        if ran.stdout.contains("\"running\"") {
            return;
        }
        assert!(Instant::now() < deadline, "not running: {ran:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says it is ready once there is a file.
const LATER: &str = "while [ ! -e /volume/go ]; do sleep 0.05; done; say READY=1; exec sleep 60";

fn with_volume(bundle: Bundle) -> (Bundle, PathBuf) {
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    let source = volume.to_str().unwrap().to_owned();
    (bundle.mount("/volume", "bind", &source, &["rbind", "rw"]), volume.join("go"))
}

#[test]
fn words_about_the_program_are_passed_on_and_no_others() {
    for runtime in [Runtime::new(), Runtime::audit()] {
        let line = "say 'STATUS=begins' 'MAINPID=1' 'FDSTORE=1' 'READY=1\nMAINPID=1\nSTATUS=up' \
                    STOPPING=1";
        let Some(bundle) = speaking(line) else { return };
        let manager = Manager::new(bundle.dir());
        let before = Snapshot::take(&runtime, &[bundle.id()]);

        let mut child = spawn(&runtime, &["run"], &bundle, &manager);
        let pid = child.id();

        assert_eq!(manager.wait_for(""), "STATUS=begins");
        // The process that the manager started, and that stays until the end.
        assert_eq!(manager.wait_for(""), format!("READY=1\nSTATUS=up\nMAINPID={pid}"));
        assert_eq!(manager.wait_for(""), "STOPPING=1");
        assert!(child.wait().unwrap().success());
        before.assert_unchanged();
    }
}

#[test]
fn a_detached_run_returns_when_the_program_is_ready() {
    let runtime = Runtime::new();
    let Some(bundle) = speaking(LATER) else { return };
    let (bundle, go) = with_volume(bundle);
    let manager = Manager::new(bundle.dir());
    let mut child = spawn(&runtime, &["run", "--detach"], &bundle, &manager);

    wait_until_running(&runtime, &bundle);
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    fs::write(go, "").unwrap();

    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    assert_eq!(manager.wait_for("READY=1"), format!("READY=1\nMAINPID={pid}"));
    manager.wait_for("BARRIER=1");
    assert!(child.wait().unwrap().success());
    assert_eq!(runtime.state(&bundle)["status"], "running");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn start_returns_when_the_program_is_ready() {
    let runtime = Runtime::new();
    let Some(bundle) = speaking(LATER) else { return };
    let (bundle, go) = with_volume(bundle);
    let manager = Manager::new(bundle.dir());
    assert!(spawn(&runtime, &["create"], &bundle, &manager).wait().unwrap().success());

    let mut start = runtime.command(["start", bundle.id()]);
    let mut start = start.env("NOTIFY_SOCKET", &manager.path).spawn().unwrap();
    runtime.wait_status(&bundle, "running");
    std::thread::sleep(Duration::from_millis(200));
    assert!(start.try_wait().unwrap().is_none(), "it did not wait");
    fs::write(go, "").unwrap();

    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    assert_eq!(manager.wait_for("READY=1"), format!("READY=1\nMAINPID={pid}"));
    manager.wait_for("BARRIER=1");
    assert!(start.wait().unwrap().success());
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_program_that_ends_without_a_word_is_not_waited_for() {
    let runtime = Runtime::new();
    let Some(bundle) = speaking("exit 3") else { return };
    let manager = Manager::new(bundle.dir());

    let mut child = spawn(&runtime, &["run", "--detach"], &bundle, &manager);

    assert!(child.wait().unwrap().success());
    runtime.wait_status(&bundle, "stopped");
    runtime.delete(&bundle).ok();
}

#[test]
fn a_detached_run_that_is_told_to_end_takes_the_container_back() {
    let runtime = Runtime::new();
    let Some(bundle) = speaking("sleep 60") else { return };
    let manager = Manager::new(bundle.dir());
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let mut child = spawn(&runtime, &["run", "--detach"], &bundle, &manager);
    wait_until_running(&runtime, &bundle);

    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();

    assert_eq!(child.wait().unwrap().code(), Some(1));
    before.assert_unchanged();
}

#[test]
fn the_socket_is_all_that_the_program_gets() {
    let runtime = Runtime::new();
    let line = "echo $NOTIFY_SOCKET; ls -A /run/notify; touch /run/notify/x 2>&1; \
                rm /run/notify/notify.sock 2>&1; say READY=1 && echo said";
    let Some(bundle) = speaking(line) else { return };
    let bundle = bundle.set("/process/env/-", json!("NOTIFY_SOCKET=/somewhere/else"));
    let manager = Manager::new(bundle.dir());
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    command.env("NOTIFY_SOCKET", &manager.path);

    let said = runtime.finish(command).ok();

    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..2], ["/run/notify/notify.sock", "notify.sock"]);
    assert!(lines[2].contains("Read-only") && lines[3].contains("Read-only"), "{said}");
    assert_eq!(lines[4], "said");
}

#[test]
fn without_a_caller_that_waits_there_is_nothing() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("ls /run; echo \"[$NOTIFY_SOCKET]\"");

    let said = runtime.run(&bundle).ok();

    assert_eq!(said, "[]\n");
}

#[test]
fn a_manager_that_is_gone_does_not_stop_the_program() {
    let runtime = Runtime::new();
    let Some(bundle) = speaking("echo up") else { return };
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    command.env("NOTIFY_SOCKET", "/nowhere/at/all");

    assert_eq!(runtime.finish(command).ok(), "up\n");
}

#[test]
fn explain_says_whose_wish_the_socket_is() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["explain", "--bundle", dir]);
    command.env("NOTIFY_SOCKET", "/somewhere");

    let said = runtime.finish(command).ok();

    assert!(said.contains("directory of the notification socket"), "{said}");
    assert!(said.contains("casemate: the caller's NOTIFY_SOCKET"), "{said}");
}
