//! Every step of a full plan is failed in turn: the report names it, and the host is as before.

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Snapshot};

/// A bundle whose plan has every kind of step that needs no engine.
fn full() -> Bundle {
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    std::fs::create_dir(&volume).unwrap();
    bundle
        .set("/root/readonly", json!(false))
        .mount("/made/here", "bind", volume.to_str().unwrap(), &["rbind", "rw"])
        .mount("/memory", "tmpfs", "tmpfs", &["mode=700", "size=64k"])
        .set("/process/cwd", json!("/made-for-cwd"))
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]))
        .set("/process/oomScoreAdj", json!(500))
        .set("/domainname", json!("example"))
        .set("/process/user/umask", json!(0o27))
        .set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 3}))
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}))
        .set("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"}))
        .set("/linux/personality", json!({"domain": "LINUX"}))
        .set("/linux/namespaces/-", json!({"type": "time"}))
        .set("/linux/timeOffsets", json!({"boottime": {"secs": 5}}))
        .set("/linux/sysctl", json!({"kernel.shmmni": "100", "net.ipv4.ping_group_range": "0 0"}))
}

/// The same with hooks, which have the root attached where the bundle has it.
fn full_with_hooks() -> Bundle {
    let hook = json!([{"path": "/bin/true"}]);
    let stages =
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    stages.iter().fold(full(), |bundle, stage| bundle.set(&format!("/hooks/{stage}"), hook.clone()))
}

fn explained(runtime: &Runtime, bundle: &Bundle) -> Value {
    let dir = bundle.dir().to_str().unwrap();
    serde_json::from_str(&runtime.call(["explain", "--json", "--bundle", dir]).ok()).unwrap()
}

/// The numbers of the steps that can fail a container: not what follows its end.
fn numbers(explained: &Value) -> Vec<usize> {
    let steps = explained["plan"]["steps"].as_array().unwrap();
    let numbered = (1..).zip(steps).filter(|(_, step)| step["track"] != "after-end");
    numbered.map(|(number, _)| number).collect()
}

/// A bundle whose plan has the steps that only a level has which holds nothing back.
fn full_as_written() -> Bundle {
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let mapped = json!({"destination": "/mapped", "source": volume, "options": ["rbind"],
        "uidMappings": map, "gidMappings": map});
    let (inside, node) = (bundle.rootfs().join("etc"), "/srv/device");
    bundle
        .set("/root/readonly", json!(false))
        .set("/mounts/-", mapped)
        .mount("/mapped/below", "tmpfs", "tmpfs", &[])
        .mount("/memory", "tmpfs", "tmpfs", &[])
        .mount("/memory", "tmpfs", "", &["remount", "ro"])
        .mount("/inside", "bind", inside.to_str().unwrap(), &["rbind"])
        .set("/linux/devices", json!([{"type": "c", "path": node, "major": 1, "minor": 3}]))
        .set("/linux/rootfsPropagation", json!("rshared"))
        .set("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": -1}))
}

#[test]
fn every_step_can_fail_and_leaves_nothing_behind() {
    fail_each(&Runtime::new(), &full(), 80);
}

#[test]
fn every_step_beside_hooks_can_fail_too() {
    fail_each(&Runtime::new(), &full_with_hooks(), 80);
}

#[test]
fn every_step_of_a_bundle_as_written_can_fail_too() {
    fail_each(&Runtime::audit(), &full_as_written(), 60);
}

/// Nobody can undo anything: what is left must be found by whoever deletes the container.
#[test]
fn a_create_that_is_killed_after_a_step_leaves_only_what_delete_removes() {
    // With a root that is mounted for all to see: it outlives everybody.
    let shown = Bundle::new().set("/linux/namespaces/4", json!({"type": "time"}));
    for (runtime, bundle) in [(Runtime::new(), full_with_hooks()), (Runtime::audit(), shown)] {
        let explained = explained(&runtime, &bundle);
        let steps = explained["plan"]["steps"].as_array().unwrap();
        let is_ours = |step: &Value| step["track"] == "prepare" || step["track"] == "supervisor";
        let ours: Vec<_> = (1..).zip(steps).filter(|(_, step)| is_ours(step)).collect();
        assert!(ours.len() > 20, "the plan has only {} such steps", ours.len());
        let before = Snapshot::take(&runtime, &[bundle.id()]);
        // The last one is that which mounts such a root.
        for (number, step) in ours.into_iter().rev().step_by(7) {
            let dir = bundle.dir().to_str().unwrap();
            let mut command = runtime.command(["create", "--bundle", dir, bundle.id()]);
            command.env("CASEMATE_DIES_AFTER", number.to_string());
            let died = runtime.finish(command);
            assert_eq!(died.status, None, "{step}: {}", died.stderr);

            runtime.call(["delete", "--force", bundle.id()]).ok();

            before.assert_unchanged();
        }
    }
}

fn fail_each(runtime: &Runtime, bundle: &Bundle, at_least: usize) {
    let steps = numbers(&explained(runtime, bundle));
    assert!(steps.len() > at_least, "the plan has only {} steps", steps.len());
    let before = Snapshot::take(runtime, &[bundle.id()]);
    let tree = files(bundle.dir());
    for number in steps {
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
        command.env("CASEMATE_FAULT", number.to_string());

        let said = runtime.finish(command).failed(1);

        assert!(said.contains(&format!("step {number} `")), "step {number}: {said}");
        assert!(said.contains("EUCLEAN"), "step {number}: {said}");
        before.assert_unchanged();
        assert_eq!(files(bundle.dir()), tree, "step {number} left a file");
    }
    runtime.run(bundle).ok();
}

#[test]
fn a_failed_create_leaves_as_little_as_a_failed_run() {
    let runtime = Runtime::new();
    let bundle = full();
    let explained = explained(&runtime, &bundle);
    let steps = explained["plan"]["steps"].as_array().unwrap();
    let last = steps.iter().position(|step| step["action"]["do"] == "await-start").unwrap();
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    for number in (1..=last).step_by(5) {
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["create", "--bundle", dir, bundle.id()]);
        command.env("CASEMATE_FAULT", number.to_string());

        runtime.finish(command).failed(1);

        before.assert_unchanged();
    }
}

#[test]
fn a_step_that_fails_after_start_is_reported_by_start() {
    let runtime = Runtime::new();
    let bundle = full();
    let explained = explained(&runtime, &bundle);
    let steps = explained["plan"]["steps"].as_array().unwrap();
    let number = steps.iter().position(|step| step["action"]["do"] == "set-ids").unwrap() + 1;
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["create", "--bundle", dir, bundle.id()]);
    command.env("CASEMATE_FAULT", number.to_string());
    runtime.finish(command).ok();

    let said = runtime.start(&bundle).failed(1);

    assert!(said.contains(&format!("step {number} `process.set-ids` failed")), "{said}");
    runtime.wait_status(&bundle, "stopped");
    runtime.delete(&bundle).ok();
}

/// Every path below `root`.
fn files(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
