//! `casemate seccomp diff`, `merge` and `check`.

use std::fs;

use serde_json::{Value, json};

use super::{Files, allowing, golden, refused, said, seccomp, word};
use crate::support::{Bundle, Runtime, Snapshot};

const READ: &str = r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#;
const IOCTL: &str = r#"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
    "args": [{"index": 1, "value": 21505, "op": "SCMP_CMP_EQ"}]}"#;

/// What programs need to run at all.
const NEEDED: &str = r#"{"names": ["execve", "exit_group", "rt_sigreturn", "sendto"],
    "action": "SCMP_ACT_ALLOW"}"#;

/// What is printed by a comparison that finds something.
#[track_caller]
fn differing(words: &[&str]) -> String {
    let ran = seccomp(words);
    assert_eq!(ran.status, Some(4), "{} {}", ran.stdout, ran.stderr);
    ran.stdout
}

#[test]
fn the_same_profile_differs_in_nothing() {
    let files = Files::new();
    let one = files.with("one.json", &allowing(&[READ, IOCTL].join(",")));
    let other = files.with("other.json", &allowing(&[IOCTL, READ].join(",")));

    assert_eq!(said(&["diff", &one, &other]), "");
    assert_eq!(said(&["diff", "builtin:allow-list", "builtin:allow-list"]), "");
}

#[test]
fn differences_are_told_by_call_with_who_decides() {
    let files = Files::new();
    let one = files.with("one.json", &allowing(&[READ, NEEDED].join(",")));
    let other = files.with("other.json", &allowing(&[IOCTL, NEEDED].join(",")));

    assert_eq!(
        differing(&["diff", &one, &other]),
        "newly refused, 1 call:\n\
         CALL  ABI     BEFORE  AFTER            DECIDED BY\n\
         read  x86_64  allow   fail with EPERM  /defaultAction\n\
         \n\
         newly permitted, 1 call:\n\
         CALL                ABI     BEFORE           AFTER  DECIDED BY\n\
         ioctl(0x0, 0x5401)  x86_64  fail with EPERM  allow  /defaultAction, then /syscalls/0\n"
    );
    let document: Value =
        serde_json::from_str(&differing(&["diff", "--json", &one, &other])).unwrap();
    assert_eq!(document["calls"].as_array().unwrap().len(), 2);
    let ioctl = document["calls"].as_array().unwrap().iter().find(|c| c["name"] == "ioctl");
    assert_eq!(ioctl.unwrap()["example"]["args"], json!([0, 21505, 0, 0, 0, 0]));
}

#[test]
fn what_the_baseline_refuses_in_both_is_no_difference() {
    let files = Files::new();
    let one = files.with("one.json", &allowing(NEEDED));
    let mount = r#"{"names": ["mount"], "action": "SCMP_ACT_ALLOW"}"#;
    let other = files.with("other.json", &allowing(&[NEEDED, mount].join(",")));

    assert_eq!(said(&["diff", &one, &other]), "");
    let bare = differing(&["diff", "--no-baseline", &one, &other]);
    assert!(bare.contains("mount  x86_64  fail with EPERM  allow"), "{bare}");
    let waived = differing(&["diff", "--waive", "mount.change", &one, &other]);
    assert!(waived.contains("mount  x86_64"), "{waived}");
}

#[test]
fn real_profiles_are_told_apart() {
    let text = differing(&["diff", &golden("podman-4.3"), &golden("podman-5.4")]);

    assert!(text.contains("fchmodat2  x86_64, x86, x32  fail with ENOSYS  allow"), "{text}");
    let text = refused(&["diff", "-", "-"]);
    assert!(text.contains("standard input can be one of the two profiles only"), "{text}");
}

#[test]
fn profiles_are_merged_with_what_their_authors_say() {
    let files = Files::new();
    let commented = READ.replace("]", "], \"comment\": \"cat, 12 times\"");
    let one = files.with("one.json", &allowing(&commented));
    let other = files.with("other.json", &allowing(&[READ, IOCTL].join(",")));
    let out = files.path("out.json");

    let text = said(&["merge", &one, &other, "-o", word(&out)]);

    assert_eq!(text, "2 profiles merged: 2 rules, 2 calls by name; all else by default\n");
    let merged: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(
        merged,
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 1, "value": 21505, "op": "SCMP_CMP_EQ"}]},
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "cat, 12 times"}]})
    );
    // What is written is a profile again, and permits what the second did.
    assert_eq!(said(&["diff", &other, word(&out)]), "");
    assert_eq!(said(&["merge", &one, &other]), fs::read_to_string(&out).unwrap());
}

#[test]
fn real_profiles_merge_to_one_that_loses_nothing() {
    let files = Files::new();
    let out = files.path("out.json");
    let parts = [golden("podman-4.3"), golden("docker-20.10"), golden("containerd-2.1")];

    let mut words = vec!["merge", "-o", word(&out)];
    words.extend(parts.iter().map(String::as_str));
    said(&words);

    for part in &parts {
        let ran = seccomp(&["diff", "--no-baseline", "--json", part, word(&out)]);
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        for call in found["calls"].as_array().unwrap() {
            assert!(
                ["newly-permitted", "permitted", "answer"]
                    .contains(&call["change"].as_str().unwrap()),
                "{call}"
            );
        }
    }
}

#[test]
fn what_cannot_be_merged_is_named() {
    let files = Files::new();
    let deny = files.with(
        "deny.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["prctl"],
            "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_GE"}]}]}"#,
    );
    let allow = files.with(
        "allow.json",
        &allowing(
            r#"{"names": ["prctl"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]}"#,
        ),
    );

    let text = refused(&["merge", &deny, &allow]);
    assert!(text.contains("`prctl`: no list of rules says what they permit together; hint: "));
    let text = refused(&["merge", &allow, "builtin:baseline"]);
    assert!(text.contains("builtin:baseline has no profile"), "{text}");
}

#[test]
fn a_profile_that_can_be_used_is_said_to_be() {
    let files = Files::new();
    let profile = files.with("p.json", &allowing(NEEDED));

    let text = said(&["check", &profile]);

    assert!(text.contains(", level hardened ("), "{text}");
    assert!(text.contains("; this kernel takes the program\n"), "{text}");
    assert!(text.ends_with("\nit can be used\n"), "{text}");
    let listed = said(&["check", "builtin:allow-list", "--json"]);
    let document: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(document["loads"], "taken");
}

#[test]
fn what_stands_against_a_profile_is_an_exit_status() {
    let files = Files::new();
    for default in ["ERRNO", "KILL", "KILL_PROCESS", "TRAP", "TRACE", "NOTIFY"] {
        let profile =
            files.with("p.json", &format!(r#"{{"defaultAction": "SCMP_ACT_{default}"}}"#));
        let ran = seccomp(&["check", &profile]);
        assert!(ran.stdout.contains("this kernel takes the program"), "{default} {}", ran.stdout);
        assert_eq!(ran.status, Some(if default == "NOTIFY" || default == "TRACE" { 0 } else { 4 }));
    }
    let profile = files.with("p.json", &allowing(READ));
    let text = differing(&["check", &profile]);
    assert!(text.contains("error: /syscalls: `execve` is refused: no program can be started"));
    assert!(text.ends_with("it cannot be used as it is\n"), "{text}");
    let wrong = files.with(
        "p.json",
        &allowing(r#"{"names": ["read"], "action": "SCMP_ACT_LOG", "errnoRet": 3}"#),
    );
    assert!(
        refused(&["check", &wrong]).contains("/syscalls/0/errnoRet: the action (allow and log)")
    );
}

#[test]
fn a_bundle_shows_what_would_be_lost() {
    let files = Files::new();
    let both = [READ, NEEDED].join(",");
    let bundle =
        Bundle::new().set("/linux/seccomp", serde_json::from_str(&allowing(&both)).unwrap());
    let before = Snapshot::take(&Runtime::new(), &[bundle.id()]);
    let check = |profile: &str| seccomp(&["check", profile, "--bundle", word(bundle.dir())]);

    let same = check(&files.with("same.json", &allowing(&both)));
    assert_eq!(same.status, Some(0));
    assert!(same.stdout.contains("every call is answered as before"), "{}", same.stdout);
    let less = check(&files.with("less.json", &allowing(NEEDED)));
    assert_eq!(less.status, Some(4));
    assert!(less.stdout.contains("newly refused, 1 call:\n"), "{}", less.stdout);
    assert!(less.stdout.contains("read  x86_64  allow   fail with EPERM"), "{}", less.stdout);
    assert!(less.stdout.ends_with("it can be used, if what is newly refused is not needed\n"));
    before.assert_unchanged();
}

#[test]
fn every_user_may_check() {
    use std::os::unix::process::CommandExt;
    let runtime = Runtime::new();
    let mut command = runtime.command(["seccomp", "check", "builtin:allow-list"]);
    command.uid(65_534).gid(65_534);

    let text = runtime.finish(command).ok();
    assert!(text.contains("this kernel takes the program"), "{text}");
}
