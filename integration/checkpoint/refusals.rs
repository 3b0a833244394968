//! What is refused before anything is done, with or without CRIU.

use serde_json::json;

use super::{checkpoint, counting, images, restore, start};
use crate::support::{Bundle, Runtime, Snapshot};

// rows: checkpoint
#[test]
fn help_fails_where_there_is_no_criu_and_says_what_to_install() {
    let runtime = Runtime::under("level = \"audit\"\n[checkpoint]\ncriu = \"/nowhere/criu\"\n");

    let ran = runtime.call(["checkpoint", "--help"]);

    assert!(ran.stdout.contains("--leave-running"), "{ran:?}");
    let said = ran.failed(1);
    assert!(said.contains("there is no CRIU at /nowhere/criu"), "{said}");
    assert!(said.contains("install the package `criu`"), "{said}");
}

#[test]
fn a_criu_that_others_could_have_written_is_not_run() {
    use std::os::unix::fs::PermissionsExt;
    let bundle = Bundle::without_root();
    let program = bundle.dir().join("criu");
    std::fs::write(&program, "#!/bin/sh\ntouch /tmp/run-by-mistake\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o757)).unwrap();
    let policy = format!("level = \"audit\"\n[checkpoint]\ncriu = \"{}\"\n", program.display());

    let said = Runtime::under(&policy).call(["checkpoint", "--help"]).failed(1);

    assert!(said.contains("is not root's alone to write"), "{said}");
}

#[test]
fn a_hardened_container_is_refused_and_told_why() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    start(&runtime, &bundle);

    let said = checkpoint(&runtime, &bundle, &[]).failed(1);

    assert!(said.contains("no container like this one can be made again exactly"), "{said}");
    assert!(said.contains("belong to the host, not to its user namespace"), "{said}");
    assert!(said.contains("CRIU cannot make a mount on which ids are translated"), "{said}");
    assert_eq!(runtime.state(&bundle)["status"], "running");
    assert!(!images(&bundle).exists());
}

#[test]
fn a_parent_that_cannot_be_reached_from_the_images_is_named() {
    let runtime = Runtime::audit();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    start(&runtime, &bundle);

    for is_there in [false, true] {
        if is_there {
            std::fs::create_dir(images(&bundle)).unwrap();
        }
        for (parent, why) in [
            ("../nowhere", "No such file or directory"),
            ("../config.json", "which is no directory"),
        ] {
            let said = checkpoint(&runtime, &bundle, &["--parent-path", parent]).failed(1);

            assert!(said.contains(&format!("`--parent-path {parent}`")), "{said}");
            assert!(said.contains(why), "{said}");
        }
    }
    assert_eq!(runtime.state(&bundle)["status"], "running");
    assert_eq!(std::fs::read_dir(images(&bundle)).unwrap().count(), 0);
}

// rows: restore
#[test]
fn a_hardened_container_is_not_made_from_files_either() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    std::fs::create_dir(images(&bundle)).unwrap();
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = restore(&runtime, &bundle, &[]).failed(1);

    assert!(said.contains("belong to the host, not to its user namespace"), "{said}");
    before.assert_unchanged();
}

#[test]
fn only_a_running_container_is_written() {
    let runtime = Runtime::audit();
    let bundle = counting();
    checkpoint(&runtime, &bundle, &[]).failed(1);
    runtime.create(&bundle).ok();

    let said = checkpoint(&runtime, &bundle, &[]).failed(1);

    assert!(said.contains("cannot checkpoint a container that is created"), "{said}");
    runtime.start(&bundle).ok();
    runtime.call(["pause", bundle.id()]).ok();
    let said = checkpoint(&runtime, &bundle, &[]).failed(1);
    assert!(said.contains("cannot checkpoint a container that is paused"), "{said}");
}

#[test]
fn each_thing_that_criu_does_not_keep_is_refused_by_name() {
    let runtime = Runtime::audit();
    for (pointer, value, words) in [
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}), "priority"),
        ("/linux/rootfsPropagation", json!("shared"), "its mounts are passed on"),
        ("/hooks", json!({"createRuntime": [{"path": "/bin/true"}]}), "its hooks had a part"),
    ] {
        let bundle = counting().set(pointer, value);
        start(&runtime, &bundle);

        let said = checkpoint(&runtime, &bundle, &[]).failed(1);

        assert!(said.contains(words), "{pointer}: {said}");
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}

#[test]
fn limits_of_images_do_not_take_the_place_of_the_bundles() {
    let runtime = Runtime::audit();
    for verb in ["checkpoint", "restore"] {
        let said = runtime.call([verb, "--manage-cgroups-mode", "full", "a"]).failed(1);

        assert!(said.contains("the limits of the images would take the place"), "{said}");
    }
}

#[test]
fn files_of_another_runtime_are_none_of_ours() {
    let runtime = Runtime::audit();
    let bundle = counting();
    std::fs::create_dir(images(&bundle)).unwrap();
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = restore(&runtime, &bundle, &[]).failed(1);

    assert!(said.contains("casemate.json"), "{said}");
    before.assert_unchanged();
}

/// CRIU reads and writes there as root, and follows what it finds.
#[test]
fn a_directory_that_others_can_write_holds_no_images() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let runtime = Runtime::audit();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    std::fs::create_dir(images(&bundle)).unwrap();
    let mode = |mode| std::fs::Permissions::from_mode(mode);

    chown(images(&bundle), Some(12345), None).unwrap();
    let said = restore(&runtime, &bundle, &[]).failed(1);
    assert!(said.contains("belongs to user 12345"), "{said}");
    chown(images(&bundle), Some(0), None).unwrap();
    std::fs::set_permissions(images(&bundle), mode(0o777)).unwrap();
    let said = restore(&runtime, &bundle, &[]).failed(1);
    assert!(said.contains("can be written by others (mode 0777)"), "{said}");

    start(&runtime, &bundle);
    let said = checkpoint(&runtime, &bundle, &[]).failed(1);
    if said.contains("cannot work on this kernel") || said.contains("there is no CRIU") {
        println!("skipped, because no checkpoint gets that far here: {said}");
    } else {
        assert!(said.contains("can be written by others (mode 0777)"), "{said}");
    }
    assert_eq!(std::fs::read_dir(images(&bundle)).unwrap().count(), 0);
}
