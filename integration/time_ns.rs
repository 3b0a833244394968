//! The time namespace: clocks of the container's own.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{Bundle, Runtime};

/// Seconds since the machine, or the container, was started.
const UPTIME: &str = "cut -d. -f1 /proc/uptime";

fn with_offsets(offsets: serde_json::Value) -> Bundle {
    Bundle::new()
        .set("/linux/namespaces/-", json!({"type": "time"}))
        .set("/linux/timeOffsets", offsets)
}

fn uptime() -> i64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

// rows: linux.namespaces.time, linux.timeOffsets.boottime
#[test]
fn the_clocks_of_the_container_are_shifted_and_those_of_the_host_are_not() {
    for runtime in [Runtime::new(), Runtime::audit()] {
        let offsets = json!({"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 2_000_000}});
        let bundle = with_offsets(offsets).shell(&format!("{UPTIME}; readlink /proc/self/ns/time"));

        let before = uptime();
        let said = runtime.run(&bundle).ok();

        let mut lines = said.lines();
        let inside: i64 = lines.next().unwrap().parse().unwrap();
        assert!((inside - before - 1_000_000).abs() < 100, "{inside} {before}");
        let host = std::fs::read_link("/proc/self/ns/time").unwrap();
        assert_ne!(lines.next().unwrap(), host.to_str().unwrap());
        assert!((uptime() - before).abs() < 100);
    }
}

// rows: linux.timeOffsets.monotonic
#[test]
fn the_kernel_holds_the_offsets_that_the_bundle_gave() {
    let runtime = Runtime::new();
    let offsets = json!({
        "monotonic": {"secs": 86400, "nanosecs": 7}, "boottime": {"secs": -1, "nanosecs": 5},
    });
    let bundle = with_offsets(offsets).args(["/bin/sleep", "60"]);

    let pid = runtime.started(&bundle);

    let held = std::fs::read_to_string(format!("/proc/{pid}/timens_offsets")).unwrap();
    let words: Vec<_> = held.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "86400", "7", "boottime", "-1", "5"]);
}

// rows: linux.namespaces.time
#[test]
fn without_offsets_the_namespace_is_a_new_one_all_the_same() {
    let bundle = Bundle::new()
        .set("/linux/namespaces/-", json!({"type": "time"}))
        .args(["/bin/readlink", "/proc/self/ns/time"]);

    let said = Runtime::new().run(&bundle).ok();

    assert_ne!(said.trim(), std::fs::read_link("/proc/self/ns/time").unwrap().to_str().unwrap());
}

struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// rows: linux.namespaces.time.path
#[test]
fn a_time_namespace_is_joined_by_its_path() {
    let mut held = Command::new("unshare");
    held.args(["--time", "--boottime", "5000000", "--fork", "sh", "-c", "echo $$; exec sleep 60"]);
    let mut holder = Holder(held.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let stdout = holder.0.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let path = format!("/proc/{}/ns/time", line.trim());
    let namespace = std::fs::read_link(&path).unwrap();
    for runtime in [Runtime::new(), Runtime::audit()] {
        let bundle = Bundle::new()
            .set("/linux/namespaces/-", json!({"type": "time", "path": path}))
            .shell(&format!("readlink /proc/self/ns/time; {UPTIME}"));

        let said = runtime.run(&bundle).ok();

        let mut lines = said.lines();
        assert_eq!(lines.next().unwrap(), namespace.to_str().unwrap());
        assert!(lines.next().unwrap().parse::<i64>().unwrap() > 5_000_000);
    }
    let _ = Command::new("kill").arg(line.trim()).status();
}

// rows: linux.timeOffsets
#[test]
fn what_makes_no_sense_is_named_and_nothing_is_created() {
    let offsets = json!({"monotonic": {"secs": 1}});
    let plain = Bundle::new().set("/linux/timeOffsets", offsets.clone());
    let joined = Bundle::new()
        .set("/linux/namespaces/-", json!({"type": "time", "path": "/proc/self/ns/time"}))
        .set("/linux/timeOffsets", offsets);
    let clock = with_offsets(json!({"realtime": {"secs": 1}}));
    let nanosecs = with_offsets(json!({"monotonic": {"secs": 1, "nanosecs": 1_000_000_000}}));
    let wrong = Bundle::new()
        .set("/linux/namespaces/-", json!({"type": "time", "path": "/proc/self/ns/uts"}));
    for (bundle, words) in [
        (plain, "/linux/timeOffsets: needs a `time` namespace"),
        (joined, "/linux/timeOffsets: cannot be set in a `time` namespace that is joined"),
        (clock, "/linux/timeOffsets/realtime: `realtime` is no clock"),
        (nanosecs, "/linux/timeOffsets/monotonic/nanosecs: a second or more"),
        (wrong, "leads to a namespace that is not of the kind `time` but `uts`"),
    ] {
        for runtime in [Runtime::new(), Runtime::audit()] {
            let said = runtime.create(&bundle).failed(1);
            assert!(said.contains(words), "{said}");
        }
    }
}

// rows: linux.timeOffsets
#[test]
fn an_offset_before_the_machine_began_fails_the_launch_by_name() {
    let bundle = with_offsets(json!({"boottime": {"secs": -9_000_000_000_i64}}));

    let said = Runtime::new().create(&bundle).failed(1);

    assert!(said.contains("`ns.shift-clocks` failed: boottime -9000000000"), "{said}");
}
