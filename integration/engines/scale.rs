//! Many containers at once, and many one after another: each with ids of its own, none leaves
//! anything, and the last is made as fast as the first.
//!
//! `hack/engines.sh scale` asks for as many as a busy node has.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use super::containerd::{Containerd, IMAGE};
use super::cri::Service;
use super::support::{assert_boxed, eventually};

const BINARY: &str = "/usr/local/bin/casemate";

/// How many, where nobody says: few, so that the tests do not take long.
fn count(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().map_or(otherwise, |count| count.parse().unwrap())
}

fn ready() -> Option<Containerd> {
    let containerd = Containerd::new()?;
    let archive = containerd.place().dir().join("oci.tar");
    containerd.ctr(&["images", "import", archive.to_str().unwrap()]).ok();
    Some(containerd)
}

/// What there is of mounts, groups and directories of state where the engine is. Mounts of other
/// tests were copied with all that the host has, and go there when they go here.
fn traces(containerd: &Containerd) -> String {
    let line = format!(
        "awk '!/cmt-/ || /{tag}/' /proc/self/mountinfo | wc -l; \
         find $D/state/io.containerd.runtime.v2.task /run/containerd/runc -mindepth 2 \
         2>/dev/null | wc -l; find /sys/fs/cgroup -type d -path '*/{tag}*' | wc -l",
        tag = containerd.place().tag()
    );
    containerd.place().shell(&line).ok()
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap()
}

/// The last tenth beside the first one; a machine that others use, too, is not a clock.
#[track_caller]
fn assert_not_slower(what: &str, times: &[Duration]) {
    let tenth = (times.len() / 10).max(1);
    let (first, last) = (mean(&times[..tenth]), mean(&times[times.len() - tenth..]));
    println!("{what}: {} times, {first:?} in the beginning, {last:?} in the end", times.len());
    if times.len() >= 100 {
        assert!(last < first * 2, "{what}: {first:?}, then {last:?}");
    }
}

#[test]
#[ignore = "drives a real engine"]
fn containers_alive_at_once_have_ids_of_their_own_and_leave_nothing() {
    let Some(containerd) = ready() else { return };
    let alive = count("CASEMATE_TEST_ALIVE", 8);
    let before = traces(&containerd);

    let mut times = Vec::new();
    for number in 0..alive {
        let begun = Instant::now();
        let id = format!("{}-{number}", containerd.place().tag());
        let run = ["run", "-d", "--runc-binary", BINARY, IMAGE, &id, "sleep", "6000"];
        containerd.ctr(&run).ok();
        times.push(begun.elapsed());
    }
    let tasks = containerd.ctr(&["tasks", "ls"]).ok();
    let tasks: Vec<(&str, i32)> = tasks
        .lines()
        .filter(|line| line.contains("RUNNING"))
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap(), words.next().unwrap().parse().unwrap())
        })
        .collect();
    assert_eq!(tasks.len(), alive);
    let maps: BTreeSet<String> = tasks
        .iter()
        .map(|(_, pid)| fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap())
        .collect();
    assert_eq!(maps.len(), alive, "{maps:?}");
    tasks.iter().for_each(|(_, pid)| assert_boxed(*pid));
    assert_not_slower("started beside others", &times);

    for (id, _) in &tasks {
        containerd.ctr(&["tasks", "rm", "-f", id]).ok();
        containerd.ctr(&["containers", "rm", id]).ok();
    }
    eventually("nothing left", || traces(&containerd) == before);
}

#[test]
#[ignore = "drives a real engine"]
fn containers_one_after_another_leave_nothing_and_take_no_longer() {
    let Some(containerd) = ready() else { return };
    let cycles = count("CASEMATE_TEST_CYCLES", 20);
    let before = traces(&containerd);

    let mut times = Vec::new();
    // The shim writes the output to a file, and has done so when the task is gone. Through the
    // pipes of `ctr` itself, up to one output of some hundreds is lost on a busy machine, whatever
    // the runtime: it stops listening when it hears that the container has ended.
    let output = containerd.place().dir().join("output");
    let log = format!("file://{}", output.display());
    for number in 0..cycles {
        let begun = Instant::now();
        let id = format!("{}-{number}", containerd.place().tag());
        let line = format!("echo {number}; exit 7");
        let run = ["run", "--rm", "--log-uri", &log, "--runc-binary", BINARY, IMAGE, &id];
        let ran = containerd.ctr(&[&run[..], &["sh", "-c", &line]].concat());
        assert_eq!(ran.status, Some(7), "{number}: {ran:?}");
        times.push(begun.elapsed());
        assert_eq!(fs::read_to_string(&output).unwrap(), format!("{number}\n"));
        fs::remove_file(&output).unwrap();
    }

    assert_not_slower("from `run` to `rm`", &times);
    eventually("nothing left", || traces(&containerd) == before);
}
