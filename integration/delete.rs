//! `delete --force` of anything: whatever state a container is in, nothing of it is left.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Snapshot, patience, v2_group};

fn sleeping() -> Bundle {
    Bundle::new().args(["/bin/sleep", "600"])
}

fn started(runtime: &Runtime, bundle: &Bundle) {
    runtime.create(bundle).ok();
    runtime.start(bundle).ok();
}

fn force(runtime: &Runtime, bundle: &Bundle) {
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

fn file(runtime: &Runtime, bundle: &Bundle, name: &str) -> PathBuf {
    runtime.root().join(bundle.id()).join(name)
}

/// Does something to a running container, deletes it by force, and looks for what is left.
fn after(spoil: impl Fn(&Runtime, &Bundle)) {
    let runtime = Runtime::new();
    let bundle = sleeping();
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    started(&runtime, &bundle);
    spoil(&runtime, &bundle);
    force(&runtime, &bundle);
    before.assert_unchanged();
    // Again, of what is not there any more.
    force(&runtime, &bundle);
}

#[test]
fn a_paused_container_goes() {
    after(|runtime, bundle| {
        runtime.call(["pause", bundle.id()]).ok();
    });
}

#[test]
fn a_container_whose_record_is_damaged_goes() {
    after(|runtime, bundle| fs::write(file(runtime, bundle, "state.json"), "{\"vers").unwrap());
    after(|runtime, bundle| fs::remove_file(file(runtime, bundle, "state.json")).unwrap());
}

#[test]
fn a_container_of_another_version_goes() {
    after(|runtime, bundle| {
        for (name, at) in [("state.json", "/version"), ("plan.json", "/version")] {
            let path = file(runtime, bundle, name);
            let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            *document.pointer_mut(at).unwrap() = json!(77);
            fs::write(path, document.to_string()).unwrap();
        }
        let said = runtime.call(["state", bundle.id()]).failed(1);
        assert!(said.contains("format 77"), "{said}");
    });
}

#[test]
fn a_container_of_which_nothing_is_known_goes_by_its_mark() {
    let other = (Runtime::new(), sleeping());
    started(&other.0, &other.1);
    after(|runtime, bundle| {
        for name in ["state.json", "plan.json"] {
            fs::write(file(runtime, bundle, name), "\0").unwrap();
        }
    });
    assert_eq!(other.0.state(&other.1)["status"], "running");
}

#[test]
fn groups_that_the_workload_made_go_however_deep() {
    after(|runtime, bundle| {
        let group = v2_group(runtime.state(bundle)["pid"].as_i64().unwrap());
        let mut deep = group.clone();
        for _ in 0..60 {
            deep.push("deeper");
            fs::create_dir(&deep).unwrap();
        }
        fs::create_dir(group.join("beside")).unwrap();
        fs::write(deep.join("cgroup.freeze"), "1").unwrap();
    });
}

#[test]
fn a_process_that_somebody_put_into_the_group_goes() {
    let mut guest = None;
    let runtime = Runtime::new();
    let bundle = sleeping();
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    started(&runtime, &bundle);
    let group = v2_group(runtime.state(&bundle)["pid"].as_i64().unwrap());
    fs::create_dir(group.join("guests")).unwrap();
    let child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    fs::write(group.join("guests/cgroup.procs"), child.id().to_string()).unwrap();
    let guest = guest.insert(child);
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");
    // A lock that waits for its end must see it: this process is the guest's parent.
    force(&runtime, &bundle);

    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&guest.wait().unwrap()), Some(9));
    before.assert_unchanged();
}

#[test]
fn a_container_whose_group_was_taken_away_goes() {
    after(|runtime, bundle| {
        let pid = runtime.state(bundle)["pid"].as_i64().unwrap();
        let group = v2_group(pid);
        runtime.kill(bundle, "KILL").ok();
        runtime.wait_status(bundle, "stopped");
        let deadline = Instant::now() + patience(Duration::from_secs(10));
        while fs::remove_dir(&group).is_err() {
            assert!(Instant::now() < deadline);
        }
    });
}

/// Starts `run` in a process of its own, and waits until the container runs.
fn run_beside(runtime: &Runtime, bundle: &Bundle) -> Child {
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    let is_running = || {
        let ran = runtime.call(["state", bundle.id()]);
        ran.status == Some(0) && ran.stdout.contains("\"running\"")
    };
    while !is_running() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_dead_init_that_nobody_has_reaped_goes() {
    let runtime = Runtime::new();
    let bundle = sleeping();
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let mut run = run_beside(&runtime, &bundle);
    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    // Who would reap it sleeps.
    signal(&run, Signal::STOP);
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("State:\tZ"), "{status}");

    force(&runtime, &bundle);

    signal(&run, Signal::CONT);
    assert_eq!(run.wait().unwrap().code(), Some(137));
    before.assert_unchanged();
}

#[test]
fn a_container_whose_runtime_was_killed_at_any_moment_goes() {
    let runtime = Runtime::new();
    let mut left = 0;
    let whole = {
        let (bundle, begun) = (sleeping(), Instant::now());
        runtime.create(&bundle).ok();
        begun.elapsed()
    };
    for round in 0..24 {
        let bundle = sleeping();
        let before = Snapshot::take(&runtime, &[bundle.id()]);
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["create", "--bundle", dir, bundle.id()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / 24);
        let _ = child.kill();
        child.wait().unwrap();
        left += usize::from(runtime.root().join(bundle.id()).exists());

        force(&runtime, &bundle);

        before.assert_unchanged();
    }
    assert!(left > 0, "no kill has hit a creation");
}
