//! A filter that asks an agent of the host's: `SCMP_ACT_NOTIFY`, `listenerPath`.

mod agent;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use casemate::sys::notify::{Answer, Notification};
use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Snapshot, patience};
use agent::Agent;

const ENOSPC: u16 = 28;

/// mkdir(2) fails as if the disk were full; all else is made.
fn full_disk(asked: &Notification) -> Answer {
    if asked.nr == 83 { Answer::Fail(ENOSPC) } else { Answer::Continue }
}

fn everything(_: &Notification) -> Answer {
    Answer::Continue
}

fn asking(names: &[&str], socket: &Path) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "listenerPath": socket,
        "listenerMetadata": "of a test",
        "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}],
    })
}

/// A runtime whose policy names the agent.
fn trusting(bundle: &Bundle, socket: &Path) -> Runtime {
    let text = format!("level = \"hardened\"\n[seccomp]\nlisteners = [{socket:?}]\n");
    let file = bundle.dir().join("policy.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    Runtime::new().with_global("--policy").with_global(file)
}

fn socket_of(bundle: &Bundle) -> PathBuf {
    bundle.dir().join("agent.sock")
}

// rows: linux.seccomp.listenerPath
#[test]
fn an_agent_answers_for_the_kernel_and_is_told_for_whom() {
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), full_disk);
    let bundle = bundle
        .set("/annotations/org.example", json!("here"))
        .set("/linux/seccomp", asking(&["mkdir"], agent.socket()))
        .shell("mkdir /tmp/x; echo $?");
    let runtime = trusting(&bundle, agent.socket());

    let ran = runtime.run(&bundle);

    assert_eq!(ran.stdout, "1\n");
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    let told = agent.told();
    assert_eq!(told["fds"], json!(["seccompFd"]));
    assert_eq!(told["metadata"], "of a test");
    assert_eq!(told["ociVersion"], "1.0.2");
    assert_eq!(told["state"]["id"], bundle.id());
    assert_eq!(told["state"]["status"], "creating");
    assert_eq!(told["state"]["bundle"], bundle.dir().to_str().unwrap());
    assert_eq!(told["state"]["annotations"]["org.example"], "here");
    assert_eq!(told["state"]["pid"], told["pid"]);
}

/// Its answers are for the program: a hook of the image has nobody to ask.
#[test]
fn a_hook_of_the_image_is_refused_what_an_agent_would_be_asked() {
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), full_disk);
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", "mkdir /dev/shm/x 2>/dev/shm/said; true"]}]);
    let bundle = bundle
        .set("/hooks/startContainer", hook)
        .set("/linux/seccomp", asking(&["mkdir"], agent.socket()))
        .shell("cat /dev/shm/said; mkdir /tmp/x 2>&1");
    let runtime = trusting(&bundle, agent.socket());

    let ran = runtime.run(&bundle);

    let said: Vec<_> = ran.stdout.lines().collect();
    assert!(said[0].ends_with("Function not implemented"), "{ran:?}");
    assert!(said[1].ends_with("No space left on device"), "{ran:?}");

    // One that is not even allowed to become a program fails, and nobody waits for ever.
    let bundle = bundle.set("/linux/seccomp", asking(&["execve"], agent.socket()));
    let said = runtime.run(&bundle).failed(1);
    assert!(said.contains("error running startContainer hook #0: function not impl"), "{said}");
}

#[test]
fn an_agent_gets_the_listener_while_the_container_is_created() {
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), full_disk);
    let bundle = bundle
        .set("/linux/seccomp", asking(&["mkdir", "getcwd", "setresuid"], agent.socket()))
        .shell("mkdir /tmp/x 2>&1; exec sleep 60");
    let runtime = trusting(&bundle, agent.socket());

    let created = runtime.create(&bundle);

    let told = agent.told();
    assert_eq!(told["state"]["status"], "creating");
    assert_eq!(told["pid"], runtime.state(&bundle)["pid"]);
    assert_eq!(runtime.state(&bundle)["status"], "created");
    // The filter stands, and init has the privileges of the program, and no listener.
    let pid = told["pid"].as_i64().unwrap();
    let (waiting, held) = (status_of(pid), links_of(pid));
    assert!(waiting.contains("Seccomp:\t2\n"), "{waiting}");
    assert!(!held.iter().any(|link| link.contains("seccomp")), "{held:?}");

    runtime.start(&bundle).ok();

    created.wait_for("No space left on device");
    let running = status_of(pid);
    for line in ["Uid:", "Gid:", "Groups:", "CapBnd:", "CapEff:", "NoNewPrivs:", "Seccomp_filters:"]
    {
        let of = |status: &str| {
            status.lines().find(|it| it.starts_with(line)).map(str::to_owned).unwrap()
        };
        assert_eq!(of(&waiting), of(&running));
    }
}

fn status_of(pid: i64) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}

fn links_of(pid: i64) -> Vec<String> {
    let dir = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let link = |entry: fs::DirEntry| fs::read_link(entry.path()).unwrap().display().to_string();
    dir.map(|entry| link(entry.unwrap())).collect()
}

/// What an init calls that waits behind its filter.
const OF_INIT: [&str; 8] =
    ["recvfrom", "dup3", "close_range", "accept4", "close", "execve", "sendto", "exit_group"];

/// What a static program needs to say something and end.
const OF_PROGRAM: [&str; 15] = [
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "prlimit64",
    "readlink",
    // With the C library of Debian 13.
    "readlinkat",
    "getrandom",
    "brk",
    "mprotect",
    "mmap",
    "prctl",
    "newfstatat",
    "getuid",
    "write",
];

/// Any call that init is not known to make would kill it here.
#[test]
fn an_init_that_waits_behind_its_filter_makes_eight_calls_and_no_other() {
    let mut bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), full_disk);
    let profile = |without: &str| {
        let names: Vec<_> =
            OF_INIT.iter().chain(&OF_PROGRAM).filter(|name| **name != without).collect();
        json!({
            "defaultAction": "SCMP_ACT_KILL_PROCESS",
            "architectures": ["SCMP_ARCH_X86_64"],
            "listenerPath": agent.socket(),
            "syscalls": [
                {"names": names, "action": "SCMP_ACT_ALLOW"},
                {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
            ],
        })
    };
    bundle = bundle.set("/linux/seccomp", profile("")).args(["echo", "ran"]);
    let runtime = trusting(&bundle, agent.socket());

    assert_eq!(runtime.run(&bundle).ok(), "ran\n");
    assert_eq!(agent.told()["state"]["status"], "creating");
    let created = runtime.create(&bundle);
    assert_eq!(agent.told()["state"]["status"], "creating");
    runtime.start(&bundle).ok();
    created.wait_for("ran");
    runtime.wait_status(&bundle, "stopped");
    runtime.delete(&bundle).ok();
    runtime.create(&bundle).ok();
    assert_eq!(agent.told()["state"]["status"], "creating");
    runtime.kill(&bundle, "TERM").ok();
    runtime.wait_status(&bundle, "stopped");
    runtime.delete(&bundle).ok();

    // No profile has to have them: where one is missing, the filter comes last, as always.
    for name in OF_INIT.iter().filter(|name| !["execve", "exit_group"].contains(name)) {
        bundle = bundle.set("/linux/seccomp", profile(name));
        let ran = runtime.run(&bundle);
        assert_eq!(ran.stdout, "ran\n", "{name}: {ran:?}");
        assert_eq!(agent.told()["state"]["status"], "created", "{name}");
    }
}

/// Hooks of the image come after `start`, and so does the filter then; and a program that may
/// open hardly a file could not wait.
#[test]
fn what_cannot_wait_behind_its_filter_gets_it_last() {
    let mut bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), full_disk);
    bundle = bundle.set("/linux/seccomp", asking(&["mkdir"], agent.socket())).args(["echo", "ran"]);
    let runtime = trusting(&bundle, agent.socket());
    let limit = json!([{"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]);
    let hook = json!([{"path": "/bin/true"}]);

    for (at, value) in [("/process/rlimits", limit), ("/hooks/startContainer", hook)] {
        bundle = bundle.set(at, value);
        let created = runtime.create(&bundle);
        assert!(agent.told_nothing(), "{at}");
        runtime.start(&bundle).ok();
        created.wait_for("ran");
        assert_eq!(agent.told()["state"]["status"], "created", "{at}");
        runtime.wait_status(&bundle, "stopped");
        runtime.delete(&bundle).ok();
        bundle = bundle.set(at, json!([]));
    }
}

#[test]
fn the_start_command_hands_the_listener_over_too() {
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), full_disk);
    let bundle = bundle
        .set("/linux/seccomp", asking(&["mkdir", "execve", "write", "close"], agent.socket()))
        .shell("mkdir /tmp/x 2>&1; exec sleep 60");
    let runtime = trusting(&bundle, agent.socket());

    let created = runtime.create(&bundle);
    runtime.start(&bundle).ok();

    created.wait_for("No space left on device");
    let told = agent.told();
    assert_eq!(told["pid"], runtime.state(&bundle)["pid"]);
    assert_eq!(runtime.state(&bundle)["status"], "running");
}

#[test]
fn a_process_that_enters_is_answered_by_the_agent_too() {
    // Whether init got its filter before its wait for `start`, or after it.
    for asked in [&["mkdir", "execve"][..], &["mkdir"]] {
        enter_a_container_that_asks(asked);
    }
}

fn enter_a_container_that_asks(asked: &[&str]) {
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), full_disk);
    let bundle = bundle.set("/linux/seccomp", asking(asked, agent.socket())).shell("exec sleep 60");
    let runtime = trusting(&bundle, agent.socket());
    runtime.create(&bundle).ok();
    runtime.start(&bundle).ok();
    let init = agent.told();
    let file = bundle.dir().join("pid");
    let options = ["exec", "--pid-file", file.to_str().unwrap(), bundle.id()];

    let said = runtime.call([&options[..], &["sh", "-c", "mkdir /tmp/x 2>&1; true"]].concat()).ok();

    assert!(said.contains("No space left on device"), "{said}");
    let told = agent.told();
    assert_eq!(told["state"]["status"], "running");
    assert_eq!(told["state"]["pid"], init["pid"]);
    assert_eq!(told["pid"].to_string(), fs::read_to_string(file).unwrap());

    // The same program, once.
    let line = "grep -E '^(Seccomp|Seccomp_filters|NoNewPrivs|Cap...):' /proc/PID/status";
    let of = |pid: &str| {
        let line = line.replace("PID", pid);
        runtime.call(["exec", bundle.id(), "sh", "-c", &line]).ok()
    };
    assert_eq!(of("1"), of("self"));
    assert!(of("1").contains("Seccomp_filters:\t1\n"));
}

#[test]
fn everything_may_be_asked_and_the_baseline_still_stands() {
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), everything);
    let asks_all = json!({
        "defaultAction": "SCMP_ACT_NOTIFY",
        "listenerPath": agent.socket(),
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"],
    });
    let bundle = bundle
        .set("/linux/seccomp", asks_all)
        .shell("echo made; unshare -U true 2>&1; chroot / true 2>&1");
    let runtime = trusting(&bundle, agent.socket());

    let said = runtime.run(&bundle).stdout;

    assert!(said.starts_with("made\n"), "{said}");
    assert_eq!(said.matches("Operation not permitted").count(), 2, "{said}");
}

#[test]
fn an_agent_that_is_gone_fails_every_call_it_would_have_answered() {
    fn dies(asked: &Notification) -> Answer {
        assert_ne!(asked.nr, 83, "a test's agent dies of this");
        Answer::Continue
    }
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), dies);
    let bundle = bundle
        .set("/linux/seccomp", asking(&["mkdir"], agent.socket()))
        .shell("mkdir /tmp/x; mkdir /tmp/x; ls /tmp");
    let runtime = trusting(&bundle, agent.socket());

    let ran = runtime.run(&bundle);

    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr.matches("Function not implemented").count(), 2, "{ran:?}");
}

#[test]
fn a_missing_agent_fails_create_before_anything_exists() {
    let bundle = Bundle::new();
    let socket = socket_of(&bundle);
    let bundle = bundle.set("/linux/seccomp", asking(&["mkdir"], &socket));
    let runtime = trusting(&bundle, &socket);
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    for said in [runtime.create(&bundle).failed(1), runtime.run(&bundle).failed(1)] {
        assert!(said.contains("/linux/seccomp/listenerPath"), "{said}");
        assert!(said.contains(socket.to_str().unwrap()), "{said}");
    }
    before.assert_unchanged();
}

#[test]
fn an_agent_that_hears_nobody_fails_create_and_nothing_is_left() {
    let bundle = Bundle::new();
    let socket = socket_of(&bundle);
    // A socket, but one that nobody listens on.
    drop(UnixListener::bind(&socket).unwrap());
    let bundle = bundle.set("/linux/seccomp", asking(&["mkdir"], &socket)).shell("echo ran");
    let runtime = trusting(&bundle, &socket);
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime.create(&bundle).failed(1);

    assert!(said.contains("`seccomp.hand-over` failed: "), "{said}");
    assert!(said.contains("ECONNREFUSED"), "{said}");
    before.assert_unchanged();
}

#[test]
fn an_agent_that_ended_after_create_fails_start_and_the_container_is_dead() {
    let bundle = Bundle::new();
    let socket = socket_of(&bundle);
    let listening = UnixListener::bind(&socket).unwrap();
    let bundle = bundle
        .set("/linux/seccomp", asking(&["mkdir", "execve"], &socket))
        .shell("echo ran; sleep 60");
    let runtime = trusting(&bundle, &socket);

    let created = runtime.create(&bundle);
    drop(listening);
    let said = runtime.start(&bundle).failed(1);

    assert!(said.contains("`seccomp.hand-over` failed: "), "{said}");
    assert!(said.contains("connect to the seccomp agent at"), "{said}");
    assert!(said.contains("ECONNREFUSED"), "{said}");
    runtime.wait_status(&bundle, "stopped");
    assert_eq!(created.printed(), "");
    runtime.delete(&bundle).ok();
}

#[test]
fn an_agent_that_accepts_nobody_is_waited_for_five_seconds() {
    let bundle = Bundle::new();
    let socket = socket_of(&bundle);
    let listening = UnixListener::bind(&socket).unwrap();
    let bundle = bundle.set("/linux/seccomp", asking(&["mkdir"], &socket));
    let runtime = trusting(&bundle, &socket);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    // As many as it queues.
    rustix::net::listen(&listening, 0).unwrap();
    let _queued = UnixStream::connect(&socket).unwrap();

    let begun = Instant::now();
    let said = runtime.run(&bundle).failed(1);

    assert!(said.contains("not within 5 seconds"), "{said}");
    assert!(begun.elapsed() < patience(Duration::from_secs(8)));
    before.assert_unchanged();
}

#[test]
fn an_agent_that_never_answers_cannot_hang_start() {
    let bundle = Bundle::new();
    let socket = socket_of(&bundle);
    let _mute = UnixListener::bind(&socket).unwrap();
    let bundle = bundle.set("/linux/seccomp", asking(&["execve"], &socket)).shell("echo ran");
    let runtime = trusting(&bundle, &socket);
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let ran = runtime.run(&bundle);

    assert_eq!(ran.stdout, "");
    let said = ran.failed(1);
    assert!(said.contains("no answer came within 10 seconds"), "{said}");
    before.assert_unchanged();
}

#[test]
fn an_agent_that_the_policy_does_not_name_is_refused() {
    let bundle = Bundle::new();
    let agent = Agent::new(bundle.dir(), everything);
    let bundle = bundle.set("/linux/seccomp", asking(&["mkdir"], agent.socket()));
    let before = Snapshot::take(&Runtime::new(), &[bundle.id()]);

    for runtime in [Runtime::new(), trusting(&bundle, Path::new("/run/another.sock"))] {
        let said = runtime.run(&bundle).failed(3);

        assert!(said.contains("refused by rule `seccomp.listener`"), "{said}");
        assert!(said.contains("hint: add "), "{said}");
    }
    before.assert_unchanged();
}

#[cfg(feature = "fault")]
#[test]
fn every_step_of_the_hand_over_can_fail_and_leaves_nothing_behind() {
    // The filter comes last, or, where it leaves the wait alone, before it.
    for (asked, count) in [(&["mkdir", "execve"][..], 9), (&["mkdir"], 11)] {
        let bundle = Bundle::new();
        let agent = Agent::new(bundle.dir(), everything);
        let profile = asking(asked, agent.socket());
        let bundle = bundle.set("/linux/seccomp", profile).shell("echo ran");
        fail_every_step(&bundle, &trusting(&bundle, agent.socket()), count);
    }
}

#[cfg(feature = "fault")]
fn fail_every_step(bundle: &Bundle, runtime: &Runtime, count: usize) {
    let before = Snapshot::take(runtime, &[bundle.id()]);
    let dir = bundle.dir().to_str().unwrap();
    let explained = runtime.call(["explain", "--json", "--bundle", dir]).ok();
    let explained: Value = serde_json::from_str(&explained).unwrap();
    let steps = explained["plan"]["steps"].as_array().unwrap();
    let last = steps.iter().position(|step| step["action"]["do"] == "close-descriptors").unwrap();
    assert_eq!(steps.len() - last, count, "{steps:#?}");

    for number in last + 1..=steps.len() {
        let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
        command.env("CASEMATE_FAULT", number.to_string());
        let ran = runtime.finish(command);

        assert_eq!(ran.stdout, "", "step {number}");
        let said = ran.failed(1);
        assert!(said.contains(&format!("step {number} `")), "step {number}: {said}");
        before.assert_unchanged();
    }

    // Without a filter there is no listener, and without a listener no program.
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    command.env("CASEMATE_SKIP", "seccomp.load");
    let said = runtime.finish(command).failed(1);
    let why = ["it becomes the program without a filter", "it does not go on"];
    assert!(why.iter().any(|why| said.contains(why)), "{said}");
    before.assert_unchanged();
}
