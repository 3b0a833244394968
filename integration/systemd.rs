//! The systemd cgroup driver, against a real systemd: `hack/systemd.sh` boots one in namespaces,
//! and the virtual machines of `hack/vm.sh` have one.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Bundle, Runtime, Snapshot, group_value, has_controller, patience, unique_tag, v2_group,
};

/// Whether there is a systemd to talk to; says so if not.
fn has_systemd() -> bool {
    let runs = Path::new("/run/systemd/system").is_dir();
    if !runs {
        println!("skipped, because systemd is not this machine's init: try hack/systemd.sh");
    }
    runs
}

fn runtime() -> Runtime {
    Runtime::new().with_global("--systemd-cgroup")
}

/// A bundle whose group is a scope of a slice of its own. Limits are asked for only where this
/// host has their controllers.
fn sleeping() -> Bundle {
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    let path = format!("{}:box:{}", slice(&bundle), bundle.id());
    let bundle = bundle.set("/linux/cgroupsPath", json!(path));
    if has_controller("pids") { bundle } else { bundle.unset("/linux/resources/pids") }
}

/// Dashes mean levels to systemd, so there are none in the name.
fn slice(bundle: &Bundle) -> String {
    format!("{}.slice", bundle.id().replace('-', "_"))
}

fn unit(bundle: &Bundle) -> String {
    format!("box-{}.scope", bundle.id())
}

fn started(runtime: &Runtime, bundle: &Bundle) {
    runtime.create(bundle).ok();
    runtime.start(bundle).ok();
}

fn systemctl(words: &[&str]) -> String {
    let output = Command::new("systemctl").args(words).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A property of a unit, as systemd shows it.
fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

fn is_loaded(unit: &str) -> bool {
    property(unit, "LoadState") == "loaded"
}

#[track_caller]
fn wait_until_gone(unit: &str) {
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while is_loaded(unit) {
        assert!(Instant::now() < deadline, "{unit} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// rows: cli.--systemd-cgroup, linux.cgroupsPath
#[test]
fn a_container_is_a_scope_in_its_slice_for_as_long_as_it_lives() {
    if !has_systemd() {
        return;
    }
    let (runtime, bundle) = (runtime(), sleeping());
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    started(&runtime, &bundle);

    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let place = format!("/{}/{}", slice(&bundle), unit(&bundle));
    assert!(groups.lines().any(|line| line == format!("0::{place}")), "{groups}");
    assert_eq!(property(&unit(&bundle), "ControlGroup"), place);
    assert_eq!(property(&unit(&bundle), "Slice"), slice(&bundle));
    assert_eq!(property(&unit(&bundle), "Delegate"), "yes");
    assert_eq!(property(&unit(&bundle), "ActiveState"), "active");
    // Nobody but init: what held the place is gone.
    let procs = fs::read_to_string(v2_group(pid).join("cgroup.procs")).unwrap();
    assert_eq!(procs, format!("{pid}\n"));
    runtime.call(["pause", bundle.id()]).ok();
    assert_eq!(runtime.state(&bundle)["status"], "paused");
    runtime.call(["resume", bundle.id()]).ok();
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");
    wait_until_gone(&unit(&bundle));
    runtime.delete(&bundle).ok();
    before.assert_unchanged();
}

#[test]
fn without_a_path_the_scope_is_named_by_the_id() {
    if !has_systemd() {
        return;
    }
    let runtime = runtime();
    let bundle = sleeping().unset("/linux/cgroupsPath");
    runtime.create(&bundle).ok();

    let unit = format!("casemate-{}.scope", bundle.id());
    assert_eq!(property(&unit, "Slice"), "system.slice");
    assert_eq!(property(&unit, "Description"), format!("casemate container {}", bundle.id()));
    runtime.delete(&bundle).ok();
    wait_until_gone(&unit);
}

#[test]
fn limits_are_known_to_systemd_and_hold_after_it_reloads() {
    if !has_systemd() || !["memory", "pids", "cpu"].iter().all(|name| has_controller(name)) {
        return;
    }
    let runtime = runtime();
    let bundle = sleeping()
        .set("/linux/resources/memory", json!({"limit": 67_108_864, "reservation": 33_554_432}))
        .set("/linux/resources/pids/limit", json!(1))
        .set("/linux/resources/cpu", json!({"shares": 512, "quota": 25_000, "period": 100_000}));
    started(&runtime, &bundle);
    let value = |controller: &str, v1: &str, v2: &str| {
        group_value(&runtime, &bundle, (controller, v1, v2)).unwrap()
    };
    let holds = || {
        assert_eq!(value("memory", "memory.limit_in_bytes", "memory.max"), "67108864");
        assert_eq!(value("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432");
        assert_eq!(value("pids", "pids.max", "pids.max"), "1");
        let weight = value("cpu", "cpu.shares", "cpu.weight");
        assert!(["512", "59"].contains(&weight.as_str()), "{weight}");
        let quota = value("cpu", "cpu.cfs_quota_us", "cpu.max");
        assert!(["25000", "25000 100000"].contains(&quota.as_str()), "{quota}");
    };

    holds();

    let unit = unit(&bundle);
    assert_eq!(property(&unit, "MemoryMax"), "67108864");
    assert_eq!(property(&unit, "MemoryLow"), "33554432");
    assert_eq!(property(&unit, "TasksMax"), "1");
    let weights = [property(&unit, "CPUWeight"), property(&unit, "CPUShares")];
    assert!(weights.contains(&"59".to_owned()) || weights.contains(&"512".to_owned()));
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "250ms");
    systemctl(&["daemon-reload"]);
    holds();
    // It writes all that it knows when somebody sets something.
    systemctl(&["set-property", "--runtime", &unit, "CPUAccounting=yes", "MemorySwapMax=1G"]);
    assert_eq!(property(&unit, "MemorySwapMax"), "1073741824");
    holds();
}

#[test]
fn an_update_is_told_to_systemd() {
    if !has_systemd() || !["memory", "pids", "cpu"].iter().all(|name| has_controller(name)) {
        return;
    }
    let (runtime, bundle) = (runtime(), sleeping());
    started(&runtime, &bundle);

    let words = ["update", "--memory", "64M", "--pids-limit", "33", "--cpu-quota", "33333"];
    runtime.call(words.into_iter().chain([bundle.id()])).ok();

    let unit = unit(&bundle);
    assert_eq!(property(&unit, "MemoryMax"), "67108864");
    assert_eq!(property(&unit, "TasksMax"), "33");
    // What systemd keeps is rounded up, what holds is what was asked for.
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "340ms");
    let max = group_value(&runtime, &bundle, ("cpu", "cpu.cfs_quota_us", "cpu.max")).unwrap();
    assert!(["33333", "33333 100000"].contains(&max.as_str()), "{max}");
}

#[test]
fn a_path_of_the_other_driver_is_refused() {
    if !has_systemd() {
        return;
    }
    let runtime = runtime();
    for path in ["/some/path", "a.slice:b", "a--b.slice:p:n", "a.slice:p:n.slice"] {
        let bundle = sleeping().set("/linux/cgroupsPath", json!(path));
        let said = runtime.create(&bundle).failed(1);
        assert!(said.contains(&format!("/linux/cgroupsPath: `{path}`")), "{said}");
    }
}

#[test]
fn a_property_of_the_unit_needs_the_policy_and_is_then_set() {
    if !has_systemd() {
        return;
    }
    let annotated = || {
        sleeping()
            .set("/annotations/org.systemd.property.TimeoutStopUSec", json!("uint64 7000000"))
            .set("/annotations/org.systemd.property.Description", json!("'mine'"))
    };
    let bundle = annotated();
    let before = Snapshot::take(&runtime(), &[bundle.id()]);

    let said = runtime().create(&bundle).failed(3);

    assert!(said.contains("cgroup.unit-properties"), "{said}");
    assert!(said.contains("/annotations/org.systemd.property.Description"), "{said}");
    before.assert_unchanged();
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.toml");
    let allowed =
        "level = \"hardened\"\n[systemd]\nproperties = [\"TimeoutStopUSec\", \"Description\"]\n";
    fs::write(&policy, allowed).unwrap();
    let runtime = runtime().with_global("--policy").with_global(&policy);
    let bundle = annotated();
    runtime.create(&bundle).ok();
    assert_eq!(property(&unit(&bundle), "TimeoutStopUSec"), "7s");
    assert_eq!(property(&unit(&bundle), "Description"), "mine");
    runtime.delete(&bundle).ok();
    // What makes the scope the container's is nobody's to set, and nonsense is told as such.
    for (name, value) in [("PIDs", "[uint32 1]"), ("Nice", "('a', 5)")] {
        fs::write(&policy, format!("level = \"hardened\"\n[systemd]\nproperties = [\"{name}\"]\n"))
            .unwrap();
        let key = format!("/annotations/org.systemd.property.{name}");
        let said = runtime.create(&sleeping().set(&key, json!(value))).failed(1);
        assert!(said.contains(&key), "{said}");
    }
}

#[test]
fn a_property_that_systemd_does_not_know_fails_the_creation_and_leaves_nothing() {
    if !has_systemd() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.toml");
    fs::write(&policy, "level = \"hardened\"\n[systemd]\nproperties = [\"NoSuch\"]\n").unwrap();
    let runtime = runtime().with_global("--policy").with_global(&policy);
    let bundle = sleeping().set("/annotations/org.systemd.property.NoSuch", json!("true"));
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime.create(&bundle).failed(1);

    assert!(said.contains("NoSuch") && said.contains(&unit(&bundle)), "{said}");
    wait_until_gone(&unit(&bundle));
    before.assert_unchanged();
}

#[test]
fn a_scope_that_lives_is_not_taken_over() {
    if !has_systemd() {
        return;
    }
    let (runtime, first) = (runtime(), sleeping());
    started(&runtime, &first);
    let path = first.config()["linux"]["cgroupsPath"].clone();
    let second = sleeping().set("/linux/cgroupsPath", path);
    let before = Snapshot::take(&runtime, &[second.id()]);

    let said = runtime.create(&second).failed(1);

    assert!(said.contains("UnitExists"), "{said}");
    before.assert_unchanged();
    assert_eq!(runtime.state(&first)["status"], "running");
}

#[test]
fn whatever_state_it_is_in_a_forced_delete_leaves_no_unit() {
    if !has_systemd() {
        return;
    }
    let runtime = runtime();
    for spoil in ["", "pause", "state.json", "plan.json"] {
        let bundle = sleeping();
        let before = Snapshot::take(&runtime, &[bundle.id()]);
        started(&runtime, &bundle);
        match spoil {
            "" => {}
            "pause" => drop(runtime.call(["pause", bundle.id()]).ok()),
            file => {
                let state = runtime.root().join(bundle.id());
                fs::write(state.join("state.json"), "x").unwrap();
                fs::write(state.join(file), "x").unwrap();
            }
        }
        runtime.call(["delete", "--force", bundle.id()]).ok();
        wait_until_gone(&unit(&bundle));
        before.assert_unchanged();
    }
}

#[test]
fn a_runtime_killed_at_any_moment_leaves_a_scope_that_can_be_removed() {
    if !has_systemd() {
        return;
    }
    let runtime = runtime();
    let mut left = 0;
    let whole = {
        let (bundle, begun) = (sleeping(), Instant::now());
        runtime.create(&bundle).ok();
        begun.elapsed()
    };
    for round in 0..16 {
        let bundle = sleeping();
        let before = Snapshot::take(&runtime, &[bundle.id()]);
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["create", "--bundle", dir, bundle.id()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / 16);
        let _ = child.kill();
        child.wait().unwrap();
        left += usize::from(runtime.root().join(bundle.id()).exists());

        runtime.call(["delete", "--force", bundle.id()]).ok();

        wait_until_gone(&unit(&bundle));
        before.assert_unchanged();
    }
    assert!(left > 0, "no kill has hit a creation");
}

#[test]
fn the_program_runs_and_its_status_is_passed_on() {
    if !has_systemd() {
        return;
    }
    let runtime = runtime();
    let bundle = sleeping().shell("cat /proc/self/cgroup; exit 42");
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let ran = runtime.run(&bundle);

    // Of its own group it sees the root, whoever made it.
    assert_eq!((ran.status, ran.stdout.contains("0::/\n")), (Some(42), true), "{ran:?}");
    wait_until_gone(&unit(&bundle));
    before.assert_unchanged();
}

#[test]
fn without_a_bus_systemd_itself_is_asked() {
    if !has_systemd() {
        return;
    }
    let (runtime, bundle) = (runtime(), sleeping());
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let without_bus = |words: &[&str]| {
        let call = runtime.command(words);
        let hide = "mount --bind /dev/null /run/dbus/system_bus_socket && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", hide, "sh"]);
        command.arg(call.get_program()).args(call.get_args()).stdin(Stdio::null());
        runtime.finish(command)
    };

    without_bus(&["create", "--bundle", bundle.dir().to_str().unwrap(), bundle.id()]).ok();

    assert_eq!(property(&unit(&bundle), "Slice"), slice(&bundle));
    without_bus(&["delete", bundle.id()]).ok();
    wait_until_gone(&unit(&bundle));
    before.assert_unchanged();
}

#[test]
fn without_systemd_the_flag_is_an_error_that_says_so() {
    if Path::new("/run/systemd/system").exists() {
        println!("skipped, because systemd is this machine's init");
        return;
    }
    let tag = unique_tag();
    let said = runtime().call(["create", "--bundle", "/nonexistent", &tag]).failed(1);

    assert!(said.contains("systemd cgroup flag passed, but systemd support"), "{said}");
}
