//! Input that is no bundle: each gets its own clear error, in bounded time, before anything
//! exists.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Snapshot, patience};

/// Runs a bundle that must fail with status 1, quickly, and leave nothing.
#[track_caller]
fn refused(bundle: &Bundle, expected: &[&str]) {
    let runtime = Runtime::new().with_limit(Duration::from_secs(10));
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let begun = Instant::now();

    let said = runtime.run(bundle).failed(1);

    assert!(begun.elapsed() < patience(Duration::from_secs(5)), "it took {:?}", begun.elapsed());
    for word in expected {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    before.assert_unchanged();
}

fn raw(bytes: &[u8]) -> Bundle {
    Bundle::new().raw(bytes)
}

#[test]
fn a_config_that_is_not_there_or_not_a_file() {
    let bundle = Bundle::new();
    fs::remove_file(bundle.dir().join("config.json")).unwrap();
    refused(&bundle, &["config.json"]);

    fs::create_dir(bundle.dir().join("config.json")).unwrap();
    refused(&bundle, &["config.json"]);
    fs::remove_dir(bundle.dir().join("config.json")).unwrap();

    rustix::fs::mknodat(
        rustix::fs::CWD,
        bundle.dir().join("config.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    refused(&bundle, &["config.json"]);
}

#[test]
fn a_config_that_is_no_json() {
    refused(&raw(b""), &["config.json"]);
    refused(&raw(b"{\"ociVersion\": \"1.0.2\", \"process\": {"), &["config.json", "line 1"]);
    refused(&raw(b"{\"ociVersion\": \"\xff\"}"), &["UTF-8"]);
    refused(&raw(&[b"{\"annotations\":".as_slice(), &[b'['; 100_000]].concat()), &["config.json"]);
}

#[test]
fn a_config_that_is_too_large() {
    let mut config = Bundle::new().config().clone();
    config["annotations"] = json!({"k": "v".repeat(5 << 20)});

    refused(&raw(config.to_string().as_bytes()), &["config.json", "4"]);
}

#[test]
fn properties_of_the_wrong_kind_are_named_by_their_address() {
    for (pointer, value, expected) in [
        ("/process/args", json!("/bin/true"), "/process/args"),
        ("/process/args", json!([]), "/process/args"),
        ("/process/cwd", json!("tmp"), "/process/cwd"),
        ("/process/user/uid", json!(4_294_967_296_u64), "/process/user/uid"),
        ("/process/user/uid", json!(4_294_967_295_u64), "/process/user/uid"),
        ("/process/user/uid", json!(70_000), "/process/user/uid: 70000 is not mapped"),
        ("/process/args/0", json!("/bin/\u{0}true"), "NUL"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_BOGUS", "soft": 1, "hard": 1}]),
            "/process/rlimits/0",
        ),
        ("/linux/namespaces/-", json!({"type": "pid"}), "/linux/namespaces"),
        ("/linux/namespaces/-", json!({"type": "bogus"}), "/linux/namespaces"),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_BOGUS"}),
            "/linux/seccomp/defaultAction",
        ),
        ("/linux/sysctl", json!({"net/../kernel/core_pattern": "x"}), "/linux/sysctl"),
        ("/linux/intelRdt", json!({"closID": 7}), "/linux/intelRdt/closID"),
        ("/linux/newThing", json!(true), "/linux/newThing"),
        ("/hooks/createRuntime", json!([{"path": "bin/true"}]), "/hooks/createRuntime/0/path"),
        ("/process/apparmorProfile", json!("strict"), "/process/apparmorProfile"),
        ("/linux/cgroupsPath", json!("../../etc"), "/linux/cgroupsPath"),
        ("/linux/cgroupsPath", json!("a.slice:../..:x"), "/linux/cgroupsPath"),
        (
            "/mounts/-",
            json!({"destination": "/x", "type": "bind", "source": "/etc", "options": ["bind", "no such"]}),
            "/mounts/7",
        ),
    ] {
        refused(&Bundle::new().set(pointer, value), &[expected]);
    }
}

#[test]
fn a_property_twice_is_no_property() {
    let config = Bundle::new().config().to_string();
    let twice = config.replacen("{\"", "{\"hostname\":\"a\",\"", 1);

    refused(&raw(twice.as_bytes()), &["hostname"]);
}

// rows: linux.sysctl
#[test]
fn parameters_of_the_whole_host_are_refused_by_the_policy() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().set("/linux/sysctl", json!({"kernel.core_pattern": "core"}));

    let said = runtime.run(&bundle).failed(3);

    assert!(said.contains("refused by rule `sysctl.own-namespaces`"), "{said}");
    assert!(!said.contains("ermission denied") && !said.contains("not permitted"), "{said}");
}

// rows: linux.sysctl
#[test]
fn parameters_of_the_whole_host_are_never_set_for_a_container() {
    let swappiness = || fs::read_to_string("/proc/sys/vm/swappiness").unwrap();
    let before = swappiness();
    // Its own value, for this test writes it where nothing refuses it.
    for (name, value, without) in [
        ("vm.swappiness", before.trim(), None),
        ("net.ipv4.ip_forward", "1", Some("network")),
        ("kernel.shmmni", "4096", Some("ipc")),
    ] {
        let mut bundle = Bundle::new().set("/linux/sysctl", json!({name: value}));
        if let Some(kind) = without {
            let all = bundle.config()["linux"]["namespaces"].clone();
            let kept: Vec<_> =
                all.as_array().unwrap().iter().filter(|n| n["type"] != kind).collect();
            bundle = bundle.set("/linux/namespaces", json!(kept));
        }

        let said = Runtime::audit().run(&bundle).failed(1);

        let at = format!("/linux/sysctl/{name}: is a parameter of the whole host");
        assert!(said.contains(&at), "{said}");
        assert!(!said.contains("ermission denied") && !said.contains("not permitted"), "{said}");
    }
    assert_eq!(swappiness(), before);
}

// rows: root.path
#[test]
fn a_root_that_is_missing_a_link_or_a_file() {
    refused(&Bundle::without_root(), &["rootfs"]);

    let bundle = Bundle::without_root();
    fs::write(bundle.rootfs(), "").unwrap();
    refused(&bundle, &["rootfs"]);

    let bundle = Bundle::without_root();
    symlink("/usr", bundle.rootfs()).unwrap();
    refused(&bundle, &["rootfs", "link"]);
}

// rows: cli.id-grammar
#[test]
fn ids_with_paths_in_them_touch_nothing() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let dir = bundle.dir().to_str().unwrap();
    for id in ["../x", "a/b", ".", "..", "", " ", "a b", "é", &"L".repeat(1100)] {
        let said = runtime.call(["create", "--bundle", dir, id]).failed(1);
        assert!(said.contains("id"), "{id:?}: {said}");
    }
}

// rows: process.args, process.cwd
#[test]
fn all_faults_are_said_not_only_the_first() {
    let bundle = Bundle::new()
        .set("/process/cwd", json!("tmp"))
        .set("/hooks/createRuntime", json!([{"path": "bin/true"}]));

    refused(&bundle, &["/process/cwd", "/hooks/createRuntime/0/path"]);
}

// rows: spec
#[test]
fn the_default_config_of_spec_runs() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    fs::remove_file(bundle.dir().join("config.json")).unwrap();
    runtime.call(["spec", "--bundle", bundle.dir().to_str().unwrap()]).ok();
    let text = fs::read_to_string(bundle.dir().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/bin/echo", "ran"]);

    let bundle = bundle.raw(config.to_string().as_bytes());

    assert_eq!(runtime.run(&bundle).ok(), "ran\n");
}
