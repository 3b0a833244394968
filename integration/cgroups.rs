//! Control groups from outside the library: on this host, on a host with v2 alone, and after a
//! runtime that was killed at any moment.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use casemate::cgroup::{Cgroup, Claimant, Hierarchies, remove_planned};
use casemate::plan::cgroup::{
    CgroupPlan, CgroupRequest, Driver, StandardDevices, build_cgroup_plan, check_enforceable,
};
use serde_json::json;

use crate::support::{Bundle, Runtime};

/// Says to the test binary, run by itself, what to do instead of testing.
const ROLE: &str = "CASEMATE_TEST_CGROUP_ROLE";

fn plan(path: &str, resources: &str) -> CgroupPlan {
    let resources = serde_json::from_str(resources).unwrap();
    build_cgroup_plan(&CgroupRequest {
        resources: Some(&resources),
        cgroups_path: Some(Path::new(path)),
        default_pids_limit: None,
        standard_devices: StandardDevices::Open,
        driver: Driver::Cgroupfs,
    })
    .unwrap()
}

fn claimant(id: impl Into<String>) -> Claimant {
    Claimant { id: id.into(), root: "/run/tests".to_owned() }
}

fn unique(name: &str) -> String {
    format!("cmint-{name}-{}", std::process::id())
}

/// A shell in the group, waiting for a line.
fn enter(group: &Cgroup, hierarchies: &Hierarchies, script: &str) -> Child {
    let child = Command::new("/bin/sh")
        .args(["-c", &format!("read go; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for directory in group.paths(hierarchies) {
        std::fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    child
}

fn finish(mut child: Child) -> std::process::Output {
    drop(child.stdin.take());
    child.wait_with_output().unwrap()
}

/// Runs one test of this binary again, in another role.
fn again(program: &mut Command, test: &str, role: &str) -> Child {
    let exe = std::env::current_exe().unwrap();
    program.arg(exe).args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    program.env(ROLE, role).stdout(Stdio::null()).spawn().unwrap()
}

fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Everything a container's life asks of its group, wherever the hierarchies are.
fn live_a_life(name: &str) {
    let hierarchies = Hierarchies::open().unwrap();
    let name = unique(name);
    let plan = plan(&format!("/{name}/web"), r#"{"devices": [{"allow": false, "access": "rwm"}]}"#);
    assert_eq!(check_enforceable(&plan, hierarchies.facts()), Ok(vec![]));

    let group = Cgroup::create(&plan, claimant("web"), &hierarchies).unwrap();
    let script = "echo null >/dev/null && ! cat /dev/kmsg && echo fine";
    let looks = enter(&group, &hierarchies, script);
    assert_eq!(finish(looks).stdout, b"fine\n");
    let mut stays = enter(&group, &hierarchies, "true");
    group.freeze().unwrap();
    assert!(group.is_frozen().unwrap() && group.is_populated().unwrap());
    group.kill_all().unwrap();
    assert_eq!(stays.wait().unwrap().signal(), Some(9));
    let directories = group.paths(&hierarchies);
    group.remove(&hierarchies).unwrap();

    for directory in directories {
        assert!(!directory.exists() && !directory.parent().unwrap().exists());
    }
}

#[test]
fn a_group_serves_a_container_on_this_host() {
    live_a_life("here");
}

#[test]
fn a_group_serves_a_container_on_a_pure_v2_host() {
    if role().is_some() {
        return live_a_life("pure");
    }
    let script = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script, "sh"]);

    let mut child =
        again(&mut unshare, &here("a_group_serves_a_container_on_a_pure_v2_host"), "pure");

    assert!(child.wait().unwrap().success());
}

#[test]
fn a_runtime_killed_at_any_moment_leaves_a_group_that_can_be_removed() {
    let test = here("a_runtime_killed_at_any_moment_leaves_a_group_that_can_be_removed");
    if let Some(name) = role() {
        let hierarchies = Hierarchies::open().unwrap();
        let plan = plan(&name, r#"{"pids": {"limit": 50}, "memory": {"limit": 33554432}}"#);
        loop {
            let group = Cgroup::create(&plan, claimant("victim"), &hierarchies).unwrap();
            group.remove(&hierarchies).unwrap();
        }
    }
    let hierarchies = Hierarchies::open().unwrap();
    let mut left = 0;
    for round in 0..20 {
        let name = unique(&format!("victim{round}"));
        let mut child = again(&mut Command::new("env"), &test, &name);
        // From the first creation on, at another moment each time.
        let deadline = Instant::now() + Duration::from_secs(60);
        while trace(&name, &hierarchies).is_empty() && Instant::now() < deadline {}
        std::thread::sleep(Duration::from_micros(137 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        left += trace(&name, &hierarchies).len();

        remove_planned(&plan(&name, "{}").path, &claimant("victim"), &hierarchies).unwrap();

        assert!(trace(&name, &hierarchies).is_empty());
    }
    assert!(left > 0, "no kill has hit a creation");
}

#[test]
fn a_path_in_systemds_form_is_the_name_of_a_group_where_systemd_is_not_asked() {
    let (runtime, bundle) = (Runtime::new(), Bundle::new().args(["/bin/sleep", "60"]));
    let name = format!("{}.slice:pod:{}", bundle.id(), bundle.id());
    let bundle = bundle.set("/linux/cgroupsPath", json!(name));
    let hierarchies = Hierarchies::open().unwrap();

    let pid = runtime.started(&bundle);

    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(groups.lines().any(|line| line == format!("0::/{name}")), "{groups}");
    assert!(!trace(&name, &hierarchies).is_empty());
    runtime.call(["exec", bundle.id(), "true"]).ok();
    runtime.call(["pause", bundle.id()]).ok();
    runtime.call(["resume", bundle.id()]).ok();
    runtime.call(["delete", "--force", bundle.id()]).ok();
    assert!(trace(&name, &hierarchies).is_empty());
    for climbing in ["..:pod:x", "a:..:x", "../a:b:c"] {
        let bundle = Bundle::new().set("/linux/cgroupsPath", json!(climbing));
        let said = runtime.create(&bundle).failed(1);
        assert!(said.contains("/linux/cgroupsPath: has a `..`"), "{said}");
    }
}

/// The directories of this name in any hierarchy.
fn trace(name: &str, hierarchies: &Hierarchies) -> Vec<PathBuf> {
    let v1 = hierarchies.facts().v1.values().map(PathBuf::as_path);
    let mounts = hierarchies.v2_mount().into_iter().chain(v1);
    mounts.map(|mount| mount.join(name)).filter(|path| path.exists()).collect()
}

/// A test's full name, as the harness knows it.
fn here(test: &str) -> String {
    match module_path!().split_once("::") {
        Some((_, module)) => format!("{module}::{test}"),
        None => test.to_owned(),
    }
}

// rows: linux.cgroupsPath
#[test]
fn who_named_a_group_that_another_container_is_in_is_said() {
    let (runtime, other) = (Runtime::audit(), Runtime::audit());
    let bundle = Bundle::new().args(["/bin/sleep", "100"]);
    let created = |runtime: &Runtime, bundle: &Bundle| runtime.create(bundle).failed(1);

    let bundle = bundle.set("/linux/cgroupsPath", json!(""));
    runtime.create(&bundle).ok();
    let said = created(&other, &bundle);
    assert!(said.contains("has processes of someone else's"), "{said}");
    assert!(said.contains("asked for by casemate: the bundle names no group"), "{said}");

    runtime.call(["delete", "--force", bundle.id()]).ok();
    let bundle = bundle.set("/linux/cgroupsPath", json!(format!("/{}", unique("named"))));
    runtime.create(&bundle).ok();
    let said = created(&other, &bundle);
    assert!(said.contains("asked for by config.json /linux/cgroupsPath"), "{said}");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}
