//! The lifecycle of a container, rule by rule: runtime-spec, runtime.md, "Lifecycle".

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::support::{Bundle, Runtime, Snapshot};

// rows: cli.exit-statuses
#[test]
fn run_gives_the_status_of_the_program() {
    let runtime = Runtime::new();
    for status in [0, 1, 42, 126, 255] {
        let bundle = Bundle::new().shell(&format!("exit {status}"));

        assert_eq!(runtime.run(&bundle).status, Some(status));
    }
}

#[test]
fn a_killed_program_gives_128_and_the_signal() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("kill -9 $$; kill -TERM -1; sleep 9");
    let other = Bundle::new().args(["/bin/sleep", "60"]);
    runtime.create(&other).ok();
    runtime.start(&other).ok();

    runtime.kill(&other, "KILL").ok();
    runtime.wait_status(&other, "stopped");

    drop(bundle);
    runtime.delete(&other).ok();
}

// rows: state, create, start, delete
#[test]
fn a_container_goes_from_created_to_running_to_stopped_and_its_id_is_free_again() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    for _ in 0..2 {
        runtime.create(&bundle).ok();
        let created = runtime.state(&bundle);
        assert_eq!(created["status"], "created");
        assert_eq!(created["id"], bundle.id());
        assert!(created["pid"].as_i64().unwrap() > 0);
        runtime.start(&bundle).ok();
        assert_eq!(runtime.state(&bundle)["status"], "running");
        runtime.kill(&bundle, "KILL").ok();
        runtime.wait_status(&bundle, "stopped");
        assert_eq!(runtime.state(&bundle)["pid"], 0);
        runtime.delete(&bundle).ok();
    }
    before.assert_unchanged();
}

#[test]
fn create_does_not_run_the_program() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = bundle
        .mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"])
        .shell("touch /volume/ran");

    runtime.create(&bundle).ok();

    assert!(!volume.join("ran").exists());
    runtime.start(&bundle).ok();
    runtime.wait_status(&bundle, "stopped");
    assert!(volume.join("ran").exists());
}

#[test]
fn what_is_written_to_config_json_after_create_changes_nothing() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("exec sleep 60");
    runtime.create(&bundle).ok();

    fs::write(bundle.dir().join("config.json"), "{}").unwrap();

    runtime.start(&bundle).ok();
    assert_eq!(runtime.state(&bundle)["status"], "running");
}

// rows: create
#[test]
fn a_second_create_with_the_same_id_is_refused_and_harms_nothing() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.start(&bundle).ok();

    let said = runtime.create(&bundle).failed(1);

    assert!(said.contains("already"), "{said}");
    assert_eq!(runtime.state(&bundle)["status"], "running");
}

// rows: start
#[test]
fn start_is_for_created_containers_only() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    runtime.create(&bundle).ok();
    runtime.start(&bundle).ok();

    let said = runtime.start(&bundle).failed(1);

    assert!(said.contains("is running, only one that is created"), "{said}");
    assert_eq!(runtime.state(&bundle)["status"], "running");
}

// rows: kill, cli.error-words
#[test]
fn kill_on_a_stopped_container_says_what_engines_look_for() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    runtime.create(&bundle).ok();
    runtime.start(&bundle).ok();
    runtime.wait_status(&bundle, "stopped");

    let said = runtime.kill(&bundle, "TERM").failed(1);

    assert!(said.contains("container not running"), "{said}");
    runtime.call(["kill", "--all", bundle.id(), "KILL"]).ok();
}

#[test]
fn a_running_container_is_deleted_by_force_only() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    runtime.create(&bundle).ok();
    runtime.start(&bundle).ok();

    runtime.delete(&bundle).failed(1);
    assert_eq!(runtime.state(&bundle)["status"], "running");

    runtime.call(["delete", "--force", bundle.id()]).ok();
    before.assert_unchanged();
}

#[test]
fn a_created_container_can_be_deleted() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    runtime.create(&bundle).ok();

    runtime.delete(&bundle).ok();

    before.assert_unchanged();
}

#[test]
fn an_unknown_id_does_not_exist_except_for_a_forced_delete() {
    let runtime = Runtime::new();
    for command in ["state", "start", "kill", "delete"] {
        let said = runtime.call([command, "nobody"]).failed(1);
        assert!(said.contains("does not exist"), "{command}: {said}");
    }
    runtime.call(["delete", "--force", "nobody"]).ok();
}

#[test]
fn a_missing_program_fails_create_in_the_words_of_engines_and_leaves_nothing() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["no-such-program"]);
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime.create(&bundle).failed(1);

    assert!(
        said.contains("exec: \"no-such-program\": executable file not found in $PATH"),
        "{said}"
    );
    before.assert_unchanged();
}

#[test]
fn a_program_that_may_not_be_executed_fails_create() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/etc"]);

    let said = runtime.create(&bundle).failed(1);

    assert!(said.contains("is a directory"), "{said}");
}

#[test]
fn a_program_whose_links_go_in_circles_fails_create_and_one_behind_a_link_of_procfs_does_not() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/loop"]);
    std::os::unix::fs::symlink("loop", bundle.rootfs().join("bin/loop")).unwrap();
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime.create(&bundle).failed(1);

    assert!(said.contains("exec: \"/bin/loop\": too many levels of symbolic links"), "{said}");
    before.assert_unchanged();
    // Whoever is told apart from that follows it with no more than the container's own rights.
    let bundle = bundle.args(["/proc/1/root/bin/true"]);
    runtime.create(&bundle).ok();
    runtime.delete(&bundle).ok();
}

// rows: create.--pid-file
#[test]
fn the_pid_file_holds_the_bare_number_and_replaces_a_link_instead_of_following_it() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    let (file, target) = (bundle.dir().join("pid"), bundle.dir().join("target"));
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &file).unwrap();

    let pid_file = file.to_str().unwrap();
    let dir = bundle.dir().to_str().unwrap();
    runtime.call(["create", "--pid-file", pid_file, "--bundle", dir, bundle.id()]).ok();

    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), pid.to_string());
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

// rows: cli.options-after-id
#[test]
fn options_may_come_after_the_id() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();

    let dir = bundle.dir().to_str().unwrap();
    runtime.call(["run", bundle.id(), "--bundle", dir]).ok();
}

// rows: annotations
#[test]
fn annotations_and_the_digest_of_explain_are_in_the_state() {
    let runtime = Runtime::new();
    let bundle =
        Bundle::new().args(["/bin/sleep", "60"]).set("/annotations/org.example", json!("here"));
    let dir = bundle.dir().to_str().unwrap();
    let explained = runtime.call(["explain", "--json", "--bundle", dir]).ok();
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();

    runtime.create(&bundle).ok();

    let state = runtime.state(&bundle);
    assert_eq!(state["annotations"]["org.example"], "here");
    assert_eq!(state["annotations"]["org.casemate.level"], "hardened");
    assert_eq!(state["annotations"]["org.casemate.plan.digest"], explained["digest"]);
}

// rows: cli.signals
#[test]
fn signals_to_run_reach_the_program() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done");
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();

    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();

    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_caller_that_ignores_the_end_of_children_loses_none() {
    let hook = json!([{"path": "/bin/true"}]);
    let bundle = ["prestart", "createContainer", "poststop"]
        .iter()
        .fold(Bundle::new().shell("exit 7"), |bundle, stage| {
            bundle.set(&format!("/hooks/{stage}"), hook.clone())
        });
    let runtime = Runtime::new();
    let dir = bundle.dir().to_str().unwrap();
    let own = runtime.command(["run", "--bundle", dir, bundle.id()]);
    let ignoring = || {
        let mut command = Command::new("env");
        command.arg("--ignore-signal=CHLD");
        command
    };
    let mut look = ignoring();
    look.args(["grep", "SigIgn", "/proc/self/status"]);
    let said = runtime.finish(look).ok();
    let ignored = u64::from_str_radix(said.split_whitespace().last().unwrap(), 16).unwrap();
    assert_ne!(ignored & 1 << (libc::SIGCHLD - 1), 0, "`env` does not ignore it");
    let mut command = ignoring();
    command.arg(own.get_program()).args(own.get_args());

    let ran = runtime.finish(command);

    assert_eq!((ran.status, ran.stderr.as_str()), (Some(7), ""), "{ran:?}");
}
