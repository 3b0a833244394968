//! `casemate seccomp explain`.

use std::fs;

use serde_json::{Value, json};

use super::{Files, allowing, document, golden, refused, said, word};
use crate::support::{Bundle, Runtime};

fn profiled(profile: &str) -> Bundle {
    let profile: Value = serde_json::from_str(profile).unwrap();
    Bundle::new().set("/linux/seccomp", profile)
}

#[test]
fn a_profile_is_explained_by_call() {
    let text = said(&["explain", "--profile", &golden("podman-4.3"), "mount", "read"]);

    assert!(
        text.starts_with(&format!(
            "{}, with the baseline\n\nmount, since Linux 1.0\n  x86_64   \
        number 165\n    fail with EPERM\n      decided by  baseline rule `mount.change`: nothing \
        inside changes a mount\n      hint        an exception in the policy can waive \
        `seccomp.baseline/mount.change`; known to need it: systemd, nested containers\n",
            golden("podman-4.3")
        )),
        "{text}"
    );
    assert!(text.contains("\nread, since Linux 1.0\n"), "{text}");
    assert!(text.contains("decided by  /syscalls/1: the engine's profile says so"), "{text}");
    let bare = ["explain", "--profile", &golden("podman-4.3"), "--no-baseline", "setns"];
    assert!(said(&bare).contains("    allow\n"), "{}", said(&bare));
}

#[test]
fn numbers_are_those_of_the_abi_asked_for() {
    let list = ["explain", "--profile", "builtin:baseline"];
    let of = |more: &[&str]| said(&[&list, more].concat());

    assert!(of(&["165"]).contains("\nmount, since"));
    assert!(of(&["0xa5"]).contains("\nmount, since"));
    assert!(of(&["--abi", "x86", "21"]).contains("\nmount, since"));
    assert!(of(&["900"]).contains("number 900 of x86_64, which no known call has\n    allow\n"));
    let text = refused(&[&list[..], &["--abi", "arm", "21"]].concat());
    assert!(text.contains("a kernel of x86_64 serves no arm"), "{text}");
}

#[test]
fn a_wrong_name_is_answered_with_the_right_one() {
    let text = refused(&["explain", "--profile", "builtin:baseline", "read", "pivotroot"]);
    assert_eq!(
        text,
        "error: seccomp explain: `pivotroot` is no known system call; hint: there is `pivot_root`"
    );
    let text = refused(&["explain", "--profile", "builtin:baseline", "printf_locked"]);
    assert!(text.contains("hint: give a name, as in syscalls(2), or a number"), "{text}");
}

#[test]
fn a_bundle_is_explained_under_the_policy_in_force() {
    let bundle =
        profiled(&allowing(r#"{"names": ["chroot", "read"], "action": "SCMP_ACT_ALLOW"}"#));
    let explain = |runtime: &Runtime| {
        runtime.call(["seccomp", "explain", "--bundle", word(bundle.dir()), "chroot"]).ok()
    };

    let hardened = explain(&Runtime::new());
    assert!(hardened.contains("config.json, level hardened ("), "{hardened}");
    assert!(hardened.contains("baseline rule `mount.chroot`"), "{hardened}");
    let audit = explain(&Runtime::audit());
    assert!(audit.contains("allow\n      decided by  /linux/seccomp/syscalls/0"), "{audit}");
    let waived = explain(&Runtime::under(
        "level = \"hardened\"\n[[exception]]\nid = \"x\"\nreason = \"y\"\n\
         waive = [\"seccomp.baseline/mount.chroot\"]\n",
    ));
    assert!(waived.contains("allow\n      decided by  /linux/seccomp/syscalls/0"), "{waived}");

    let mut here = Runtime::new().command(["seccomp", "explain", "chroot"]);
    here.current_dir(bundle.dir());
    assert_eq!(Runtime::new().finish(here).ok(), hardened);
    let mut nowhere = Runtime::new().command(["seccomp", "explain", "chroot"]);
    nowhere.current_dir("/");
    let text = Runtime::new().finish(nowhere).failed(1);
    assert!(
        text.contains(
            "whose filter? no container is named, and the current directory is no \
                           bundle; hint: put a container's ID before the call"
        ),
        "{text}"
    );
}

#[test]
fn a_bundle_without_a_profile_is_explained_by_the_baseline() {
    let bundle = Bundle::new();
    let words = ["seccomp", "explain", "-b", word(bundle.dir()), "bpf"];

    let text = Runtime::new().call(words).ok();
    assert!(text.contains("note: the bundle has no /linux/seccomp: the baseline stands alone"));
    assert!(text.contains("baseline rule `kernel.programs`"), "{text}");
    let text = Runtime::audit().call(words).failed(1);
    assert!(text.contains("makes no filter: every call is made"), "{text}");
}

#[test]
fn a_container_is_explained_by_the_filter_it_was_started_with() {
    let bundle = profiled(
        &r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
            {"names": ["personality"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#
            .replace('\n', " "),
    )
    .args(["sleep", "60"]);
    let runtime = Runtime::new();
    runtime.started(&bundle);
    let explain = |call: &str| runtime.call(["seccomp", "explain", bundle.id(), call]).ok();

    let text = explain("mkdir");
    assert!(text.starts_with(&format!("container `{}`, level hardened (", bundle.id())), "{text}");
    assert!(text.contains("fail with EIO\n      decided by  /linux/seccomp/syscalls/0"), "{text}");
    assert!(!text.contains("note: "), "{text}");
    let by_id = runtime.call(["seccomp", "explain", "--id", bundle.id(), "mkdir"]).ok();
    assert_eq!(by_id, text);

    // The bundle changes; the container's filter does not.
    let config = bundle.dir().join("config.json");
    let changed = fs::read_to_string(&config).unwrap().replace("\"mkdir\"", "\"rmdir\"");
    fs::write(&config, changed).unwrap();
    let text = explain("mkdir");
    assert!(text.contains("note: the bundle's config.json no longer makes the filter"), "{text}");
    assert!(
        text.contains("fail with EIO\n      decided by  the program that was loaded"),
        "{text}"
    );
    let text = explain("mount");
    assert!(text.contains("baseline rule `mount.change`"), "{text}");
    let text = explain("rmdir");
    assert!(text.contains("    allow\n"), "{text}");
    fs::remove_file(&config).unwrap();
    assert!(explain("mkdir").contains("fail with EIO"));
    let parsed: Value = serde_json::from_str(
        &runtime.call(["seccomp", "explain", "--json", bundle.id(), "mkdir"]).ok(),
    )
    .unwrap();
    assert_eq!(parsed["calls"][0]["abis"][0]["cases"][0]["action"], "fail with EIO");

    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_container_without_a_filter_is_said_to_have_none() {
    let bundle = Bundle::new().args(["sleep", "60"]);
    let runtime = Runtime::audit();
    runtime.started(&bundle);

    let text = runtime.call(["seccomp", "explain", bundle.id(), "mount"]).failed(1);

    assert!(text.contains("the container has no filter: every call is made"), "{text}");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn what_is_no_container_is_not_explained() {
    let text = refused(&["explain", "no-such-container", "mount"]);
    assert!(text.contains("`no-such-container`: container"), "{text}");
    let text = refused(&["explain", "no-such-container"]);
    assert!(
        text.contains(
            "no system call is named; hint: name one: casemate seccomp explain \
                           no-such-container mount"
        ),
        "{text}"
    );
    let text = refused(&["explain", "no-such-container", "mount", "--cap", "all"]);
    assert!(text.contains("are for --profile"), "{text}");
}

#[test]
fn the_document_has_the_same_for_programs() {
    let files = Files::new();
    let profile =
        files.with("p.json", &allowing(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#));

    let told = document(&["explain", "--json", "--profile", &profile, "read", "900"]);

    assert_eq!(told["calls"][0]["name"], "read");
    let case = &told["calls"][0]["abis"][0]["cases"][0];
    assert_eq!(case["by"], "/syscalls/0");
    assert_eq!(case["permitted"], json!(true));
    assert_eq!(told["calls"][1]["number"], 900);
}

#[test]
fn a_container_that_is_watched_is_explained_by_what_the_watcher_answers() {
    let bundle = profiled(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}"#,
    )
    .args(["sleep", "60"]);
    let runtime = Runtime::under("level = \"hardened\"\n[seccomp]\nreport = \"notify\"\n");
    runtime.started(&bundle);

    let text = runtime.call(["seccomp", "explain", bundle.id(), "mkdir", "chroot"]).ok();

    assert!(text.contains("note: a watcher beside the container gives these answers"), "{text}");
    assert!(text.contains("fail with EIO\n      decided by  /linux/seccomp/syscalls/0"), "{text}");
    assert!(text.contains("baseline rule `mount.chroot`"), "{text}");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}
