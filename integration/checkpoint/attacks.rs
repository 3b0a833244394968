//! What is made again must not be weaker than its bundle, nor anything else than it was.

use std::fs;

use serde_json::{Value, json};

use super::{
    checkpoint, count, counting, images, restore, runtime, start, wait_for_count, writing_runtime,
};
use crate::support::{Bundle, Runtime, Snapshot};

/// A filter that denies one call.
fn filter(call: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": [call], "action": "SCMP_ACT_ERRNO"}]
    })
}

const NO_CAPABILITIES: &str = r#"{"bounding": [], "effective": [], "permitted": []}"#;

/// Images of a container that `loose` shapes, and a bundle that `tight` makes stricter.
fn written(runtime: &Runtime, loose: Bundle, tight: impl FnOnce(Bundle) -> Bundle) -> Bundle {
    start(runtime, &loose);
    wait_for_count(&loose, 1);
    checkpoint(runtime, &loose, &[]).ok();
    tight(loose)
}

/// Restores what must not be, and expects to find these words, nothing left, and that not one
/// instruction of it was run.
#[track_caller]
fn assert_refused(runtime: &Runtime, bundle: &Bundle, words: &str) {
    let before = Snapshot::take(runtime, &[bundle.id()]);
    let reached = count(bundle);

    let said = restore(runtime, bundle, &[]).failed(1);

    assert!(said.contains(words), "no {words:?} in: {said}");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(count(bundle), reached, "it has run");
    before.assert_unchanged();
}

#[test]
fn images_that_are_weaker_than_their_bundle_are_killed_before_they_run() {
    let Some(runtime) = writing_runtime() else { return };
    let none: Value = serde_json::from_str(NO_CAPABILITIES).unwrap();
    let root = || counting().set("/process/noNewPrivileges", json!(true));

    let bundle = counting().set("/process/noNewPrivileges", json!(false));
    let bundle = written(&runtime, bundle, |it| it.set("/process/noNewPrivileges", json!(true)));
    assert_refused(&runtime, &bundle, "no_new_privs of process 1: planned set, found not set");

    let bundle = written(&runtime, root(), |it| it.set("/process/capabilities", none.clone()));
    assert_refused(&runtime, &bundle, "bounding set of process 1: planned at most 0x0");

    let bundle = written(&runtime, root(), |it| it.set("/linux/seccomp", filter("mount")));
    assert_refused(&runtime, &bundle, "seccomp of process 1: planned a filter, found none");

    let bundle = root().set("/linux/seccomp", filter("mount"));
    let bundle = written(&runtime, bundle, |it| it.set("/linux/seccomp", filter("ptrace")));
    assert_refused(&runtime, &bundle, "the seccomp filter: planned");

    let bundle = root().set("/process/capabilities", none);
    let bundle =
        written(&runtime, bundle, |it| it.set("/process/user", json!({"uid": 1000, "gid": 1000})));
    assert_refused(&runtime, &bundle, "user of process 1: planned 1000, found 0 0 0 0");
}

#[test]
fn images_whose_mounts_are_not_those_of_the_bundle_are_killed_before_they_run() {
    let Some(runtime) = writing_runtime() else { return };
    let bundle = counting();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    let source = volume.to_str().unwrap().to_owned();
    let bundle = bundle.mount("/volume", "bind", &source, &["bind", "rw"]);
    let last = bundle.config()["mounts"].as_array().unwrap().len() - 1;
    let bundle = written(&runtime, bundle, |it| {
        it.set(&format!("/mounts/{last}/options"), json!(["bind", "ro"]))
    });
    assert_refused(&runtime, &bundle, "mount /volume: planned");

    let bundle = counting().set("/linux/maskedPaths", json!([]));
    let bundle =
        written(&runtime, bundle, |it| it.set("/linux/maskedPaths", json!(["/proc/acpi"])));
    assert_refused(&runtime, &bundle, "mount /proc/acpi: planned a mask ro, found proc");
}

#[test]
fn what_differs_from_what_it_was_is_killed_before_it_runs() {
    let Some(runtime) = writing_runtime() else { return };
    let bundle = written(&runtime, counting(), |it| it);
    let file = images(&bundle).join("casemate.json");
    let mut saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    saved["before"]["processes"][0]["groups"] = json!([0, 7]);
    fs::write(&file, saved.to_string()).unwrap();

    assert_refused(&runtime, &bundle, "supplementary groups of process 1: planned 0 7, found");
}

#[cfg(feature = "fault")]
#[test]
fn without_the_comparison_weaker_images_would_run() {
    let Some(runtime) = writing_runtime() else { return };
    let bundle = counting().set("/process/noNewPrivileges", json!(false));
    let bundle = written(&runtime, bundle, |it| it.set("/process/noNewPrivileges", json!(true)));
    let (dir, images) = (bundle.dir().to_owned(), images(&bundle));
    let mut command = runtime.command(["restore", "--detach", "--bundle"]);
    command.arg(dir).arg("--image-path").arg(images).arg(bundle.id());
    command.env("CASEMATE_SKIP", "restore.compare");

    runtime.finish(command).ok();

    let status = super::privileges(super::pid(&runtime, &bundle));
    assert!(status.contains(&"NoNewPrivs:\t0".to_owned()), "{status:?}");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_container_that_has_changed_its_box_is_not_written() {
    let Some(runtime) = runtime() else { return };
    let all = json!(["CAP_SYS_ADMIN", "CAP_KILL"]);
    let bundle = counting()
        .set("/process/capabilities", json!({"bounding": all, "effective": all, "permitted": all}))
        .shell("mount -t tmpfs added /mnt || mount -t tmpfs added /srv; echo 1 > /tmp/n; exec sleep 60");
    fs::create_dir(bundle.rootfs().join("srv")).unwrap();
    start(&runtime, &bundle);
    wait_for_count(&bundle, 1);

    let said = checkpoint(&runtime, &bundle, &[]).failed(1);

    assert!(
        said.contains("it is not what its plan says any more: mount /srv: planned none"),
        "{said}"
    );
    assert_eq!(runtime.state(&bundle)["status"], "running");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn a_process_that_was_brought_in_is_not_lost() {
    let Some(runtime) = runtime() else { return };
    let bundle = counting();
    start(&runtime, &bundle);
    wait_for_count(&bundle, 1);
    runtime.call(["exec", "--detach", bundle.id(), "/bin/sleep", "60"]).ok();

    let said = checkpoint(&runtime, &bundle, &[]).failed(1);

    assert!(said.contains("was brought in from outside, and CRIU would lose it"), "{said}");
    assert_eq!(runtime.state(&bundle)["status"], "running");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}
