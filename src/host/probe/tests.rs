use std::fs;
use std::time::Instant;

use serde_json::json;

use super::*;

fn spec() -> Spec {
    let limit = |name: &str| json!({"type": name, "soft": 1, "hard": 2});
    serde_json::from_value(json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["x"],
            "rlimits": [limit("RLIMIT_NOFILE"), limit("RLIMIT_CORE")],
        },
    }))
    .unwrap()
}

fn facts() -> KernelFacts {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    fs::create_dir(dir.path().join("rootfs")).unwrap();
    kernel_facts(&spec(), &Bundle::open(dir.path()).unwrap()).unwrap()
}

/// The value of a line of `/proc/self/status`.
fn status(key: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim().to_owned()
}

#[test]
fn a_release_is_read_whatever_comes_after_its_two_numbers() {
    assert_eq!(parse_release("6.18.44-fc-v669"), Some((6, 18)));
    assert_eq!(parse_release("5.19+"), Some((5, 19)));
    assert_eq!(parse_release("6.6"), Some((6, 6)));
    assert_eq!(parse_release("6.x"), None);
    assert_eq!(parse_release("six"), None);
}

#[test]
fn a_kernel_that_is_too_old_says_what_it_lacks_and_since_when_it_exists() {
    let error = ProbeError::OldKernel { release: "5.15.0-91".to_owned() };

    assert_eq!(
        error.to_string(),
        "Linux 5.15.0-91 cannot translate the ids of overlay layers (id-mapped mounts as layers \
         of an overlay), which Linux can since 5.19"
    );
    assert_eq!(error.hint(), "use Linux 5.19 or later; 6.6 and later have everything");
}

#[test]
fn capabilities_are_those_that_the_kernel_shows() {
    let facts = facts();

    assert_eq!(format!("{:016x}", facts.bounding), status("CapBnd"));
    let effective = u64::from_str_radix(&status("CapEff"), 16).unwrap();
    let sys_resource = 1 << 24;
    let expected = facts.initial_user_namespace && effective & sys_resource != 0;
    assert_eq!(facts.limits.may_raise, expected);
}

#[test]
fn hard_limits_are_those_that_the_bundle_asks_about_in_its_order() {
    let facts = facts();

    let (nofile, core) = (process::limit(7).unwrap().1, process::limit(4).unwrap().1);
    assert_eq!(facts.limits.hard, [(7, nofile), (4, core)]);
}

#[test]
fn the_user_namespace_is_the_initial_one_only_with_all_ids() {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let all = map.split_whitespace().eq(["0", "0", "4294967295"]);

    // A child may have all ids too, so only this direction holds.
    assert!(all || !facts().initial_user_namespace);
}

/// Cost of the usual case: `cargo test --release -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "measures"]
fn cost_of_the_probe() {
    let time = |what: &str, run: &dyn Fn()| {
        let start = Instant::now();
        (0..1000).for_each(|_| run());
        println!("{what} {:?}", start.elapsed() / 1000);
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    fs::create_dir(dir.path().join("rootfs")).unwrap();
    let (spec, bundle) = (spec(), Bundle::open(dir.path()).unwrap());
    time("kernel_facts", &|| drop(kernel_facts(&spec, &bundle).unwrap()));
    time("bounding set by prctl", &|| {
        std::hint::black_box(process::bounding_set());
    });
    time("bounding set by /proc", &|| drop(std::hint::black_box(status("CapBnd"))));
    time("user namespace by inode", &|| {
        std::hint::black_box(is_initial_user_namespace().unwrap());
    });
    time("user namespace by map", &|| drop(fs::read("/proc/self/uid_map").unwrap()));
}
