//! Which containers can be entered, and where in their control groups.

use std::fs;
use std::path::PathBuf;

use super::{exec, sleeper, stay, words};
use crate::support::{Bundle, Runtime, eventually, groups_of};

#[test]
fn only_a_container_that_lives_is_entered() {
    let runtime = Runtime::new();
    let said = runtime.call(["exec", "nobody", "true"]).failed(255);
    assert!(said.contains("container `nobody` does not exist"), "{said}");

    let bundle = sleeper(&runtime);
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");
    let said = exec(&runtime, &bundle, &[], &["true"]).failed(255);
    assert!(said.contains("container not running"), "{said}");
}

#[test]
fn another_process_under_inits_number_is_not_entered() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let file = runtime.root().join(bundle.id()).join("state.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    state["record"]["process"]["pid"] = std::process::id().into();
    fs::write(&file, state.to_string()).unwrap();

    let said = exec(&runtime, &bundle, &[], &["true"]).failed(255);

    assert!(said.contains("container not running"), "{said}");
    fs::write(&file, text).unwrap();
    exec(&runtime, &bundle, &[], &["true"]).ok();
}

#[test]
fn a_plan_that_is_not_the_containers_is_not_followed() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let file = runtime.root().join(bundle.id()).join("plan.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("forbid-new-privileges", "reset-signals")).unwrap();

    let said = exec(&runtime, &bundle, &[], &["true"]).failed(255);

    assert!(said.contains("plan.json is not the plan that made the container"), "{said}");
}

/// The container's own group of cgroup v2.
fn group(bundle: &Bundle) -> PathBuf {
    let unified = PathBuf::from("/sys/fs/cgroup/unified");
    let base = if unified.is_dir() { unified } else { PathBuf::from("/sys/fs/cgroup") };
    base.join(bundle.id())
}

// rows: exec.--ignore-paused
/// How many processes are in the container's group.
fn members(bundle: &Bundle) -> usize {
    fs::read_to_string(group(bundle).join("cgroup.procs")).unwrap().lines().count()
}

// rows: exec.--ignore-paused
#[test]
fn a_paused_container_is_entered_only_if_asked_for_and_the_program_waits() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let freeze = |value: &str| fs::write(group(&bundle).join("cgroup.freeze"), value).unwrap();
    let frozen = || {
        let events = fs::read_to_string(group(&bundle).join("cgroup.events")).unwrap();
        events.contains("frozen 1")
    };
    freeze("1");
    eventually("not frozen", frozen);

    let said = exec(&runtime, &bundle, &[], &["true"]).failed(255);
    assert!(said.contains("cannot exec in a paused container"), "{said}");

    let line = words(&bundle, &["--ignore-paused"], &["sh", "-c", "exit 5"]);
    let mut waiting = runtime.command(line).spawn().unwrap();
    eventually("nobody came in", || members(&bundle) == 2);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(waiting.try_wait().unwrap().is_none(), "it ran in a frozen container");
    // Others are not kept out by it.
    assert_eq!(runtime.state(&bundle)["id"], bundle.id());
    freeze("0");
    assert_eq!(waiting.wait().unwrap().code(), Some(5));
}

#[test]
fn who_waits_for_a_paused_container_can_be_told_to_stop() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    fs::write(group(&bundle).join("cgroup.freeze"), "1").unwrap();
    let line = words(&bundle, &["--ignore-paused"], &["sleep", "99"]);
    let mut waiting = runtime.command(line).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("nobody came in", || members(&bundle) == 2);

    let pid = nix::unistd::Pid::from_raw(i32::try_from(waiting.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();

    assert_eq!(waiting.wait().unwrap().code(), Some(255));
    assert_eq!(members(&bundle), 1);
    fs::write(group(&bundle).join("cgroup.freeze"), "0").unwrap();
}

// rows: exec.--cgroup
#[test]
fn a_group_below_the_containers_own_can_be_entered_and_none_outside() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let below = group(&bundle).join("below");
    fs::create_dir(&below).unwrap();
    let v1 = PathBuf::from("/sys/fs/cgroup/pids").join(bundle.id());
    let has_v1 = v1.is_dir();
    let own = groups_of(super::init(&runtime, &bundle));

    let plain = stay(&runtime, &bundle, &["--cgroup", "/"], &["sleep", "1000"]);
    let unified = stay(&runtime, &bundle, &["--cgroup", "unified:below"], &["sleep", "1000"]);

    assert_eq!(groups_of(plain), own);
    let line = format!("0::/{}/below", bundle.id());
    assert!(groups_of(unified).contains(&line), "{:?}", groups_of(unified));
    if has_v1 {
        let said = exec(&runtime, &bundle, &["--cgroup", "below"], &["true"]).failed(255);
        assert!(said.contains("no such file or directory"), "{said}");
        fs::create_dir(v1.join("below")).unwrap();
        let pids = stay(&runtime, &bundle, &["--cgroup", "pids:below"], &["sleep", "1000"]);
        let line = format!(":pids:/{}/below", bundle.id());
        assert!(
            groups_of(pids).iter().any(|found| found.ends_with(&line)),
            "{:?}",
            groups_of(pids)
        );
        assert!(groups_of(pids).contains(&format!("0::/{}", bundle.id())));
        let asked = ["--cgroup", "pids,unified:below"];
        let two = stay(&runtime, &bundle, &asked, &["sleep", "1000"]);
        let is_below = |names: &str| {
            let line = format!(":{names}:/{}/below", bundle.id());
            groups_of(two).iter().any(|found| found.ends_with(&line))
        };
        assert!(is_below("pids") && is_below(""), "{:?}", groups_of(two));
    } else {
        println!("the v1 half is skipped, because this host holds no limit in cgroup v1");
    }
    // Without a name it must be there in every hierarchy that the container is in.
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let own = hierarchy.unwrap().path().join(bundle.id());
        if own.is_dir() {
            // A set of processors without any takes nobody.
            let _ = fs::write(own.join("cgroup.clone_children"), "1");
            fs::create_dir_all(own.join("below")).unwrap();
        }
    }
    let both = stay(&runtime, &bundle, &["--cgroup", "below"], &["sleep", "1000"]);
    assert!(groups_of(both).contains(&line), "{:?}", groups_of(both));
    for (asked, words) in [
        ("nonesuch", "no such file or directory"),
        ("whaaat:/", "unknown controller"),
        ("below/cgroup.procs", "not a directory"),
    ] {
        let said = exec(&runtime, &bundle, &["--cgroup", asked], &["true"]).failed(255);
        assert!(said.contains(words), "{asked}: {said}");
    }
}

#[test]
fn where_the_own_group_holds_no_processes_inits_is_entered() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let group = group(&bundle);
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap();
    let Some(controller) = controllers.split_whitespace().next() else {
        return println!("skipped, because cgroup v2 has no controller on this host");
    };
    fs::create_dir(group.join("init")).unwrap();
    let pid = super::init(&runtime, &bundle);
    fs::write(group.join("init/cgroup.procs"), pid.to_string()).unwrap();
    fs::write(group.join("cgroup.subtree_control"), format!("+{controller}")).unwrap();

    let entered = stay(&runtime, &bundle, &[], &["sleep", "1000"]);

    assert_eq!(groups_of(entered), groups_of(pid));
}
