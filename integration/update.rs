//! `update`: limits that change under a container, by what it can do then.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, group_value, has_controller, patience};

const MEMORY: (&str, &str, &str) = ("memory", "memory.limit_in_bytes", "memory.max");
const PIDS: (&str, &str, &str) = ("pids", "pids.max", "pids.max");

fn audit() -> (tempfile::TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.toml");
    fs::write(&file, "level = \"audit\"\n").unwrap();
    let runtime = Runtime::new().with_global("--policy").with_global(&file);
    (dir, runtime)
}

fn started(runtime: &Runtime, bundle: &Bundle) {
    runtime.create(bundle).ok();
    runtime.start(bundle).ok();
}

/// Feeds a document to `update --resources -`.
fn update(runtime: &Runtime, bundle: &Bundle, document: &Value) -> (Option<i32>, String) {
    let mut command = runtime.command(["update", "--resources", "-", bundle.id()]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// What the audit record has of this container under this event, the last line first.
fn recorded(bundle: &Bundle, event: &str) -> Option<Value> {
    let text = fs::read_to_string("/var/log/casemate/audit.jsonl").unwrap();
    let lines = text.lines().rev().filter(|line| line.contains(bundle.id()));
    let mut events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.find(|found| found["event"] == event)
}

#[test]
fn what_cannot_be_recorded_is_not_changed() {
    if !has_controller("pids") {
        return;
    }
    let (runtime, bundle) = (Runtime::new(), Bundle::new().args(["/bin/sleep", "60"]));
    started(&runtime, &bundle);
    let before = group_value(&runtime, &bundle, PIDS);
    let own = runtime.command(["update", "--pids-limit", "77", bundle.id()]);
    // As on a disk that is full; files of control groups know no such limit.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"]);
    command.arg(own.get_program()).args(own.get_args());

    runtime.finish(command).failed(1);

    assert_eq!(group_value(&runtime, &bundle, PIDS), before);
    runtime.call(["update", "--pids-limit", "77", bundle.id()]).ok();
    assert_ne!(group_value(&runtime, &bundle, PIDS), before);
}

// rows: update
#[test]
fn a_raised_limit_lets_through_what_was_killed_before() {
    if !has_controller("memory") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    // Each file that appears is a request to take 48 MB; the answer stands beside it.
    let script = "while :; do for f in /volume/*.try; do [ -e $f ] || continue; \
                  dd if=/dev/zero of=/dev/null bs=48M count=1 2>/dev/null; echo $? > ${f%.try}.did; \
                  rm $f; done; sleep 0.02; done";
    let bundle = bundle
        .mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"])
        .set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}))
        .shell(script);
    started(&runtime, &bundle);
    let attempt = |name: &str| {
        let deadline = std::time::Instant::now() + patience(std::time::Duration::from_secs(10));
        fs::write(volume.join(name).with_extension("try"), "").unwrap();
        loop {
            match fs::read_to_string(volume.join(name).with_extension("did")) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                Ok(_) | Err(_) => {}
            }
            assert!(std::time::Instant::now() < deadline, "no answer");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    assert_eq!(attempt("small"), "137", "the limit must hold before");

    runtime.call(["update", "--memory", "96M", "--memory-swap", "96M", bundle.id()]).ok();

    assert_eq!(attempt("large"), "0");
    assert_eq!(runtime.state(&bundle)["status"], "running");
    runtime.call(["update", bundle.id(), "--memory", "16m", "--memory-swap", "16m"]).ok();
    assert_eq!(attempt("again"), "137");
}

// rows: update.--resources
#[test]
fn limits_come_by_standard_input_too_and_the_change_is_recorded() {
    if !has_controller("memory") || !has_controller("pids") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .args(["/bin/sleep", "600"])
        .set("/linux/resources/memory", json!({"limit": 33_554_432}));
    started(&runtime, &bundle);

    let document = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 30}});
    assert_eq!(update(&runtime, &bundle, &document), (Some(0), String::new()));

    assert_eq!(group_value(&runtime, &bundle, MEMORY).as_deref(), Some("67108864"));
    assert_eq!(group_value(&runtime, &bundle, PIDS).as_deref(), Some("30"));
    let event = recorded(&bundle, "updated").unwrap();
    assert_eq!(
        event["limits"],
        json!([
            {"at": "/linux/resources/memory/limit", "from": "33554432", "to": "67108864"},
            {"at": "/linux/resources/pids/limit", "from": "512", "to": "30"},
        ])
    );
    let state = fs::read_to_string(runtime.root().join(bundle.id()).join("state.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let settings = state["record"]["limits"]["settings"].as_array().unwrap();
    assert!(settings.iter().any(|one| one["v2"]["value"] == "67108864"), "{state}");
}

#[test]
fn what_an_update_does_not_name_is_as_the_last_one_left_it() {
    if !has_controller("cpu") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .args(["/bin/sleep", "600"])
        .set("/linux/resources/cpu", json!({"quota": 50_000, "period": 100_000}));
    started(&runtime, &bundle);
    let bandwidth = || {
        let quota = group_value(&runtime, &bundle, ("cpu", "cpu.cfs_quota_us", "cpu.max")).unwrap();
        let period =
            group_value(&runtime, &bundle, ("cpu", "cpu.cfs_period_us", "cpu.max")).unwrap();
        if quota.contains(' ') { quota } else { format!("{quota} {period}") }
    };
    assert_eq!(bandwidth(), "50000 100000");

    runtime.call(["update", "--cpu-period", "50000", bundle.id()]).ok();
    assert_eq!(bandwidth(), "50000 50000");
    runtime.call(["update", "--cpu-quota", "20000", bundle.id()]).ok();
    assert_eq!(bandwidth(), "20000 50000");
}

#[test]
fn no_update_takes_the_limit_of_processes_away_but_under_audit() {
    if !has_controller("pids") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);

    runtime.call(["update", "--pids-limit", "-1", bundle.id()]).ok();
    assert_eq!(group_value(&runtime, &bundle, PIDS).as_deref(), Some("4096"));
    let event = recorded(&bundle, "updated").unwrap();
    assert_eq!(event["changes"][0]["rule"], "cgroup.pids-limit");
    runtime.call(["update", "--pids-limit", "77", bundle.id()]).ok();
    assert_eq!(group_value(&runtime, &bundle, PIDS).as_deref(), Some("77"));

    let (_dir, runtime) = audit();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);
    runtime.call(["update", "--pids-limit", "-1", bundle.id()]).ok();
    assert_eq!(group_value(&runtime, &bundle, PIDS).as_deref(), Some("max"));
    let event = recorded(&bundle, "updated").unwrap();
    assert_eq!(event["changes"][0]["rule"], "cgroup.pids-limit");
}

#[test]
fn letter_case_hides_no_limit_and_two_that_differ_in_it_alone_are_refused() {
    let (_dir, runtime) = audit();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);
    let limit = ("pids", "pids.max", "pids.max");

    let (status, said) = update(&runtime, &bundle, &json!({"Pids": {"LIMIT": 77}}));
    assert_eq!((status, said.as_str()), (Some(0), ""));
    if let Some(value) = group_value(&runtime, &bundle, limit) {
        assert_eq!(value, "77");
    }

    let (status, said) =
        update(&runtime, &bundle, &json!({"pids": {"limit": 5}, "Pids": {"limit": 6}}));
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("/pids: stands twice, in different letter case"), "{said}");
}

#[test]
fn an_update_that_fails_changes_nothing() {
    if !has_controller("memory") || !has_controller("cpuset") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .args(["/bin/sleep", "600"])
        .set("/linux/resources/memory", json!({"limit": 33_554_432}));
    started(&runtime, &bundle);

    let processors = json!({"memory": {"limit": 67_108_864}, "cpu": {"cpus": "4000"}});
    let (status, said) = update(&runtime, &bundle, &processors);

    assert_eq!(status, Some(1));
    assert!(said.contains("/linux/resources/cpu/cpus"), "{said}");
    assert_eq!(group_value(&runtime, &bundle, MEMORY).as_deref(), Some("33554432"));
    assert!(recorded(&bundle, "failed").is_some());
    runtime.call(["update", "--memory", "40M", bundle.id()]).ok();
    assert_eq!(group_value(&runtime, &bundle, MEMORY).as_deref(), Some("41943040"));
}

#[test]
fn what_makes_no_sense_is_refused_by_name_before_anything_changes() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);
    for (document, words) in [
        (json!({"memory": {"limt": 5}}), "`/memory/limt` is not known"),
        (json!({"memory": {"swap": 5}}), "/linux/resources/memory/swap: counts memory and swap"),
        (json!({"cpu": {"idle": 2}}), "/linux/resources/cpu/idle: 2 is neither 0 nor 1"),
        (json!([]), "resources:"),
    ] {
        let (status, said) = update(&runtime, &bundle, &document);
        assert_eq!(status, Some(1), "{document}");
        assert!(said.contains(words), "{document}: {said}");
    }
    for options in [["--memory", "many"], ["--cpu-quota", "x"], ["--blkio-weight", "-1"]] {
        let [option, value] = options;
        runtime.call(["update", option, value, bundle.id()]).failed(2);
    }
    let said = runtime.call(["update", "--l3-cache-schema", "L3:0=f", bundle.id()]).failed(1);
    assert!(said.contains("Intel RDT"), "{said}");
}

#[test]
fn a_paused_container_is_updated_and_stays_paused_and_a_stopped_one_is_not() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);
    runtime.call(["pause", bundle.id()]).ok();

    runtime.call(["update", "--pids-limit", "30", bundle.id()]).ok();

    assert_eq!(runtime.state(&bundle)["status"], "paused");
    runtime.call(["resume", bundle.id()]).ok();
    // Obsolete, and accepted.
    runtime
        .call(["update", "--kernel-memory", "5m", "--kernel-memory-tcp", "5m", bundle.id()])
        .ok();
    runtime.kill(&bundle, "KILL").ok();
    runtime.wait_status(&bundle, "stopped");
    let said = runtime.call(["update", "--pids-limit", "30", bundle.id()]).failed(1);
    assert!(said.contains("container not running"), "{said}");
}

#[test]
fn a_limit_below_what_is_in_use_is_rejected_if_asked() {
    if !has_controller("memory") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .args(["/bin/sleep", "600"])
        .set("/linux/resources/memory", json!({"limit": 33_554_432}));
    started(&runtime, &bundle);

    for (memory, words) in [
        (json!({"limit": 1024, "checkBeforeUpdate": true}), "rejecting memory limit"),
        (
            json!({"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}),
            "rejecting memory+swap limit",
        ),
    ] {
        let (status, said) = update(&runtime, &bundle, &json!({"memory": memory}));
        assert_eq!(status, Some(1));
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(runtime.state(&bundle)["status"], "running");
}
