//! Containers that are written to files and made again: exactly as they were, or not at all.

mod alone;
mod attacks;
mod refusals;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::json;

use alone::writing_runtime;

use crate::support::{Bundle, PRIVILEGES, Ran, Runtime, Snapshot, patience};

/// Names a CRIU that is not where packages install it.
const CRIU: &str = "CASEMATE_TEST_CRIU";

/// A policy of level `audit` with the CRIU of these tests.
fn policy() -> String {
    let criu = std::env::var(CRIU).ok();
    let table = criu.map(|criu| format!("[checkpoint]\ncriu = \"{criu}\"\n")).unwrap_or_default();
    format!("level = \"audit\"\n{table}")
}

/// A runtime with a CRIU that it can work with; none where there is no such.
fn runtime() -> Option<Runtime> {
    static WORKS: OnceLock<Result<(), String>> = OnceLock::new();
    let runtime = Runtime::under(&policy());
    let works = WORKS.get_or_init(|| {
        let probed = runtime.call(["checkpoint", "--help"]);
        if probed.status == Some(0) { Ok(()) } else { Err(probed.stderr) }
    });
    match works {
        Ok(()) => Some(runtime),
        Err(why) => {
            println!("skipped, because CRIU does not work here: {why}");
            None
        }
    }
}

/// A bundle without a user namespace that counts on its root, once for each tenth of a second.
fn counting() -> Bundle {
    Bundle::new().set("/root/readonly", json!(false)).shell(COUNT)
}

/// The parentheses keep its own output where it is, for who looks at that before all is frozen.
const COUNT: &str = "i=0; while :; do i=$((i+1)); (echo $i > /tmp/n.new); mv /tmp/n.new \
                     /tmp/n; sleep 0.1; done";

fn count(bundle: &Bundle) -> u32 {
    let text = fs::read_to_string(bundle.rootfs().join("tmp/n")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn wait_for_count(bundle: &Bundle, at_least: u32) {
    let deadline = std::time::Instant::now() + patience(std::time::Duration::from_secs(10));
    while count(bundle) < at_least {
        assert!(std::time::Instant::now() < deadline, "it counts to {}", count(bundle));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Creates and starts a container.
fn start(runtime: &Runtime, bundle: &Bundle) {
    runtime.create(bundle).ok();
    runtime.start(bundle).ok();
}

fn images(bundle: &Bundle) -> PathBuf {
    bundle.dir().join("images")
}

fn checkpoint(runtime: &Runtime, bundle: &Bundle, options: &[&str]) -> Ran {
    let images = images(bundle);
    let mut words = vec!["checkpoint", "--image-path", images.to_str().unwrap()];
    words.extend(options);
    words.push(bundle.id());
    runtime.call(words)
}

fn restore(runtime: &Runtime, bundle: &Bundle, options: &[&str]) -> Ran {
    let (images, dir) = (images(bundle), bundle.dir());
    let mut words = vec!["restore", "--detach", "--image-path", images.to_str().unwrap()];
    words.extend(["--bundle", dir.to_str().unwrap()]);
    words.extend(options);
    words.push(bundle.id());
    runtime.call(words)
}

fn pid(runtime: &Runtime, bundle: &Bundle) -> i64 {
    runtime.state(bundle)["pid"].as_i64().unwrap()
}

/// Whether this process has `CAP_SYS_RESOURCE`.
fn may_raise_limits() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    u64::from_str_radix(set, 16).unwrap() >> 24 & 1 == 1
}

/// What the kernel says of a process's privileges.
fn privileges(pid: i64) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let wanted = |line: &&str| PRIVILEGES.iter().any(|name| line.starts_with(&format!("{name}:")));
    let mut lines: Vec<_> = status.lines().filter(wanted).map(str::to_owned).collect();
    for name in ["oom_score_adj", "uid_map", "limits", "cgroup"] {
        lines.push(fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap());
    }
    lines
}

/// Its mounts, without the numbers of this boot.
fn mounts(pid: i64) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mut lines: Vec<_> = table
        .lines()
        .map(|line| {
            let (left, right) = line.split_once(" - ").unwrap();
            let left: Vec<_> = left.split(' ').skip(4).collect();
            format!("{} {}", left.join(" "), right.split(' ').next().unwrap())
        })
        .collect();
    lines.sort();
    lines
}

// rows: checkpoint, restore
#[test]
fn what_is_made_again_is_what_it_was_and_goes_on_where_it_stood() {
    let Some(runtime) = writing_runtime() else { return };
    // CRIU asks for the limits of other users' processes: not every root may.
    let user = if may_raise_limits() { 1000 } else { 0 };
    let ids = json!({"uid": user, "gid": user, "additionalGids": [2000]});
    let bundle = counting()
        .mount("/kept", "tmpfs", "tmpfs", &["nosuid", "nodev", "size=64k"])
        .set("/process/user", ids)
        .set("/process/noNewPrivileges", json!(true))
        .set("/process/capabilities", json!({"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]}))
        .set("/process/oomScoreAdj", json!(100))
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]))
        .set(
            "/linux/seccomp",
            json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mount", "ptrace"], "action": "SCMP_ACT_ERRNO"}]
            }),
        )
        .set("/linux/maskedPaths", json!(["/proc/kcore", "/proc/acpi", "/sys/firmware"]))
        .set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/bus"]));
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = bundle
        .mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "ro", "nosuid"])
        .shell(&format!("echo precious > /kept/file; {COUNT}"));
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let created = runtime.create(&bundle);
    assert_eq!(created.status, Some(0), "{created:?}");
    runtime.start(&bundle).ok();
    wait_for_count(&bundle, 3);
    let old = pid(&runtime, &bundle);
    let was = (privileges(old), mounts(old));

    checkpoint(&runtime, &bundle, &[]).ok();

    // As after a delete.
    before.assert_unchanged();
    let reached = count(&bundle);
    let pid_file = bundle.dir().join("pid");
    restore(&runtime, &bundle, &["--pid-file", pid_file.to_str().unwrap()]).ok();
    let new = pid(&runtime, &bundle);
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), new.to_string());
    assert_eq!((privileges(new), mounts(new)), was);
    assert_eq!(runtime.state(&bundle)["status"], "running");
    wait_for_count(&bundle, reached + 2);
    let kept = fs::read_to_string(format!("/proc/{new}/root/kept/file")).unwrap();
    assert_eq!(kept, "precious\n");
    runtime.call(["delete", "--force", bundle.id()]).ok();
    before.assert_unchanged();
}

#[test]
fn a_container_that_was_made_again_can_be_entered_written_and_made_again() {
    let Some(runtime) = writing_runtime() else { return };
    let bundle = counting();
    start(&runtime, &bundle);
    for _ in 0..2 {
        wait_for_count(&bundle, 1);
        checkpoint(&runtime, &bundle, &[]).ok();
        fs::remove_file(bundle.rootfs().join("tmp/n")).unwrap();
        restore(&runtime, &bundle, &[]).ok();
        wait_for_count(&bundle, 1);

        // Its clocks are its own, and whoever enters has the same.
        let line = "for n in time cgroup mnt pid; do readlink /proc/1/ns/$n; readlink \
                    /proc/self/ns/$n; done";
        let said = runtime.call(["exec", bundle.id(), "/bin/sh", "-c", line]).ok();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 8, "{said}");
        assert!(lines.chunks(2).all(|pair| pair[0] == pair[1]), "{said}");
    }
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_container_may_be_left_running_and_made_again_under_another_name() {
    let Some(runtime) = writing_runtime() else { return };
    // It holds no file open: what goes on may remove one that the images name.
    let bundle = Bundle::new()
        .set("/root/readonly", json!(false))
        .shell("i=0; while :; do i=$((i+1)); mkdir /tmp/$i; sleep 0.1; done");
    let made = || fs::read_dir(bundle.rootfs().join("tmp")).unwrap().count();
    let wait_for = |more: usize| {
        let deadline = std::time::Instant::now() + patience(std::time::Duration::from_secs(10));
        while made() < more {
            assert!(std::time::Instant::now() < deadline, "it has made {}", made());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    start(&runtime, &bundle);
    wait_for(1);

    checkpoint(&runtime, &bundle, &["--leave-running"]).ok();

    assert_eq!(runtime.state(&bundle)["status"], "running");
    wait_for(made() + 1);
    runtime.call(["delete", "--force", bundle.id()]).ok();
    let other = format!("{}-other", bundle.id());
    let (images, dir) = (images(&bundle), bundle.dir());
    let words = ["restore", "--detach", "--image-path", images.to_str().unwrap(), "--bundle"];
    runtime.call(words.into_iter().chain([dir.to_str().unwrap(), &other])).ok();
    wait_for(made() + 1);
    runtime.call(["delete", "--force", &other]).ok();
}

#[test]
fn restore_waits_for_the_program_and_gives_its_status() {
    let Some(runtime) = writing_runtime() else { return };
    let bundle = Bundle::new()
        .set("/root/readonly", json!(false))
        .shell("echo 1 > /tmp/n; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo end; exit 7");
    start(&runtime, &bundle);
    wait_for_count(&bundle, 1);
    checkpoint(&runtime, &bundle, &[]).ok();
    fs::write(bundle.rootfs().join("tmp/go"), "").unwrap();
    let (images, dir) = (images(&bundle), bundle.dir());

    let ran = runtime.call([
        "restore",
        "--image-path",
        images.to_str().unwrap(),
        "--bundle",
        dir.to_str().unwrap(),
        bundle.id(),
    ]);

    assert_eq!((ran.status, ran.stdout.as_str()), (Some(7), "end\n"), "{ran:?}");
    runtime.call(["state", bundle.id()]).failed(1);
}

#[test]
fn a_network_namespace_of_a_path_is_the_same_one_afterwards() {
    let Some(runtime) = writing_runtime() else { return };
    if std::process::Command::new("ip").arg("-V").output().is_err() {
        println!("skipped, because there is no ip(8) to make a network namespace with");
        return;
    }
    let bundle = counting();
    let name = bundle.id().to_owned();
    let ip = |verb: &str| {
        std::process::Command::new("ip").args(["netns", verb, &name]).status().unwrap().success()
    };
    assert!(ip("add"));
    let path = Path::new("/run/netns").join(&name);
    let namespaces = json!([
        {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
        {"type": "network", "path": path}
    ]);
    let bundle = bundle.set("/linux/namespaces", namespaces);
    start(&runtime, &bundle);
    wait_for_count(&bundle, 1);

    let written = checkpoint(&runtime, &bundle, &[]);
    let made = restore(&runtime, &bundle, &[]);
    let of = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let same = made.status == Some(0)
        && of(&path) == of(Path::new(&format!("/proc/{}/ns/net", pid(&runtime, &bundle))));
    runtime.call(["delete", "--force", bundle.id()]);
    ip("delete");

    written.ok();
    made.ok();
    assert!(same);
}

#[test]
fn memory_can_be_written_beforehand() {
    let Some(runtime) = writing_runtime() else { return };
    let bundle = counting();
    start(&runtime, &bundle);
    wait_for_count(&bundle, 1);
    let first = bundle.dir().join("first");

    let words = ["checkpoint", "--pre-dump", "--image-path", first.to_str().unwrap(), bundle.id()];
    let ran = runtime.call(words);

    if ran.stderr.contains("Tracking memory is not available") {
        println!("skipped, because this kernel does not track memory: {}", ran.stderr);
        return;
    }
    ran.ok();
    assert_eq!(runtime.state(&bundle)["status"], "running");
    checkpoint(&runtime, &bundle, &["--parent-path", "../first"]).ok();
    restore(&runtime, &bundle, &[]).ok();
    let reached = count(&bundle);
    wait_for_count(&bundle, reached + 1);
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_terminal_goes_to_the_engine_once_more() {
    let Some(runtime) = writing_runtime() else { return };
    let bundle = counting()
        .set("/process/terminal", json!(true))
        .shell(&format!("({COUNT}) & while read line; do echo got $line; done"));
    let path = bundle.dir().join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (dir, socket) = (bundle.dir().to_owned(), path.to_str().unwrap());
    let dir = dir.to_str().unwrap();
    runtime.call(["create", "--console-socket", socket, "--bundle", dir, bundle.id()]).ok();
    let first = receive(&listener);
    runtime.start(&bundle).ok();
    wait_for_count(&bundle, 1);
    let was = mounts(pid(&runtime, &bundle));
    checkpoint(&runtime, &bundle, &[]).ok();
    drop(first);

    restore(&runtime, &bundle, &["--console-socket", socket]).ok();

    let mut terminal = receive(&listener);
    assert_eq!(mounts(pid(&runtime, &bundle)), was);
    terminal.write_all(b"word\n").unwrap();
    let mut said = String::new();
    let deadline = std::time::Instant::now() + patience(std::time::Duration::from_secs(10));
    let mut bytes = [0; 256];
    while !said.contains("got word") && std::time::Instant::now() < deadline {
        let length = terminal.read(&mut bytes).unwrap();
        said.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    assert!(said.contains("got word"), "{said}");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

fn receive(listener: &UnixListener) -> fs::File {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(patience(std::time::Duration::from_secs(5)))).unwrap();
    fs::File::from(casemate::sys::socket::receive_fd(stream.as_fd(), &mut [0; 64]).unwrap())
}
