//! Profiles learnt and refusals told of, below Podman.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Podman;
use crate::engines::support::{HEARD, call_heard, eventually};

/// A policy that has a place for profiles, and notes refusals: the option that names it to
/// casemate, and the place.
fn policy(podman: &Podman) -> (String, PathBuf) {
    let dir = podman.place().dir();
    let (file, profiles) = (dir.join("policy.toml"), dir.join("profiles"));
    fs::create_dir(&profiles).unwrap();
    fs::set_permissions(&profiles, fs::Permissions::from_mode(0o755)).unwrap();
    let text =
        format!("level = \"hardened\"\n[seccomp]\nreport = \"notify\"\nrecord-to = {profiles:?}\n");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    (format!("policy={}", file.display()), profiles)
}

/// Waits for a file that is written when a container has ended.
fn wait_for(file: &std::path::Path) -> String {
    eventually("the profile", || file.exists());
    fs::read_to_string(file).unwrap()
}

#[test]
#[ignore = "drives a real engine"]
fn a_profile_is_recorded_by_annotation_and_is_enough() {
    let Some(podman) = Podman::new() else { return };
    let (policy, profiles) = policy(&podman);
    let annotation = ["--annotation", "org.casemate.seccomp.record=web"];
    let flag = ["--runtime-flag", &policy];
    let work = "mkdir /tmp/x; ln -s x /tmp/y; ls /tmp; echo done";
    let image = ["localhost/busybox:1", "sh", "-c"];
    let run = |options: &[&str], line: &str| {
        let line = format!("{HEARD}{line}");
        let run = [&flag[..], &["run", "--rm", "-i"], options, &image, &[&line]].concat();
        call_heard(&mut podman.command(&run))
    };

    let said = run(&annotation, work).ok();
    assert_eq!(said, "x\ny\ndone");
    let profile = profiles.join("web.json");
    let text = wait_for(&profile);
    assert!(text.contains("first by ln (/bin/busybox)"), "{text}");

    let option = format!("seccomp={}", profile.display());
    let learnt = ["--security-opt", option.as_str()];
    assert_eq!(run(&learnt, work).ok(), said);
    let refused = run(&learnt, "mkfifo /tmp/pipe 2>&1");
    assert!(refused.stdout.contains("Operation not permitted"), "{refused:?}");

    // Without the policy, the annotation is none that a bundle may have.
    let refused = podman.run(&annotation, "true").failed();
    assert!(refused.contains("seccomp.record"), "{refused}");
}

#[test]
#[ignore = "drives a real engine"]
fn refusals_of_a_container_in_the_background_are_told() {
    let Some(podman) = Podman::new() else { return };
    let (policy, _) = policy(&podman);
    let line = "unshare -U true; chroot / true; sleep 600";
    let image = ["localhost/busybox:1", "sh", "-c", line];
    let started = podman
        .call(&[&["--runtime-flag", &policy, "run", "-d", "--name", "web"][..], &image].concat());
    let id = started.ok();

    let log = || {
        let mut casemate = podman.place().command("casemate");
        let said = casemate.args(["seccomp", "log", &id]).output().unwrap();
        String::from_utf8(said.stdout).unwrap()
    };
    eventually("the second refusal", || log().contains("mount.chroot"));
    assert!(log().contains("namespace.unshare"), "{}", log());
    let top = podman.call(&["exec", "web", "sh", "-c", "unshare -U true; echo entered"]);
    assert!(top.stdout.contains("entered"), "{top:?}");
    podman.call(&["rm", "-f", "-t", "0", "web"]).ok();
}
