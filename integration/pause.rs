//! `pause`, `resume` and `ps`: processes that stop, go on, and are seen.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Bundle, Runtime, Snapshot, eventually, patience};

/// A container that counts up in a file of its volume, fast.
fn counting() -> Bundle {
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    bundle
        .mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"])
        .shell("i=0; while :; do i=$((i+1)); echo $i > /volume/.n; mv /volume/.n /volume/n; done")
}

fn count(bundle: &Bundle) -> u64 {
    let text = fs::read_to_string(bundle.dir().join("volume/n")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn wait_until_above(bundle: &Bundle, before: u64) {
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while count(bundle) <= before {
        assert!(Instant::now() < deadline, "it does not go on");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn started(runtime: &Runtime, bundle: &Bundle) {
    runtime.create(bundle).ok();
    runtime.start(bundle).ok();
}

// rows: pause, resume
#[test]
fn a_paused_container_does_nothing_until_it_is_resumed() {
    let runtime = Runtime::new();
    let bundle = counting();
    started(&runtime, &bundle);
    wait_until_above(&bundle, 0);

    runtime.call(["pause", bundle.id()]).ok();

    let (state, before) = (runtime.state(&bundle), count(&bundle));
    assert_eq!(state["status"], "paused");
    assert!(state["pid"].as_i64().unwrap() > 0);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(count(&bundle), before);
    assert!(runtime.call(["list"]).ok().contains("paused"));
    runtime.call(["resume", bundle.id()]).ok();
    assert_eq!(runtime.state(&bundle)["status"], "running");
    wait_until_above(&bundle, before);
}

#[test]
fn pausing_and_resuming_are_for_those_that_are_not_yet() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);

    let said = runtime.call(["resume", bundle.id()]).failed(1);
    assert!(said.contains("container not paused"), "{said}");
    runtime.call(["pause", bundle.id()]).ok();
    let said = runtime.call(["pause", bundle.id()]).failed(1);
    assert!(said.contains("container not running"), "{said}");
    runtime.call(["resume", bundle.id()]).ok();
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");
    for command in ["pause", "resume"] {
        let said = runtime.call([command, bundle.id()]).failed(1);
        assert!(said.contains("container not "), "{command}: {said}");
        let said = runtime.call([command, "nobody"]).failed(1);
        assert!(said.contains("does not exist"), "{command}: {said}");
    }
}

#[test]
fn a_created_container_can_be_paused_and_is_not_started_then() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    runtime.create(&bundle).ok();
    runtime.call(["pause", bundle.id()]).ok();

    let said = runtime.start(&bundle).failed(1);

    assert!(said.contains("cannot start a container that is paused"), "{said}");
    runtime.call(["resume", bundle.id()]).ok();
    assert_eq!(runtime.state(&bundle)["status"], "created");
    runtime.start(&bundle).ok();
    assert_eq!(runtime.state(&bundle)["status"], "running");
}

#[test]
fn a_paused_container_can_be_killed_but_not_deleted() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    started(&runtime, &bundle);
    runtime.call(["pause", bundle.id()]).ok();

    let said = runtime.delete(&bundle).failed(1);
    assert!(said.contains("container is paused, not stopped"), "{said}");
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");
    runtime.delete(&bundle).ok();

    before.assert_unchanged();
}

#[test]
fn a_signal_reaches_a_paused_container_when_it_goes_on() {
    let runtime = Runtime::new();
    let bundle = counting();
    let bundle = bundle.shell(
        "trap 'echo 77 > /volume/n; exit' TERM; echo 0 > /volume/n; while :; do sleep 0.05; done",
    );
    started(&runtime, &bundle);
    let n = bundle.dir().join("volume/n");
    eventually("it does not begin", || fs::read_to_string(&n).is_ok_and(|text| text == "0\n"));
    runtime.call(["pause", bundle.id()]).ok();

    runtime.kill(&bundle, "TERM").ok();

    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((count(&bundle), &runtime.state(&bundle)["status"]), (0, &Value::from("paused")));
    runtime.call(["resume", bundle.id()]).ok();
    runtime.wait_status(&bundle, "stopped");
    assert_eq!(count(&bundle), 77);
}

/// Whether the host has the program whose table is shown; says so if not.
fn has_ps() -> bool {
    let has = ["/bin/ps", "/usr/bin/ps"].iter().any(|path| std::path::Path::new(path).exists());
    if !has {
        println!("skipped, because there is no `ps` here");
    }
    has
}

fn pids(runtime: &Runtime, id: &str) -> Vec<i64> {
    serde_json::from_str(&runtime.call(["ps", "--format", "json", id]).ok()).unwrap()
}

// rows: ps
#[test]
fn ps_lists_every_process_of_the_container_and_none_of_others() {
    if !has_ps() {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("sleep 60 & sleep 61 & wait");
    started(&runtime, &bundle);
    let init = runtime.state(&bundle)["pid"].as_i64().unwrap();
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while pids(&runtime, bundle.id()).len() < 3 {
        assert!(Instant::now() < deadline, "{:?}", pids(&runtime, bundle.id()));
    }

    let table = runtime.call(["ps", bundle.id()]).ok();

    assert!(pids(&runtime, bundle.id()).contains(&init));
    assert!(table.lines().next().unwrap().contains("PID"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    let chosen = runtime.call(["ps", bundle.id(), "-e", "-o", "pid,args"]).ok();
    assert!(
        chosen
            .lines()
            .any(|line| line.trim() == format!("{init} /bin/sh -c sleep 60 & sleep 61 & wait")),
        "{chosen}"
    );
    assert_eq!(chosen.matches("sleep 61").count(), 2, "{chosen}");
    let said = runtime.call(["ps", bundle.id(), "-o", "args"]).failed(1);
    assert!(said.contains("PID"), "{said}");
}

#[test]
fn ps_of_a_stopped_container_is_empty() {
    if !has_ps() {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    started(&runtime, &bundle);
    runtime.wait_status(&bundle, "stopped");

    assert_eq!(runtime.call(["ps", "-f", "json", bundle.id()]).ok(), "[]\n");
    assert_eq!(runtime.call(["ps", bundle.id()]).ok().lines().count(), 1);
    let said = runtime.call(["ps", "nobody"]).failed(1);
    assert!(said.contains("does not exist"), "{said}");
}
