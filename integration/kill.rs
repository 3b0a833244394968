//! `kill`: what ends when init is told to, and what is refused.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bundle, Runtime, patience};

/// A container without a pid namespace, its init's process id, and that of a child of it.
fn of_the_host(runtime: &Runtime) -> (Bundle, Pid) {
    let mut bundle = Bundle::new().shell("sleep 1000 & echo $! > /dev/shm/child; sleep 1000");
    let namespaces = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    let kept: Vec<_> = namespaces.into_iter().filter(|one| one["type"] != "pid").collect();
    bundle = bundle.set("/linux/namespaces", kept.into());
    let init = runtime.started(&bundle);
    (bundle, Pid::from_raw(i32::try_from(init).unwrap()).unwrap())
}

/// Waits until no process of the container's group is left.
fn wait_empty(bundle: &Bundle) {
    let group = bundle.config()["linux"]["cgroupsPath"].as_str().unwrap();
    for _ in 0..500 {
        let listed = fs::read_to_string(format!("{}{group}/cgroup.procs", unified()));
        if listed.is_err() || listed.is_ok_and(|pids| pids.is_empty()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("processes are left in {group}");
}

fn unified() -> &'static str {
    let alone = Path::new("/sys/fs/cgroup/cgroup.procs").exists();
    if alone { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" }
}

#[test]
fn without_a_pid_namespace_all_end_with_init_also_those_that_it_left_behind() {
    let runtime = Runtime::audit();
    let (whole, _) = of_the_host(&runtime);
    let (orphaned, init) = of_the_host(&runtime);

    runtime.kill(&whole, "KILL").ok();
    kill_process(init, Signal::KILL).unwrap();
    runtime.wait_status(&orphaned, "stopped");
    runtime.kill(&orphaned, "KILL").ok();

    for bundle in [&whole, &orphaned] {
        wait_empty(bundle);
        let said = runtime.kill(bundle, "KILL").failed(1);
        assert!(said.contains("container not running"), "{said}");
    }
}

#[test]
fn signal_0_asks_whether_there_is_a_process() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("sleep 1000");
    runtime.started(&bundle);

    runtime.kill(&bundle, "0").ok();
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");

    assert!(runtime.kill(&bundle, "0").failed(1).contains("container not running"));
    runtime.call(["kill", "--all", bundle.id(), "0"]).ok();
}

/// At once, again and again: init may still be on its way to where it waits.
#[test]
fn a_created_container_ends_when_it_is_told_to() {
    let runtime = Runtime::new();
    for _ in 0..30 {
        let bundle = Bundle::new();
        runtime.create(&bundle).ok();

        runtime.kill(&bundle, "TERM").ok();

        runtime.wait_status(&bundle, "stopped");
    }
}

#[test]
fn a_created_container_ends_although_its_caller_held_signals_up() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let dir = bundle.dir().to_str().unwrap();
    let own = runtime.command(["create", "--bundle", dir, bundle.id()]);
    let mut command = std::process::Command::new("env");
    command.arg("--block-signal=TERM").arg(own.get_program()).args(own.get_args());
    runtime.finish(command).ok();

    runtime.kill(&bundle, "TERM").ok();

    runtime.wait_status(&bundle, "stopped");
}

#[test]
fn a_program_that_was_started_has_no_handler_of_ours() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("grep Sig /proc/self/status >&2; exec sleep 1000");
    let pid = runtime.started(&bundle);

    let read = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    // The shell before it has handlers of its own.
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while !read().starts_with("Name:\tsleep\n") {
        assert!(Instant::now() < deadline, "{}", read());
    }
    let status = read();
    assert!(status.contains("SigCgt:\t0000000000000000"), "{status}");
}
