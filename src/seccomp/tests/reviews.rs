//! What is odd about a profile.

use super::support::*;
use crate::seccomp::{Listener, Remark, Request, Version, Weight, review};

fn remarks(json: &str, kernel: &str) -> Vec<Remark> {
    let profile = profile(json);
    let request = Request { listener: Listener::Provided, ..standing(&profile) };
    review(&request, Version::parse(kernel).unwrap()).unwrap()
}

/// The remarks on rules beside one that lets every program run.
fn about(rules: &str) -> Vec<String> {
    let needed = r#"{"names": ["execve", "exit_group", "rt_sigreturn", "sendto"],
        "action": "SCMP_ACT_ALLOW"}"#;
    let json = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{needed}, {rules}]}}"#);
    remarks(&json, "7.0").iter().map(|one| format!("{}: {}", one.at, one.what)).collect()
}

fn denied(name: &str, op: &str, values: (u64, u64)) -> Vec<(String, Option<String>)> {
    let (value, two) = values;
    let json = format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {{"names": ["{name}"], "action": "SCMP_ACT_ERRNO", "args": [
            {{"index": 1, "value": {value}, "valueTwo": {two}, "op": "SCMP_CMP_{op}"}}]}}]}}"#
    );
    remarks(&json, "7.0").into_iter().map(|one| (one.at, one.hint)).collect()
}

#[test]
fn engines_profiles_have_nothing_that_stops_a_program() {
    for json in [PODMAN_4, PODMAN_5, DOCKER, CONTAINERD] {
        let found = remarks(json, "6.18");

        assert!(found.iter().all(|remark| remark.weight != Weight::Stops), "{found:?}");
        assert!(!found.iter().any(|remark| remark.what.contains("never holds")), "{found:?}");
    }
}

#[test]
fn what_nothing_runs_without_is_missed() {
    let found = remarks(r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#, "6.18");

    let said: Vec<_> = found.iter().map(|one| (one.weight, one.what.as_str())).collect();
    assert_eq!(said[0], (Weight::Stops, "`execve` is refused: no program can be started"));
    assert_eq!(said.len(), 4);
    let asked = remarks(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "6.18");
    assert_eq!(asked[0].weight, Weight::Notes);
    assert!(asked[0].what.starts_with("`execve` is left to a listener"), "{asked:?}");
}

#[test]
fn calls_that_the_kernel_does_not_have_yet_are_noted() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["read", "mseal", "listns", "riscv_hwprobe"], "action": "SCMP_ACT_KILL"}]}"#;

    let found = remarks(json, "6.1");

    assert_eq!(
        found.iter().find(|one| one.at.ends_with("/0")).unwrap().what,
        "Linux 6.1 has no `mseal` (Linux 6.10), `listns` (Linux 6.19)"
    );
}

#[test]
fn rules_that_decide_nothing_are_found() {
    assert_eq!(
        about(
            r#"{"names": ["bpf"], "action": "SCMP_ACT_ERRNO"},
               {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
               {"names": ["read"], "action": "SCMP_ACT_LOG"},
               {"names": ["riscv_flush_icache"], "action": "SCMP_ACT_ALLOW"}"#
        ),
        [
            "/linux/seccomp/syscalls/3: decides nothing: other rules decide before it, or its \
             conditions never hold",
            "/linux/seccomp/syscalls/1: decides nothing: it says what the default says",
        ]
    );
}

#[test]
fn comparisons_that_say_nothing_are_found() {
    let prctl = |op: &str, value: u64| {
        about(&format!(
            r#"{{"names": ["prctl"], "action": "SCMP_ACT_ALLOW", "args": [
                {{"index": 0, "value": {value}, "op": "SCMP_CMP_{op}"}}]}}"#
        ))
    };

    assert!(prctl("EQ", 7).is_empty());
    let never = prctl("LT", 0);
    assert!(never[0].starts_with("/linux/seccomp/syscalls/1: decides nothing"), "{never:?}");
    assert_eq!(never[1], "/linux/seccomp/syscalls/1/args/0: this comparison never holds");
    assert_eq!(prctl("GT", u64::MAX).len(), 2);
    assert_eq!(prctl("GE", 0), ["/linux/seccomp/syscalls/1/args/0: this comparison always holds"]);
}

#[test]
fn a_denial_that_can_be_walked_around_is_found() {
    let address = "/linux/seccomp/syscalls/0/args/0".to_owned();

    assert_eq!(
        denied("ioctl", "EQ", (0x5412, 0)),
        [(
            address,
            Some("use SCMP_CMP_MASKED_EQ with value 4294967295 and valueTwo 21522".to_owned())
        )]
    );
    assert!(denied("ioctl", "MASKED_EQ", (0xffff_ffff, 0x5412)).is_empty());
    assert!(denied("mmap", "EQ", (7, 0)).is_empty());
}
