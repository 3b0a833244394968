//! When hooks are run, where, and what they are told.

use std::fs;

use serde_json::{Value, json};

use super::{Logged, STAGES, shell};
use crate::support::{Bundle, Runtime, Snapshot};

// rows: hooks.prestart, hooks.createRuntime, hooks.createContainer, hooks.startContainer, hooks.poststart, hooks.poststop
#[test]
fn every_hook_is_run_at_its_point_and_told_the_state() {
    let runtime = Runtime::new();
    let mut logged = Logged::new();
    for stage in STAGES {
        for index in 0..2 {
            let line = format!("echo {stage} {index} $(cat) >> $log");
            logged = logged.hook(stage, &line);
        }
    }
    let logged = logged.shell("echo program >> /volume/log; exec sleep 60");
    let bundle = Bundle::set(logged.bundle, "/annotations", json!({"org.example": "here"}));
    let logged = Logged { bundle, log: logged.log };
    let before = Snapshot::take(&runtime, &[logged.bundle.id()]);

    runtime.create(&logged.bundle).ok();
    let pid = runtime.state(&logged.bundle)["pid"].as_i64().unwrap();
    let created = logged.logged();
    assert_eq!(created.lines().count(), 6, "{created}");
    runtime.start(&logged.bundle).ok();
    runtime.kill(&logged.bundle, "KILL").ok();
    runtime.wait_status(&logged.bundle, "stopped");
    runtime.delete(&logged.bundle).ok();
    before.assert_unchanged();

    let text = logged.logged();
    let mut lines: Vec<_> = text.lines().collect();
    // Between start and the hooks after it, the program says its word when it wants to.
    lines.retain(|line| *line != "program");
    let expected: Vec<_> =
        STAGES.iter().flat_map(|stage| [format!("{stage} 0"), format!("{stage} 1")]).collect();
    for (line, expected) in lines.iter().zip(&expected) {
        let told = line.strip_prefix(expected.as_str()).unwrap_or_else(|| panic!("{text}"));
        let stage = expected.split(' ').next().unwrap();
        check_state(&logged.bundle, stage, pid, &serde_json::from_str(told).unwrap());
    }
    assert_eq!(lines.len(), expected.len(), "{text}");
}

fn check_state(bundle: &Bundle, stage: &str, pid: i64, told: &Value) {
    let (status, pid) = match stage {
        "prestart" => ("created", pid),
        "createRuntime" => ("creating", pid),
        // The container's own view.
        "createContainer" => ("creating", 1),
        "startContainer" => ("created", 1),
        "poststart" => ("running", pid),
        "poststop" => ("stopped", 0),
        other => panic!("{other}"),
    };
    let expected = json!({
        "ociVersion": "1.0.2",
        "id": bundle.id(),
        "status": status,
        "pid": pid,
        "bundle": bundle.dir(),
        "annotations": {"org.example": "here"},
    });
    assert_eq!(told, &expected, "{stage}");
}

#[test]
fn a_state_of_any_size_arrives_whole() {
    let runtime = Runtime::new();
    let mut logged = Logged::new();
    for stage in STAGES {
        // Read late, when no pipe would still hold it.
        logged = logged.hook(stage, "sleep 0.1; wc -c >> $log");
    }
    let bundle = logged.bundle.set("/annotations", json!({"long": "x".repeat(200_000)}));

    runtime.run(&bundle).ok();

    let logged = Logged { bundle, log: logged.log };
    let text = logged.logged();
    let counts: Vec<u32> = text.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert!(counts.len() == 6 && counts.iter().all(|count| *count > 200_000), "{text}");
}

/// What GPU hooks do: find the container's mount namespace by the pid, and mount into the root
/// at the bundle's root path.
#[test]
fn a_hook_mounts_into_the_root_and_the_program_sees_it_and_the_host_does_not() {
    for stage in ["prestart", "createRuntime"] {
        let runtime = Runtime::new();
        let logged = Logged::new().shell("cat /etc/device");
        let root = logged.bundle.rootfs();
        fs::write(root.join("etc/device"), "the image's\n").unwrap();
        let driver = logged.bundle.dir().join("driver");
        fs::write(&driver, "the host's\n").unwrap();
        let line = format!(
            "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
             nsenter -t $pid -m mount --bind {} {}/etc/device",
            driver.display(),
            root.display()
        );
        let logged = logged.hook(stage, &line);
        let before = Snapshot::take(&runtime, &[logged.bundle.id()]);

        let said = runtime.run(&logged.bundle).ok();

        assert_eq!(said, "the host's\n", "{stage}");
        assert_eq!(fs::read_to_string(root.join("etc/device")).unwrap(), "the image's\n");
        before.assert_unchanged();
    }
}

#[test]
fn the_root_that_hooks_find_is_the_assembled_one() {
    let runtime = Runtime::new();
    let logged = Logged::new();
    let root = logged.bundle.rootfs();
    // What only the container has: its own /proc, its volume, its masks.
    let line = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
         nsenter -t $pid -m sh -c 'cd {}; ls volume; stat -f -c %T proc dev/pts; \
         ls dev/null' >> $log",
        root.display()
    );
    let logged = logged.hook("createRuntime", &line);

    runtime.run(&logged.bundle).ok();

    let text = logged.logged();
    assert!(text.starts_with("log\nproc\ndevpts\n"), "{text}");
    assert!(text.ends_with("dev/null\n"), "{text}");
}

#[test]
fn a_hook_configures_the_network_of_the_container() {
    let runtime = Runtime::new();
    let name = format!("cm{}", std::process::id());
    let logged = Logged::new().shell("cat /proc/net/dev; cat /sys/class/net/*/address");
    let line = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
         ip link add {name} type dummy && ip link set {name} netns /proc/$pid/ns/net && \
         nsenter --net=/proc/$pid/ns/net ip link set {name} address 02:00:00:00:00:17 up"
    );
    let logged = logged.hook("prestart", &line);
    let ran = runtime.run(&logged.bundle);
    if ran.stderr.contains("Unknown device type") {
        println!("skipped, because the kernel has no dummy network devices");
        return;
    }
    let said = ran.ok();

    assert!(said.contains(&format!("{name}:")), "{said}");
    assert!(said.contains("02:00:00:00:00:17"), "{said}");
}

#[test]
fn create_container_hooks_are_the_hosts_code_in_the_namespaces_of_the_container() {
    let runtime = Runtime::new();
    let logged = Logged::new().shell("cat /etc/device; readlink /proc/self/ns/net");
    let root = logged.bundle.rootfs();
    fs::write(root.join("etc/device"), "the image's\n").unwrap();
    fs::write(logged.bundle.dir().join("driver"), "the host's\n").unwrap();
    let line = format!(
        "{{ pwd; id -u; cat /proc/self/uid_map; for kind in user mnt net uts; do \
         readlink /proc/self/ns/$kind; done; echo $$; }} >> $log; \
         mount --bind {}/driver ./etc/device",
        logged.bundle.dir().display()
    );
    let logged = logged.hook("createContainer", &line);

    let said = runtime.run(&logged.bundle).ok();

    let text = logged.logged();
    let lines: Vec<_> = text.lines().collect();
    let own = |kind: &str| {
        fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(lines[0], root.to_str().unwrap(), "{text}");
    assert_eq!(lines[1], "0");
    assert!(lines[2].split_whitespace().eq(["0", "0", "4294967295"]), "{text}");
    assert_eq!(lines[3], own("user"));
    for (line, kind) in lines[4..7].iter().zip(["mnt", "net", "uts"]) {
        assert_ne!(**line, own(kind), "{kind}");
    }
    // Beside init, which is the first.
    assert!(lines[7].parse::<u32>().unwrap() < 100, "{text}");
    let said: Vec<_> = said.lines().collect();
    assert_eq!(said, ["the host's", lines[5]]);
}

// rows: hooks.env
#[test]
fn a_hook_has_three_descriptors_and_the_environment_that_it_was_given() {
    let runtime = Runtime::new();
    for stage in STAGES {
        let logged = Logged::new().hook(stage, "{ ls /proc/self/fd | wc -l; env; } >> $log");
        let bundle = logged.bundle.set(&format!("/hooks/{stage}/0/env"), json!(["A=b c", "D="]));
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["run", "--preserve-fds", "1", "--bundle", dir]);
        command.arg(bundle.id()).env("SECRET", "of the caller");
        // Descriptor 3 of the caller, which the program gets, and no hook.
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", "exec 3</etc/passwd; exec \"$0\" \"$@\""]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));

        runtime.finish(shell).ok();

        let text = fs::read_to_string(&logged.log).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        // Three, and the directory that is being listed.
        assert_eq!(lines.remove(0).trim(), "4", "{stage}: {text}");
        // What shells add by themselves.
        let own = ["PWD=", "SHLVL=", "_=", "PATH=/sbin:/usr/sbin:/bin:/usr/bin"];
        lines.retain(|line| !own.iter().any(|own| line.starts_with(own)));
        lines.sort_unstable();
        assert_eq!(lines, ["A=b c", "D="], "{stage}");
    }
}

#[test]
fn without_an_environment_a_hook_has_that_of_its_parent() {
    let runtime = Runtime::new();
    for (stage, expected) in [("prestart", "caller"), ("startContainer", "program")] {
        let logged = Logged::new().hook(stage, "echo $WHOSE >> $log");
        let bundle = logged.bundle.set("/process/env/-", json!("WHOSE=program"));
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
        command.env("WHOSE", "caller");

        runtime.finish(command).ok();

        assert_eq!(fs::read_to_string(&logged.log).unwrap().trim(), expected, "{stage}");
    }
}

#[test]
fn hooks_after_the_start_may_use_commands_on_the_container() {
    let runtime = Runtime::new();
    let logged = Logged::new().shell("trap 'exit 3' TERM; while :; do sleep 0.1; done");
    let (binary, root) = (env!("CARGO_BIN_EXE_casemate"), runtime.root());
    let id = logged.bundle.id();
    let line = format!(
        "{binary} --root {0} state {id} | grep status >> $log; {binary} --root {0} kill {id} TERM",
        root.display()
    );
    let logged = logged.hook("poststart", &line);

    let ran = runtime.run(&logged.bundle);

    assert_eq!(ran.status, Some(3), "{ran:?}");
    assert!(logged.logged().contains("running"), "{}", logged.logged());
}

#[test]
fn what_is_written_to_config_json_after_create_changes_no_hook() {
    let runtime = Runtime::new();
    let logged = Logged::new().hook("poststop", "echo as created >> $log");
    runtime.create(&logged.bundle).ok();
    let text = fs::read_to_string(logged.bundle.dir().join("config.json")).unwrap();
    let changed = text.replace("as created", "as changed");
    fs::write(logged.bundle.dir().join("config.json"), changed).unwrap();

    runtime.delete(&logged.bundle).ok();

    assert_eq!(logged.logged(), "as created\n");
}

#[test]
fn explain_shows_hooks_where_they_stand() {
    let runtime = Runtime::new();
    let mut bundle = Bundle::new();
    for stage in STAGES {
        bundle = bundle.set(&format!("/hooks/{stage}"), json!([shell("true")]));
    }
    let dir = bundle.dir().to_str().unwrap();

    let said = runtime.call(["explain", "--bundle", dir]).ok();

    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no {text} in {said}"));
    let order: Vec<usize> =
        STAGES.iter().map(|stage| at(&format!("{stage} hook #0 /bin/sh"))).collect();
    assert!(order.is_sorted(), "{said}");
    assert!(at("poststart hook #0") > at("process.execute"));
    assert!(at("createContainer hook #0") < at("rootfs.pivot"));
    assert!(at("startContainer hook #0") > at("gate.await-start"));
    at("config.json /hooks/createRuntime/0");
}
