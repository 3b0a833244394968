//! What becomes of a container whose hooks fail. Spec: runtime-spec, runtime.md, "Lifecycle".

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Logged, STAGES};
use crate::support::{Runtime, Snapshot, eventually};

/// The second of three hooks of a point fails; hooks after the end are logged.
fn failing(stage: &str) -> Logged {
    Logged::new()
        .hook(stage, "echo first >> $log")
        .hook(stage, "echo second >> $log; echo went wrong >&2; exit 7")
        .hook(stage, "echo third >> $log")
        .hook("poststop", "echo poststop >> $log")
        .shell("sleep 60")
}

// rows: operations.hook-failures
#[test]
fn a_failed_hook_ends_the_container_and_those_after_its_end_are_run() {
    let runtime = Runtime::new();
    for stage in &STAGES[..5] {
        let logged = failing(stage);
        let before = Snapshot::take(&runtime, &[logged.bundle.id()]);

        let said = runtime.run(&logged.bundle).failed(1);

        let expected = format!("error running {stage} hook #1: exit status 7, saying: went wrong");
        assert!(said.contains(&expected), "{stage}: {said}");
        assert!(said.contains(&format!("config.json /hooks/{stage}/1")), "{stage}: {said}");
        assert_eq!(logged.logged(), "first\nsecond\npoststop\n", "{stage}");
        before.assert_unchanged();
    }
}

#[test]
fn create_fails_with_its_hooks_and_leaves_nothing() {
    let runtime = Runtime::new();
    for stage in &STAGES[..3] {
        let logged = failing(stage);
        let before = Snapshot::take(&runtime, &[logged.bundle.id()]);

        let said = runtime.create(&logged.bundle).failed(1);

        assert!(said.contains(&format!("error running {stage} hook #1:")), "{said}");
        assert_eq!(logged.logged(), "first\nsecond\npoststop\n", "{stage}");
        before.assert_unchanged();
    }
}

#[test]
fn a_container_whose_hooks_after_the_start_fail_is_killed_and_left_for_delete() {
    let runtime = Runtime::new();
    let logged = failing("poststart");
    let before = Snapshot::take(&runtime, &[logged.bundle.id()]);
    runtime.create(&logged.bundle).ok();

    let said = runtime.start(&logged.bundle).failed(1);

    assert!(said.contains("error running poststart hook #1: exit status 7"), "{said}");
    assert_eq!(runtime.state(&logged.bundle)["status"], "stopped");
    assert_eq!(logged.logged(), "first\nsecond\n");
    runtime.delete(&logged.bundle).ok();
    assert_eq!(logged.logged(), "first\nsecond\npoststop\n");
    before.assert_unchanged();
}

#[test]
fn hooks_after_the_end_all_run_and_their_failure_is_a_warning() {
    let runtime = Runtime::new();
    let logged = Logged::new()
        .hook("poststop", "echo one >> $log; exit 1")
        .hook("poststop", "echo two >> $log");
    let log = logged.bundle.dir().join("log.json");
    let runtime_log = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    runtime.create(&logged.bundle).ok();

    let deleted = runtime.call(runtime_log.iter().chain(&["delete", logged.bundle.id()]));

    assert_eq!(deleted.status, Some(0), "{deleted:?}");
    assert!(deleted.stderr.starts_with("warning: delete `"), "{deleted:?}");
    assert!(deleted.stderr.contains("error running poststop hook #0: exit status 1"));
    // Engines take what stands there for the reason of a failure.
    assert_eq!(std::fs::read_to_string(&log).unwrap_or_default(), "");
    assert_eq!(logged.logged(), "one\ntwo\n");

    let ran = runtime.run(&logged.bundle);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("warning: run `"), "{ran:?}");
}

// rows: hooks.timeout
#[test]
fn a_hook_that_takes_too_long_is_killed_with_what_it_started() {
    let runtime = Runtime::new();
    for stage in ["prestart", "createContainer", "poststart"] {
        let logged = Logged::new().hook(stage, "echo $$ >> $log; sleep 300 & sleep 300");
        let logged = Logged {
            bundle: logged.bundle.set(&format!("/hooks/{stage}/0/timeout"), json!(1)),
            log: logged.log,
        };
        let logged = logged.shell("sleep 300");
        let began = Instant::now();

        let said = runtime.run(&logged.bundle).failed(1);

        assert!(
            said.contains(&format!("error running {stage} hook #0: it ran past its")),
            "{said}"
        );
        assert!(began.elapsed() < Duration::from_secs(60), "{stage}");
        if stage != "createContainer" {
            let group = logged.logged().trim().to_owned();
            // Killed they are; how soon they are gone is the machine's business.
            eventually(stage, || alive_in(&group) == 0);
        }
    }
}

/// How many processes of a group have not ended.
fn alive_in(group: &str) -> usize {
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
            fields[2] == group && !["Z", "X"].contains(&fields[0])
        })
        .count()
}

#[test]
fn a_hook_that_leaves_a_process_behind_is_not_waited_for() {
    let runtime = Runtime::new();
    let logged = Logged::new().hook("prestart", "sleep 300 & echo $! >> $log");
    let began = Instant::now();

    runtime.run(&logged.bundle).ok();

    assert!(began.elapsed() < Duration::from_secs(60));
    let left: i32 = logged.logged().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

#[test]
fn a_failure_before_any_hook_runs_none() {
    let runtime = Runtime::new();
    let logged = Logged::new()
        .hook("prestart", "echo prestart >> $log")
        .hook("poststop", "echo poststop >> $log");
    let bundle = logged.bundle.set("/process/cwd", json!("/etc/passwd/below"));

    runtime.run(&bundle).failed(1);

    assert_eq!(std::fs::read_to_string(&logged.log).unwrap(), "");
}

#[test]
fn a_failure_after_a_hook_runs_those_that_clean_up() {
    let runtime = Runtime::new();
    let logged = Logged::new()
        .hook("prestart", "echo prestart >> $log")
        .hook("poststop", "echo poststop >> $log");
    // Looked up only once hooks may have put it there.
    let bundle = logged.bundle.args(["/no/such/program"]);

    let said = runtime.create(&bundle).failed(1);

    assert!(said.contains("exec: \"/no/such/program\": no such file or directory"), "{said}");
    assert_eq!(std::fs::read_to_string(&logged.log).unwrap(), "prestart\npoststop\n");
}
