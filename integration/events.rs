//! `events`: what a container uses, and when it runs out of memory.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, eventually, has_controller, patience};

fn started(runtime: &Runtime, bundle: &Bundle) {
    runtime.create(bundle).ok();
    runtime.start(bundle).ok();
}

/// `events` with a pipe to its output.
fn listen(
    runtime: &Runtime,
    bundle: &Bundle,
    interval: &str,
) -> (Child, BufReader<impl std::io::Read>) {
    let mut command = runtime.command(["events", "--interval", interval, bundle.id()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn wait(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "events does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

// rows: events.--stats
#[test]
fn stats_are_one_line_in_the_form_that_engines_parse() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/linux/resources/pids/limit", json!(55))
        .shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 600");
    started(&runtime, &bundle);
    let said = || runtime.call(["events", "--stats", bundle.id()]).ok();
    eventually("it has done nothing", || {
        let event: Value = serde_json::from_str(&said()).unwrap();
        event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 1_000_000
    });

    let said = said();

    assert!(
        said.starts_with(&format!(
            "{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{\"cpu\":",
            bundle.id()
        )),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
    let event: Value = serde_json::from_str(&said).unwrap();
    let data = &event["data"];
    for section in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt"] {
        assert!(data[section].is_object(), "{section}: {said}");
    }
    assert!(data.get("network_interfaces").is_some(), "{said}");
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 1_000_000, "{said}");
    if has_controller("pids") {
        assert_eq!((&data["pids"]["current"], &data["pids"]["limit"]), (&json!(1), &json!(55)));
    }
}

#[test]
fn memory_is_counted_where_it_is_limited() {
    if !has_controller("memory") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/linux/resources/memory", json!({"limit": 33_554_432}))
        .args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);

    let said = runtime.call(["events", "--stats", bundle.id()]).ok();

    let event: Value = serde_json::from_str(&said).unwrap();
    let memory = &event["data"]["memory"];
    assert_eq!(memory["usage"]["limit"], 33_554_432, "{said}");
    let usage = memory["usage"]["usage"].as_u64().unwrap();
    assert!((4096..33_554_432).contains(&usage), "{said}");
    assert!(memory["raw"].as_object().unwrap().len() > 5, "{said}");
}

#[test]
fn stats_come_at_intervals_until_the_container_has_ended() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "600"]);
    started(&runtime, &bundle);

    let begun = Instant::now();
    let (mut child, mut out) = listen(&runtime, &bundle, "100ms");
    for _ in 0..3 {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(bundle.id())));
    }
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    runtime.call(["delete", "--force", bundle.id()]).ok();

    assert_eq!(wait(&mut child), Some(0));
}

// rows: events
#[test]
fn running_out_of_memory_is_told_as_it_happens() {
    if !has_controller("memory") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let bundle = bundle
        .mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"])
        .set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}))
        .shell(
            "while [ ! -e /volume/go ]; do sleep 0.02; done; \
             dd if=/dev/zero of=/dev/null bs=48M count=1; exec sleep 600",
        );
    started(&runtime, &bundle);
    let (mut child, mut out) = listen(&runtime, &bundle, "50ms");
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"type\":\"stats\""), "{line}");

    std::fs::write(volume.join("go"), "").unwrap();

    let oom = format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", bundle.id());
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while line != oom {
        assert!(Instant::now() < deadline, "no oom event");
        line.clear();
        out.read_line(&mut line).unwrap();
    }
    runtime.call(["delete", "--force", bundle.id()]).ok();
    drop(out);
    assert_eq!(wait(&mut child), Some(0));
}

#[test]
fn there_are_no_events_of_what_does_not_run() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    started(&runtime, &bundle);
    runtime.wait_status(&bundle, "stopped");

    let said = runtime.call(["events", "--stats", bundle.id()]).failed(1);

    assert!(said.contains("is not running"), "{said}");
    runtime.call(["events", "--interval", "0s", bundle.id()]).failed(2);
    let said = runtime.call(["events", "nobody"]).failed(1);
    assert!(said.contains("does not exist"), "{said}");
}
