//! What a user without root runs, and what holds for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use super::{FIRST, Rootless, SHIFTED, USER, assert_boxed, status};
use crate::engines::support::{HEARD, call, call_heard, eventually};

#[test]
#[ignore = "drives a real engine"]
fn root_inside_is_the_user_where_nothing_else_can_be_and_that_is_said() {
    let Some(podman) = Rootless::new() else { return };
    podman.start("web", &[]);
    let pid = podman.pid("web");

    assert_boxed(pid);
    assert_eq!(status(pid, "Uid")[0], USER.to_string());
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    assert_ne!(fs::read_link(format!("/proc/{pid}/ns/user")).unwrap(), own);
    let said = "P1 reduced: root in this container is you (uid 1500), because files cannot be given \
                to other ids without root; have the engine give other ids: \
                `--userns=auto:size=65536`";
    let logs = podman.call(&["logs", "web"]);
    assert!(logs.stderr.contains(said), "{logs:?}");
    let state = podman.state("web");
    let annotations = &state["annotations"];
    assert!(annotations["org.casemate.reduced"].as_str().unwrap().starts_with(said), "{state}");
    assert_eq!(state["owner"], "eng");
    let record = podman.place.dir().join("home/.local/state/casemate/audit.jsonl");
    let record = fs::read_to_string(record).unwrap();
    assert!(record.lines().any(|line| line.contains("\"created\"")), "{record}");

    podman.remove("web");
}

#[test]
#[ignore = "drives a real engine"]
fn with_ids_that_the_engine_gives_root_is_not_the_user() {
    let Some(podman) = Rootless::new() else { return };
    let secret = podman.place.dir().join("home/secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "the user's own").unwrap();
    for path in [&secret, &secret.join("key")] {
        chown(path, Some(USER), Some(USER)).unwrap();
    }
    fs::set_permissions(secret.join("key"), PermissionsExt::from_mode(0o600)).unwrap();
    let volume = format!("{}:/secret", secret.display());
    let mount = ["-v", &volume];
    let steal = "cat /secret/key; echo more >> /secret/key";

    // The attack works where root inside is the user, as is said there.
    let kept = podman.run(&mount, steal);
    assert_eq!(kept.stdout, "the user's own", "{kept:?}");
    assert!(fs::read_to_string(secret.join("key")).unwrap().ends_with("more\n"));
    let shifted = podman.run(&[&mount, SHIFTED].concat(), steal).failed();
    assert!(!shifted.contains("own") && shifted.contains("Permission denied"), "{shifted}");

    podman.start("web", SHIFTED);
    let pid = podman.pid("web");
    assert_boxed(pid);
    assert_eq!(status(pid, "Uid")[0], FIRST.to_string());
    assert!(podman.state("web")["annotations"].get("org.casemate.reduced").is_none());
    assert!(!podman.call(&["logs", "web"]).stderr.contains("P1"));
    podman.remove("web");
}

#[test]
#[ignore = "drives a real engine"]
fn a_process_that_can_become_the_user_is_told_of() {
    let Some(podman) = Rootless::new() else { return };
    podman.start("web", &["--userns", "keep-id"]);

    let said = podman.call(&["logs", "web"]).stderr;

    let sentence =
        "P1 reduced: processes in this container can become you (uid 1500), as user 1500";
    assert!(said.contains(sentence), "{said}");
    assert_eq!(podman.call(&["exec", "web", "id", "-u"]).ok(), "1500");
    podman.remove("web");
}

#[test]
#[ignore = "drives a real engine"]
fn what_enters_is_in_the_same_box() {
    let Some(podman) = Rootless::new() else { return };
    for options in [&[][..], SHIFTED] {
        podman.start("web", options);
        let init = podman.pid("web");
        let enter = ["exec", "-d", "web", "sleep", "999"];
        podman.call(&enter).ok();
        let entered = || {
            let all = fs::read_dir("/proc").unwrap().flatten();
            let mut pids = all.filter_map(|of| of.file_name().to_str()?.parse::<i32>().ok());
            let home = fs::read_link(format!("/proc/{init}/ns/pid")).unwrap();
            pids.find(|pid| {
                *pid != init
                    && fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|of| of == home)
                    && fs::read(format!("/proc/{pid}/cmdline"))
                        .is_ok_and(|of| of.ends_with(b"999\0"))
            })
        };
        eventually("the program runs", || entered().is_some());
        let entered = entered().unwrap();

        assert_boxed(entered);
        for key in
            ["Uid", "Gid", "CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb", "Seccomp_filters"]
        {
            assert_eq!(status(entered, key), status(init, key), "{key}");
        }
        for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
            assert_eq!(of(entered), of(init), "{kind}");
        }
        podman.remove("web");
    }
}

#[test]
#[ignore = "drives a real engine"]
fn it_lives_as_with_any_runtime() {
    let Some(podman) = Rootless::new() else { return };
    let line = "trap 'echo ended; exit 3' TERM; echo began; while :; do sleep 0.1; done";
    let run =
        ["run", "-d", "--name", "web", "--network", "none", "localhost/busybox:1", "sh", "-c"];
    podman.call(&[&run[..], &[line]].concat()).ok();
    eventually("it says so", || podman.call(&["logs", "web"]).stdout == "began\n");

    assert!(podman.call(&["top", "web", "pid", "args"]).ok().contains("trap"));
    assert!(podman.call(&["stop", "-t", "20", "web"]).ok() == "web");
    let exited = podman.call(&["inspect", "--format", "{{.State.ExitCode}}", "web"]).ok();
    assert_eq!(exited, "3");
    podman.call(&["start", "web"]).ok();
    eventually("it runs again", || podman.call(&["logs", "web"]).stdout.ends_with("began\n"));
    podman.call(&["kill", "-s", "KILL", "web"]).ok();
    podman.call(&["wait", "web"]).ok();
    podman.remove("web");
    let terminal = "podman run -t --rm --network none localhost/busybox:1 tty";
    let terminal = terminal.replacen("podman", "podman --storage-driver vfs --runtime casemate", 1);
    // What `create` says arrives there, too, before that or after it, when conmon reads it only
    // after Podman attached; and what it says itself may be lost: see `call_heard`.
    eventually("its terminal", || {
        let tty = call(podman.user("script").args(["-qec", &terminal, "/dev/null"])).ok();
        tty.lines().any(|line| line == "/dev/pts/0")
    });
    let volume = podman.place.dir().join("home/data");
    fs::create_dir(&volume).unwrap();
    chown(&volume, Some(USER), Some(USER)).unwrap();
    let volume_at = format!("{}:/data", volume.display());
    podman.run(&["-v", &volume_at], "echo kept > /data/file").ok();
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "kept\n");
    let tmpfs = podman
        .run(&["--read-only", "--tmpfs", "/scratch"], "echo x > /scratch/a && cat /scratch/a");
    assert_eq!(tmpfs.ok(), "x");
}

#[test]
#[ignore = "drives a real engine"]
fn containers_share_namespaces_and_a_network_of_the_users_own_is_there() {
    let Some(podman) = Rootless::new() else { return };
    podman.start("first", &["--ipc", "shareable"]);
    let of_first = ["--ipc", "container:first", "--pid", "container:first"];

    let seen = podman.run(&of_first, "ps -o args").ok();
    assert!(seen.contains("sleep 1000"), "{seen}");
    // Where no control group tells, what such a container leaves behind is found all the same.
    let joined = ["--ipc", "container:first", "--pid", "container:first"];
    podman.start("second", &joined);
    podman.call(&["exec", "-d", "second", "sleep", "777"]).ok();
    eventually("it runs", || {
        podman.call(&["exec", "first", "ps", "-o", "args"]).ok().contains("777")
    });
    podman.remove("second");
    let seen = podman.call(&["exec", "first", "ps", "-o", "args"]).ok();
    assert!(!seen.contains("777"), "{seen}");
    podman.remove("first");
    // slirp4netns, as Podman has it by default.
    let line = format!("{HEARD}ls /sys/class/net; cat /proc/net/route");
    let run = ["run", "--rm", "-i", "localhost/busybox:1", "sh", "-c", &line];
    let devices = call_heard(&mut podman.command(&run)).ok();
    assert!(devices.starts_with("lo\ntap0\n"), "{devices}");
}

#[test]
#[ignore = "drives a real engine"]
fn every_attempt_ends_as_promised() {
    let Some(podman) = Rootless::new() else { return };
    let mut command = podman.user("podman");
    let unshare = ["--storage-driver", "vfs", "unshare", "casemate", "try"];

    let report = call(command.env("TMPDIR", podman.place.dir().join("home")).args(unshare)).ok();

    assert!(report.contains("P1") && !report.contains("BROKEN"), "{report}");
}
