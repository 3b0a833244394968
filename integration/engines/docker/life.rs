//! Single containers: what people do with them every day.

use std::fs;

use super::{Docker, IMAGE};
use crate::engines::support::{Groups, assert_boxed, call, eventually};

#[test]
#[ignore = "drives a real engine"]
fn run_returns_what_the_program_did_and_said() {
    let Some(docker) = Docker::new(&[]) else { return };

    let ran = docker.run(&[], "echo out; echo err >&2; exit 7");
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(7), "out\n"), "{ran:?}");
    assert_eq!(ran.stderr, "err\n");
    let mut command = docker.command(&["run", "--rm", "-i", "--runtime", "casemate", IMAGE, "cat"]);
    let input = docker.place().dir().join("input");
    fs::write(&input, "through standard input").unwrap();
    let said = call(command.stdin(fs::File::open(input).unwrap())).ok();
    assert_eq!(said, "through standard input");
    let said = docker.run(&["-t"], "test -t 0 && test -t 1 && tty").ok();
    assert!(said.starts_with("/dev/"), "{said}");
    let started = |program| ["run", "--rm", "--runtime", "casemate", IMAGE, program];
    let ran = docker.call(&started("nosuch"));
    assert_eq!(ran.status, Some(127), "{ran:?}");
    assert!(ran.stderr.contains("\"nosuch\": executable file not found in $PATH"), "{ran:?}");
    let ran = docker.call(&started("/etc/passwd"));
    assert_eq!(ran.status, Some(126), "{ran:?}");
    assert!(ran.stderr.contains("permission denied"), "{ran:?}");
}

#[test]
#[ignore = "drives a real engine"]
fn a_detached_container_lives_is_seen_and_ends() {
    let Some(docker) = Docker::new(&[]) else { return };
    docker.begin("web", &[], "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done");
    eventually("its output", || docker.call(&["logs", "web"]).ok() == "up");

    assert_boxed(docker.pid("web"));
    let top = docker.call(&["top", "web", "-o", "pid,args"]).ok();
    assert!(top.contains("trap"), "{top}");
    let format = "{{.PIDs}} {{.MemUsage}}";
    eventually("what it uses", || {
        let stats = docker.call(&["stats", "--no-stream", "--format", format, "web"]).ok();
        let count = stats.split_whitespace().next().unwrap();
        matches!(count, "1" | "2") && !stats.contains(" 0B /")
    });
    docker.call(&["pause", "web"]).ok();
    assert_eq!(docker.inspect("web", "State.Status"), "paused");
    docker.call(&["unpause", "web"]).ok();
    docker.call(&["kill", "--signal", "WINCH", "web"]).ok();
    assert_eq!(docker.inspect("web", "State.Status"), "running");
    docker.call(&["stop", "--time", "10", "web"]).ok();
    assert_eq!(docker.inspect("web", "State.ExitCode"), "5");
    docker.call(&["start", "web"]).ok();
    docker.call(&["restart", "--time", "10", "web"]).ok();
    docker.call(&["kill", "web"]).ok();
    eventually("its end", || docker.inspect("web", "State.Status") == "exited");
    assert_eq!(docker.inspect("web", "State.ExitCode"), "137");
    docker.call(&["rm", "web"]).ok();
}

#[test]
#[ignore = "drives a real engine"]
fn exec_enters_the_same_box() {
    let Some(docker) = Docker::new(&[]) else { return };
    docker.begin("web", &["--user", "1000"], "sleep 600");
    let exec = |options: &[&str], line: &str| {
        docker.call(&[&["exec"], options, &["web", "sh", "-c", line]].concat())
    };

    assert_eq!(exec(&[], "id -u; readlink /proc/self/ns/user").ok(), {
        let link = fs::read_link(format!("/proc/{}/ns/user", docker.pid("web"))).unwrap();
        format!("1000\n{}", link.display())
    });
    let facts = "grep -E 'CapBnd|Seccomp:|NoNewPrivs' /proc/self/status | cut -f 2 | tr '\\n' ' '";
    assert_eq!(exec(&["-u", "0"], facts).ok(), "00000000000005fb 1 2");
    // More was asked for than the first process has.
    assert_eq!(exec(&["--privileged", "-u", "0"], facts).ok(), "00000000000005fb 1 2");
    assert_eq!(exec(&["-e", "A=b", "-w", "/tmp"], "echo $A; pwd").ok(), "b\n/tmp");
    assert_eq!(exec(&[], "exit 3").status, Some(3));
    let mut command = docker.command(&["exec", "-i", "web", "cat"]);
    let input = docker.place().dir().join("input");
    fs::write(&input, "in").unwrap();
    assert_eq!(call(command.stdin(fs::File::open(input).unwrap())).ok(), "in");
    let terminal = format!(
        "script -qec 'docker -H unix://{}/docker.sock exec -it web tty' /dev/null",
        docker.place().dir().display()
    );
    let said = docker.place().shell(&terminal).ok();
    assert!(said.contains("/dev/pts/"), "{said}");
    exec(&["-d"], "echo there > /tmp/x").ok();
    eventually("what it wrote", || exec(&[], "cat /tmp/x").stdout == "there\n");
    let missing = docker.call(&["exec", "web", "nosuch"]);
    let status = if docker.is_20() { 126 } else { 127 };
    assert_eq!(missing.status, Some(status), "{missing:?}");
    assert!(missing.stdout.contains("executable file not found in $PATH"), "{missing:?}");
}

#[test]
#[ignore = "drives a real engine"]
fn with_cgroup_v2_alone_it_lives_is_entered_and_ends() {
    let Some(docker) = Docker::with(Groups::V2, &[]) else { return };
    docker.begin("web", &[], "trap 'exit 5' TERM; while :; do sleep 0.1; done");

    assert_boxed(docker.pid("web"));
    let said = docker.call(&["exec", "web", "cat", "/proc/self/cgroup"]).ok();
    assert!(said.ends_with("0::/"), "{said}");
    docker.call(&["pause", "web"]).ok();
    docker.call(&["unpause", "web"]).ok();
    docker.call(&["stop", "--time", "10", "web"]).ok();
    assert_eq!(docker.inspect("web", "State.ExitCode"), "5");
}

#[test]
#[ignore = "drives a real engine"]
fn limits_are_changed_while_it_runs() {
    let Some(docker) = Docker::new(&[]) else { return };
    docker.begin("web", &["--memory", "64m", "--memory-swap", "64m", "--pids-limit", "40"], {
        "sleep 600"
    });
    let group = |file: &str| {
        let id = docker.inspect("web", "Id");
        let line = format!("cat /sys/fs/cgroup/*/{}/{id}/{file}", docker.place().tag());
        docker.place().shell(&line).stdout.trim().to_owned()
    };
    assert_eq!(group("pids.max"), "40");
    let before = group("memory.limit_in_bytes") + &group("memory.max");
    assert_eq!(before, (64 << 20).to_string());

    docker.call(&["update", "--memory", "96m", "--memory-swap", "96m", "web"]).ok();
    docker.call(&["update", "--pids-limit", "50", "web"]).ok();

    assert_eq!(group("pids.max"), "50");
    let after = group("memory.limit_in_bytes") + &group("memory.max");
    assert_eq!(after, (96 << 20).to_string());
}

#[test]
#[ignore = "drives a real engine"]
fn restarts_and_health_are_the_daemons_and_work() {
    let Some(docker) = Docker::new(&[]) else { return };
    docker.begin("failing", &["--restart", "on-failure:2"], "exit 1");
    docker.begin("again", &["--restart", "always"], "sleep 600");
    let health = ["--health-cmd", "test -e /tmp/ok", "--health-interval", "300ms"];
    docker.begin("healthy", &health, "sleep 1; touch /tmp/ok; sleep 600");
    let first = docker.pid("again");

    let killed = nix::unistd::Pid::from_raw(first);
    nix::sys::signal::kill(killed, nix::sys::signal::Signal::SIGKILL).unwrap();

    eventually("another process", || {
        let now = docker.pid("again");
        now != 0 && now != first
    });
    assert_boxed(docker.pid("again"));
    eventually("its health", || docker.inspect("healthy", "State.Health.Status") == "healthy");
    eventually("the last try", || {
        docker.inspect("failing", "RestartCount") == "2"
            && docker.inspect("failing", "State.Status") == "exited"
    });
}

#[test]
#[ignore = "drives a real engine"]
fn a_crash_of_the_daemon_loses_nothing() {
    let Some(mut docker) = Docker::new(&["--live-restore"]) else { return };
    docker.begin("kept", &[], "while :; do date +%s%N > /tmp/beat; sleep 0.1; done");
    let before = docker.pid("kept");

    docker.crash();
    assert!(fs::exists(format!("/proc/{before}")).unwrap());
    docker.start();

    assert_eq!(docker.pid("kept"), before);
    docker.call(&["exec", "kept", "cat", "/tmp/beat"]).ok();
    docker.call(&["stop", "--time", "0", "kept"]).ok();
    assert_eq!(docker.inspect("kept", "State.ExitCode"), "137");
}
