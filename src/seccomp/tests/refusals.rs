//! What is wrong with a profile is said, with its address.

use super::support::*;
use crate::seccomp::Warning;

fn refused(rule: &str) -> String {
    error(&format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rule}]}}"#))
}

#[test]
fn an_unknown_name_that_is_denied_anyway_is_dropped_with_a_warning() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read", "frobnicate"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );

    let said: Vec<_> =
        compiled(&standing(&profile)).warnings.iter().map(Warning::to_string).collect();

    assert_eq!(
        said,
        ["/linux/seccomp/syscalls/0/names/1: `frobnicate` is no known system call; \
          the name was dropped"]
    );
}

#[test]
fn an_unknown_name_is_warned_about_once() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["frobnicate", "frobnicate", "other"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["frobnicate"], "action": "SCMP_ACT_LOG"}]}"#,
    );

    assert_eq!(compiled(&standing(&profile)).warnings.len(), 2);
}

#[test]
fn an_unknown_name_that_would_be_allowed_is_refused() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["frobnicate"], "action": "SCMP_ACT_ERRNO"}]}"#;

    assert_eq!(
        error(json),
        "/linux/seccomp/syscalls/0/names/0: `frobnicate` is no known system call; \
         without its rule the default stands: allow"
    );
    // Without the baseline nothing is judged.
    assert_eq!(compiled(&bare(&profile(json))).warnings.len(), 1);
}

#[test]
fn a_name_of_another_architecture_is_not_unknown() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["s390_pci_mmio_read", "riscv_flush_icache"], "action": "SCMP_ACT_KILL"}]}"#,
    );

    assert_eq!(compiled(&standing(&profile)).warnings, []);
}

#[test]
fn values_out_of_range_are_refused() {
    assert_eq!(
        refused(
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}"#
        ),
        "/linux/seccomp/syscalls/0/args/0/index: argument 6 does not exist, only 0 to 5 do"
    );
    assert_eq!(
        refused(r#"{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096}"#),
        "/linux/seccomp/syscalls/0/errnoRet: 4096 is out of range, the largest is 4095"
    );
    assert_eq!(
        refused(r#"{"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 65536}"#),
        "/linux/seccomp/syscalls/0/errnoRet: 65536 is out of range, the largest is 65535"
    );
    assert_eq!(
        refused(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}"#),
        "/linux/seccomp/syscalls/0/errnoRet: the action (allow) takes no error number"
    );
    assert_eq!(
        error(r#"{"defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 1}"#),
        "/linux/seccomp/defaultErrnoRet: the action (kill the thread) takes no error number"
    );
}

#[test]
fn a_rule_without_names_is_refused() {
    assert_eq!(
        refused(r#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#),
        "/linux/seccomp/syscalls/0/names: names no system call"
    );
    assert_eq!(
        refused(r#"{"names": [""], "action": "SCMP_ACT_ALLOW"}"#),
        "/linux/seccomp/syscalls/0/names/0: names no system call"
    );
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    let args = r#""args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]"#;

    assert_eq!(
        refused(&format!(
            r#"{{"names": ["prctl"], "action": "SCMP_ACT_ALLOW", {args}}},
               {{"names": ["read", "prctl"], "action": "SCMP_ACT_KILL", {args}}}"#
        )),
        "/linux/seccomp/syscalls/1: `prctl` under these conditions is decided differently by \
         /linux/seccomp/syscalls/0"
    );
}

#[test]
fn asking_a_listener_is_refused_while_there_is_none() {
    let asks = ": asks an agent to decide, and /linux/seccomp/listenerPath names none";

    assert_eq!(
        refused(r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#),
        format!("/linux/seccomp/syscalls/0/action{asks}")
    );
    assert_eq!(
        error(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#),
        format!("/linux/seccomp/defaultAction{asks}")
    );
}

#[test]
fn a_listener_that_nothing_asks_is_ignored() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent.sock"}"#;

    assert_eq!(compiled(&standing(&profile(json))).program.flags, 0);
}

#[test]
fn a_flag_that_the_kernel_would_refuse_is_refused() {
    assert_eq!(
        error(
            r#"{"defaultAction": "SCMP_ACT_ALLOW",
                "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#
        ),
        "/linux/seccomp/flags/0: is only for filters with SCMP_ACT_NOTIFY"
    );
}

#[test]
fn bits_outside_a_mask_are_pointed_out() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["prctl"], "action": "SCMP_ACT_ALLOW", "args": [
             {"index": 0, "value": 240, "valueTwo": 17, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#,
    );

    assert_eq!(
        compiled(&standing(&profile)).warnings,
        [Warning::BitsOutsideMask { at: "/linux/seccomp/syscalls/0/args/0".into() }]
    );
}
