//! Every step of an `exec` is failed in turn; and each that holds something back is left out,
//! which must show.

use std::path::Path;

use serde_json::json;

use super::same_box::Box;
use super::{init, started, words};
use crate::support::{Bundle, Ran, Runtime, Snapshot};

fn container(runtime: &Runtime) -> Bundle {
    let bundle = Bundle::new()
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]))
        .set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"}))
        .set("/process/user", json!({"uid": 0, "gid": 0, "umask": 23, "additionalGids": [7]}))
        .set("/process/oomScoreAdj", json!(500));
    started(runtime, bundle)
}

fn with(runtime: &Runtime, bundle: &Bundle, options: &[&str], fault: (&str, &str)) -> Ran {
    let mut command = runtime.command(words(bundle, options, &["sleep", "1000"]));
    command.env(fault.0, fault.1);
    runtime.finish(command)
}

#[test]
fn every_step_can_fail_and_leaves_the_container_and_the_host_as_they_were() {
    let runtime = Runtime::new();
    let bundle = container(&runtime);
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let mut failed = Vec::new();
    for number in 1.. {
        let ran = with(&runtime, &bundle, &["-d"], ("CASEMATE_FAULT", &number.to_string()));
        if ran.status == Some(0) {
            break;
        }
        assert!(matches!(ran.status, Some(255)), "{ran:?}");
        let said = ran.stderr;
        assert!(said.contains(&format!("step {number} `")), "step {number}: {said}");
        assert!(said.contains("EUCLEAN"), "step {number}: {said}");
        before.assert_unchanged();
        let name = said.split('`').nth(3).unwrap_or_default().to_owned();
        failed.push(name);
    }
    assert!(failed.len() >= 26, "only {failed:?}");
    for name in ["exec.open-init", "ns.come-home", "ns.join", "process.execute"] {
        assert!(failed.iter().any(|step| step == name), "{name} is not in {failed:?}");
    }
}

#[test]
fn a_step_that_is_left_out_shows_as_a_difference() {
    let runtime = Runtime::new();
    let bundle = container(&runtime);
    let first = Box::of(init(&runtime, &bundle));
    let file = bundle.dir().join("pid");
    let has_v1 = Path::new("/sys/fs/cgroup/pids").join(bundle.id()).is_dir();
    for (step, line) in [
        ("caps.limit-bounding", "CapBnd"),
        ("privs.forbid-new,seccomp.load", "NoNewPrivs"),
        ("seccomp.load", "Seccomp"),
        ("seccomp.load", "filter"),
        ("process.set-ids", "Groups"),
        ("process.set-umask", "Umask"),
        ("limit.set", "limits"),
        ("limit.set-oom-score", "oom_score_adj"),
        ("cgroup.join-v1", "cgroup"),
        ("cgroup.open,cgroup.join-v1", "cgroup"),
        ("process.reset-signals", "SigBlk"),
        ("ns.join,ids.become-root,process.set-ids,caps.set,seccomp.load", "ns/user"),
        ("ns.join,ids.become-root,process.set-ids,caps.set,seccomp.load", "ns/cgroup"),
    ] {
        if step == "cgroup.join-v1" && !has_v1 {
            println!("{step} is skipped, because this host holds no limit in cgroup v1");
            continue;
        }
        if line == "filter" && first.line(line).is_empty() {
            println!("the filter is skipped, because nothing here can read it");
            continue;
        }
        let options = ["-d", "--pid-file", file.to_str().unwrap()];
        with(&runtime, &bundle, &options, ("CASEMATE_SKIP", step)).ok();

        let pid = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        let differences = first.differences(&Box::of(pid));
        assert!(differences.iter().any(|name| name == line), "{step}: {differences:?}");
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}

/// Prints every command line that is seen inside, but for its own.
const WATCH: &str = "while :; do for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || cat $p/cmdline; \
                     done; done 2>/dev/null";

#[test]
fn the_runtimes_arguments_are_not_seen_inside() {
    let seen = |skip: &str| {
        let runtime = Runtime::new();
        let bundle = Bundle::new().shell(WATCH);
        let created = runtime.create(&bundle);
        runtime.start(&bundle).ok();
        for _ in 0..60 {
            let mut command = runtime.command(words(&bundle, &["-e", "A=s3cret"], &["true"]));
            command.env("CASEMATE_SKIP", skip);
            runtime.finish(command).ok();
            if created.printed().contains("s3cret") {
                return true;
            }
        }
        created.printed().contains("s3cret")
    };

    assert!(!seen(""));
    assert!(seen("exec.cover-arguments"), "without the step the attack must succeed");
}
