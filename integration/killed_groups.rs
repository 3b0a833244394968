//! Births in control groups that were killed once (`cgroup.kill`): Linux 6.18 takes a process that
//! is cloned from one of them into another for one that the kill ran into, and kills it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Bundle, Ran, Runtime, cgroup2, groups_of, unique_tag};

/// A group of cgroup v2 that was killed once, while it was empty.
struct KilledGroup(PathBuf);

impl KilledGroup {
    fn new() -> Self {
        Self::at(&unique_tag())
    }

    fn at(name: &str) -> Self {
        let group = Self(cgroup2().join(name));
        fs::create_dir(&group.0).unwrap();
        fs::write(group.0.join("cgroup.kill"), "1").unwrap();
        group
    }

    fn name(&self) -> String {
        format!("/{}", self.0.file_name().unwrap().to_str().unwrap())
    }

    /// The same call, made from inside the group.
    fn around(&self, command: &Command) -> Command {
        let mut around = Command::new("/bin/sh");
        around.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        around.arg(command.get_program()).args(command.get_args());
        around.current_dir(command.get_current_dir().unwrap());
        around
    }
}

impl Drop for KilledGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn words<'a>(bundle: &'a Bundle, subcommand: &'a str) -> [&'a str; 4] {
    [subcommand, "--bundle", bundle.dir().to_str().unwrap(), bundle.id()]
}

/// What `create` or `run` comes to when it is called from inside the group.
fn from(group: &KilledGroup, runtime: &Runtime, bundle: &Bundle, subcommand: &str) -> Ran {
    runtime.finish(group.around(&runtime.command(words(bundle, subcommand))))
}

fn joined(group: &str) -> String {
    format!("0::{group}")
}

#[test]
fn a_container_is_run_from_a_group_that_was_killed() {
    let (runtime, group) = (Runtime::new(), KilledGroup::new());
    // Its root is where it was before its cgroup namespace was made.
    let bundle = Bundle::new().shell("cat /proc/self/cgroup; exit 7");

    let ran = from(&group, &runtime, &bundle, "run");

    assert_eq!(ran.status, Some(7), "{ran:?}");
    assert!(ran.stdout.lines().any(|line| line == "0::/"), "{ran:?}");
    assert!(!ran.stdout.contains(&group.name()), "{ran:?}");
}

#[test]
fn a_container_is_created_and_entered_from_a_group_that_was_killed() {
    // Where there is no hierarchy but v2, which may be without controllers, too.
    for runtime in [Runtime::new(), Runtime::audit().with_private_cgroup2()] {
        let group = KilledGroup::new();
        let bundle = Bundle::new().args(["/bin/sleep", "100"]).unset("/linux/resources");
        let own = joined(&format!("/{}", bundle.id()));

        from(&group, &runtime, &bundle, "create").ok();
        let start = runtime.command(["start", bundle.id()]);
        runtime.finish(group.around(&start)).ok();
        let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
        assert!(groups_of(pid).contains(&own), "{:?}", groups_of(pid));

        let file = bundle.dir().join("pid");
        let detached = ["--detach", "--pid-file", file.to_str().unwrap(), bundle.id()];
        let command = runtime.command([&["exec"], &detached[..], &["/bin/sleep", "100"]].concat());
        runtime.finish(group.around(&command)).ok();
        let entered: i64 = fs::read_to_string(&file).unwrap().parse().unwrap();
        assert_eq!(groups_of(entered), groups_of(pid));

        let command = runtime.command(["exec", bundle.id(), "/bin/sh", "-c", "exit 5"]);
        assert_eq!(runtime.finish(group.around(&command)).status, Some(5));
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}

#[test]
fn a_container_is_run_in_a_group_that_was_killed_and_entered_there() {
    let runtime = Runtime::new();
    let mut bundle = Bundle::new().args(["/bin/sleep", "100"]);
    let group = KilledGroup::at(&unique_tag());
    bundle = bundle.set("/linux/cgroupsPath", group.name().into());

    let pid = runtime.started(&bundle);
    assert!(groups_of(pid).contains(&joined(&group.name())), "{:?}", groups_of(pid));
    let ran = runtime.call(["exec", bundle.id(), "/bin/sh", "-c", "exit 5"]);

    assert_eq!(ran.status, Some(5), "{ran:?}");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_paused_container_is_entered_from_a_group_that_was_killed() {
    let (runtime, group) = (Runtime::new(), KilledGroup::new());
    let bundle = Bundle::new().args(["/bin/sleep", "100"]);
    runtime.started(&bundle);
    runtime.call(["pause", bundle.id()]).ok();

    let line = ["exec", "--ignore-paused", bundle.id(), "/bin/sh", "-c", "exit 5"];
    let mut waiting = group.around(&runtime.command(line)).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let ran_on = waiting.try_wait().unwrap();
    runtime.call(["resume", bundle.id()]).ok();

    assert_eq!(ran_on, None);
    assert_eq!(waiting.wait().unwrap().code(), Some(5));
}

/// With the test feature, a process is killed at birth wherever the tests run.
#[cfg(feature = "fault")]
mod stillborn {
    use super::*;
    use crate::support::Snapshot;

    fn stillborn(runtime: &Runtime, times: &str, line: &[&str]) -> Ran {
        let mut command = runtime.command(line);
        command.env("CASEMATE_STILLBORN", times);
        runtime.finish(command)
    }

    #[test]
    fn who_is_killed_at_birth_once_is_born_again() {
        let runtime = Runtime::new();
        // Also where its clocks were shifted for it.
        for clocks in [false, true] {
            let mut bundle = Bundle::new().shell("exit 7");
            if clocks {
                bundle = bundle
                    .set("/linux/namespaces/-", serde_json::json!({"type": "time"}))
                    .set("/linux/timeOffsets", serde_json::json!({"boottime": {"secs": 9_000_000}}))
                    .shell("read up rest </proc/uptime; test ${up%.*} -gt 9000000 && exit 7");
            }
            let ran = stillborn(&runtime, "once", &words(&bundle, "run"));
            assert_eq!(ran.status, Some(7), "{ran:?}");
        }

        let bundle = Bundle::new().args(["/bin/sleep", "100"]);
        runtime.started(&bundle);
        let line = ["exec", bundle.id(), "/bin/sh", "-c", "exit 5"];
        assert_eq!(stillborn(&runtime, "once", &line).status, Some(5));
    }

    const WORDS: &str = "the new process was killed by signal 9 on its way to the program: by the \
                         kernel, for want of memory in its control group or on the host, or by \
                         someone who kills that group";

    /// What it has said by then is not taken for the word of another one.
    #[test]
    fn who_is_killed_later_is_not_born_again() {
        // With v1 hierarchies it waits for the supervisor before it says anything.
        let runtime = Runtime::audit().with_private_cgroup2();
        let bundle = Bundle::new().unset("/linux/resources/pids").args(["/bin/sleep", "100"]);
        let before = Snapshot::take(&runtime, &[bundle.id()]);

        let said = stillborn(&runtime, "late", &words(&bundle, "run")).failed(1);

        assert!(said.contains(WORDS), "{said}");
        before.assert_unchanged();
    }

    #[test]
    fn who_is_killed_at_birth_again_is_reported_in_a_whole_sentence() {
        let runtime = Runtime::new();
        let bundle = Bundle::new().args(["/bin/sleep", "100"]);
        let before = Snapshot::take(&runtime, &[bundle.id()]);
        for subcommand in ["create", "run"] {
            let said = stillborn(&runtime, "twice", &words(&bundle, subcommand)).failed(1);
            assert!(said.contains(WORDS), "{said}");
            assert!(!said.contains("EPIPE") && !said.contains("ECHILD"), "{said}");
        }
        before.assert_unchanged();

        runtime.started(&bundle);
        let line = ["exec", bundle.id(), "/bin/true"];
        let said = stillborn(&runtime, "twice", &line).failed(255);
        assert!(said.contains(WORDS), "{said}");
        assert!(!said.contains("EPIPE") && !said.contains("ECHILD"), "{said}");
        assert_eq!(runtime.state(&bundle)["status"], "running");
    }
}
