//! Who the program is, where it runs, and what it is given.

use std::fs;
use std::os::unix::net::UnixListener;

use serde_json::json;

use super::{exec, sleeper, started, stay, words};
use crate::support::{Bundle, Runtime, eventually, is_linux};

#[test]
fn it_gives_the_status_of_the_program_and_128_and_the_signal_that_ended_it() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    for status in [0, 1, 42, 126, 255] {
        let ran = exec(&runtime, &bundle, &[], &["sh", "-c", &format!("exit {status}")]);

        assert_eq!(ran.status, Some(status));
    }

    let ran = exec(&runtime, &bundle, &[], &["sh", "-c", "kill -9 $$"]);

    assert_eq!(ran.status, Some(137));
}

#[test]
fn options_stand_before_and_after_the_id_and_end_at_the_program() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let id = bundle.id();
    for line in [
        &["exec", "--cwd", "/tmp", id, "pwd"][..],
        &["exec", id, "--cwd", "/tmp", "pwd"],
        &["exec", id, "--cwd=/tmp", "--", "pwd"],
        &["exec", "--cwd=/tmp", id, "--", "pwd"],
    ] {
        assert_eq!(runtime.call(line.iter()).ok(), "/tmp\n", "{line:?}");
    }
    assert_eq!(
        runtime.call(["exec", id, "echo", "--cwd", "/x", "--", "-d"]).ok(),
        "--cwd /x -- -d\n"
    );
}

// rows: exec.--env, exec.--user, exec.--additional-gids, exec.--cwd
#[test]
fn without_a_document_it_is_as_init_but_for_the_options() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/process/env", json!(["PATH=/bin:/usr/bin", "A=of the bundle", "B=too"]))
        .set("/process/cwd", json!("/usr"))
        .set("/process/user", json!({"uid": 5, "gid": 6, "additionalGids": [7]}));
    let bundle = started(&runtime, bundle);
    let line = "env | sort; pwd; id -u; id -g; id -G";

    let plain = exec(&runtime, &bundle, &[], &["sh", "-c", line]).ok();
    let other = ["-e", "A=x=y", "--env", "C=", "-u", "1000", "-g", "8", "-g", "9", "--cwd", "/"];
    let other = exec(&runtime, &bundle, &other, &["sh", "-c", line]).ok();
    let root = exec(&runtime, &bundle, &["-u", "0:0"], &["sh", "-c", line]).ok();

    let variables = |a: &str, more: &str, home: &str| {
        format!("A={a}\nB=too\n{more}HOME={home}\nPATH=/bin:/usr/bin\n")
    };
    assert!(plain.contains(&variables("of the bundle", "", "/")), "{plain}");
    assert!(plain.ends_with("/usr\n5\n6\n6 7\n"), "{plain}");
    assert!(other.contains(&variables("x=y", "C=\n", "/")), "{other}");
    assert!(other.ends_with("/\n1000\n6\n6 7 8 9\n"), "{other}");
    assert!(root.contains(&variables("of the bundle", "", "/root")), "{root}");
    assert!(root.ends_with("/usr\n0\n0\n0 7\n"), "{root}");
}

#[test]
fn a_document_may_come_through_a_pipe_and_leave_out_who_runs() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().set("/process/user", json!({"uid": 5, "gid": 6}));
    let bundle = started(&runtime, bundle.set("/process/env/-", json!("A=of the bundle")));
    let document = json!({"cwd": "/", "args": ["/bin/sh", "-c", "/bin/id -u; echo $A"]});
    let inner = runtime.command(words(&bundle, &["--process", "/dev/stdin"], &[]));
    let mut command = std::process::Command::new("sh");
    let line = format!("echo '{document}' | \"$0\" \"$@\"");
    command.args(["-c", &line]).arg(inner.get_program()).args(inner.get_args());

    let said = runtime.finish(command).ok();

    assert_eq!(said, "5\n\n", "the variables of a document are its own");
}

#[test]
fn the_bundle_is_not_read_again() {
    let runtime = Runtime::new();
    let bundle = started(&runtime, Bundle::new().set("/process/env/-", json!("A=before")));
    let bundle = bundle.raw(b"{");

    let said = exec(&runtime, &bundle, &[], &["sh", "-c", "echo $A"]).ok();

    assert_eq!(said, "before\n");
}

#[test]
fn a_number_is_an_id_and_never_a_name_of_the_image() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let trap = "root:x:0:0::/:/bin/sh\n1:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n";
    fs::write(bundle.rootfs().join("etc/passwd"), trap).unwrap();
    let bundle = started(&runtime, bundle);

    let said = exec(&runtime, &bundle, &["-u", "1"], &["sh", "-c", "id -u"]).ok();
    assert_eq!(said, "1\n");
    for user in ["root", "1000:", ":5", "-1", "+1", "0x1", "4294967295", "4294967296", "1:u", ""] {
        let said = exec(&runtime, &bundle, &[&format!("--user={user}")], &["true"]).failed(2);
        assert!(said.contains("is not an id"), "{user}: {said}");
    }
}

#[test]
fn an_id_that_is_not_mapped_is_refused_by_name() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);

    let said =
        exec(&runtime, &bundle, &["-u", "70000:80000", "-g", "90000"], &["true"]).failed(255);

    assert!(said.contains("process: /user/uid: 70000 is not mapped"), "{said}");
    assert!(said.contains("/user/gid: 80000 is not mapped"), "{said}");
    assert!(said.contains("/user/additionalGids/0: 90000 is not mapped"), "{said}");
}

// rows: exec.--detach, exec.--pid-file, exec.--pidfd-socket
#[test]
fn a_detached_program_is_left_alone_and_its_process_id_is_written() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let path = bundle.dir().join("pidfd.sock");
    let listener = UnixListener::bind(&path).unwrap();

    let pid =
        stay(&runtime, &bundle, &["--pidfd-socket", path.to_str().unwrap()], &["sleep", "700"]);

    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(line, b"sleep\x00700\0");
    let (stream, _) = listener.accept().unwrap();
    let mut byte = [0; 16];
    let pidfd = casemate::sys::socket::receive_fd(std::os::fd::AsFd::as_fd(&stream), &mut byte);
    casemate::sys::process::signal(std::os::fd::AsFd::as_fd(&pidfd.unwrap()), 9).unwrap();
    eventually("it was not the pidfd of the program", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    });
}

#[test]
fn a_pid_file_that_cannot_be_written_ends_the_program() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);

    let options = ["--detach", "--pid-file", "/nowhere/at/all"];
    let said = exec(&runtime, &bundle, &options, &["sleep", "55"]).failed(255);

    assert!(said.contains("write /nowhere/at/all"), "{said}");
    let left = exec(&runtime, &bundle, &[], &["ps"]).ok();
    assert!(!left.contains("sleep 55"), "{left}");
}

#[test]
fn signals_are_the_programs() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let line = "trap 'echo got; exit 9' USR1; echo up; while :; do sleep 0.05; done";
    let mut command = runtime.command(words(&bundle, &[], &["sh", "-c", line]));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "up\n");

    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).unwrap();

    assert_eq!(child.wait().unwrap().code(), Some(9));
    std::io::Read::read_to_string(&mut said, &mut line).unwrap();
    assert_eq!(line, "up\ngot\n");
}

#[test]
fn standard_input_is_the_callers() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let file = bundle.dir().join("input");
    fs::write(&file, "from outside\n").unwrap();
    let mut command = runtime.command(words(&bundle, &[], &["cat"]));
    command.stdin(fs::File::open(&file).unwrap());

    assert_eq!(runtime.finish(command).ok(), "from outside\n");
}

// rows: exec.--preserve-fds
#[test]
fn only_the_descriptors_that_were_asked_for_reach_the_program() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let line = "exec 3</etc/hostname 4</etc; exec \"$0\" \"$@\"";
    let with = |options: &[&str]| {
        let inner = runtime.command(words(&bundle, options, &["sh", "-c", "echo /proc/self/fd/*"]));
        let mut command = std::process::Command::new("sh");
        command.args(["-c", line]).arg(inner.get_program()).args(inner.get_args());
        runtime.finish(command)
    };
    let numbers = |text: String| text.replace("/proc/self/fd/", "");

    assert_eq!(numbers(with(&[]).ok()), "0 1 2 3\n", "3 is the shell's own");
    assert_eq!(numbers(with(&["--preserve-fds", "1"]).ok()), "0 1 2 3 4\n", "4 is the shell's own");
    let said = with(&["--preserve-fds", "3"]).failed(255);
    assert!(said.contains("not all of these descriptors are open"), "{said}");
}

#[test]
fn nothing_of_the_callers_environment_reaches_the_program() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let mut command = runtime.command(words(&bundle, &[], &["env"]));
    command.env("SECRET", "s3cret");

    assert!(!runtime.finish(command).ok().contains("s3cret"));
}

// rows: process.execCPUAffinity
#[test]
fn processors_are_those_of_the_document() {
    let runtime = Runtime::new();
    let cpus = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"));
        line.unwrap().to_owned()
    };
    let last = cpus().rsplit([',', '-']).next().unwrap().to_owned();
    let bundle = Bundle::new().set("/process/execCPUAffinity", json!({"final": last}));
    let bundle = started(&runtime, bundle);
    let show = ["grep", "Cpus_allowed_list", "/proc/self/status"];

    let of_bundle = exec(&runtime, &bundle, &[], &show).ok();

    assert_eq!(of_bundle, format!("Cpus_allowed_list:\t{last}\n"));
    let file = bundle.dir().join("process.json");
    let document = |affinity: serde_json::Value| json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": show, "execCPUAffinity": affinity});
    for (affinity, expected) in [
        (json!({"initial": "0"}), "0".to_owned()),
        (json!({"initial": "0", "final": last}), last.clone()),
        (json!({}), cpus()),
    ] {
        fs::write(&file, document(affinity.clone()).to_string()).unwrap();
        let said = exec(&runtime, &bundle, &["--process", file.to_str().unwrap()], &[]).ok();
        // Before Linux 6.2, who enters a group with `cpuset` gets all that this one has.
        let all = format!("Cpus_allowed_list:\t{}\n", cpus());
        let is_forgotten = affinity.get("final").is_none() && !is_linux(6, 2) && said == all;
        assert!(is_forgotten || said == format!("Cpus_allowed_list:\t{expected}\n"), "{said}");
    }
    let init = fs::read_to_string(format!("/proc/{}/status", super::init(&runtime, &bundle)));
    assert!(init.unwrap().contains(&format!("Cpus_allowed_list:\t{}\n", cpus())));
}

#[test]
fn many_enter_at_the_same_time() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let started: Vec<_> = (0..20)
        .map(|number| {
            let line = format!("exit {number}");
            let mut command = runtime.command(words(&bundle, &[], &["sh", "-c", &line]));
            command.spawn().unwrap()
        })
        .collect();

    let ended: Vec<_> =
        started.into_iter().map(|mut child| child.wait().unwrap().code().unwrap()).collect();

    assert_eq!(ended, (0..20).collect::<Vec<_>>());
}

#[test]
fn what_a_program_leaves_behind_goes_with_the_container() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let before = crate::support::Snapshot::take(&runtime, &["no tag"]);
    stay(&runtime, &bundle, &[], &["sh", "-c", "sleep 77 & sleep 78"]);

    runtime.call(["delete", "--force", bundle.id()]).ok();

    let after = crate::support::Snapshot::take(&runtime, &[bundle.id()]);
    assert!(after.lines().is_empty(), "{before:?} {after:?}");
}
