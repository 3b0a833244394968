//! Profiles that are wrong: said with the address of what is, by `seccomp compile` and by `create`
//! alike, before anything exists.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Files, refused, said};
use crate::support::{Bundle, Runtime, Snapshot};

/// The two ways to the compiler: what each says of a profile that is wrong.
#[track_caller]
fn both_refuse(profile: &Value, at: &str, expected: &str) {
    let files = Files::new();
    let begun = Instant::now();
    let by_file = refused(&["compile", &files.with("p.json", &profile.to_string())]);
    assert!(by_file.contains(&format!("p.json{at}{expected}")), "{by_file}");

    let bundle = Bundle::new().set("/linux/seccomp", profile.clone());
    let runtime = Runtime::new();
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let by_create = runtime.create(&bundle).failed(1);
    let at = at.trim_start_matches([':', ' ']);
    let at = if at == "the profile" { "" } else { at };
    assert!(
        by_create.contains(&format!("config.json /linux/seccomp{at}{expected}")),
        "{by_create}"
    );
    before.assert_unchanged();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

fn rules(default: &str, rules: Value) -> Value {
    json!({"defaultAction": format!("SCMP_ACT_{default}"), "syscalls": rules})
}

fn compared(argument: Value) -> Value {
    rules("ERRNO", json!([{"names": ["prctl"], "action": "SCMP_ACT_ALLOW", "args": [argument]}]))
}

#[test]
fn a_name_that_is_unknown_and_denied_anyway_is_noted_once() {
    let profile = rules(
        "ERRNO",
        json!([{"names": ["execve", "exit_group", "frobnicate"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["frobnicate"], "action": "SCMP_ACT_LOG"}]),
    );
    let files = Files::new();
    let text = said(&["compile", &files.with("p.json", &profile.to_string())]);
    assert_eq!(
        text.matches("`frobnicate` is no known system call; the name was dropped").count(),
        1
    );

    let bundle = Bundle::new().set("/linux/seccomp", profile);
    let plan = Runtime::new().call(["explain", "-b", bundle.dir().to_str().unwrap()]).ok();
    assert_eq!(
        plan.matches("/linux/seccomp/syscalls/0/names/2: `frobnicate` is no known").count(),
        1
    );
    Runtime::new().create(&bundle).ok();
}

#[test]
fn a_name_that_is_unknown_and_would_be_let_through_is_refused() {
    let profile = rules("ALLOW", json!([{"names": ["mout"], "action": "SCMP_ACT_ERRNO"}]));

    both_refuse(
        &profile,
        " /syscalls/0/names/0",
        ": `mout` is no known system call; without its rule the default stands: allow; \
         hint: write `mount` if that is meant, or take the name out",
    );
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    let one = json!([{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]);
    let profile = rules(
        "ERRNO",
        json!([{"names": ["prctl"], "action": "SCMP_ACT_ALLOW", "args": one},
            {"names": ["prctl"], "action": "SCMP_ACT_KILL", "args": one}]),
    );

    both_refuse(
        &profile,
        " /syscalls/1",
        ": `prctl` under these conditions is decided differently by ",
    );
}

#[test]
fn arguments_that_no_call_has_are_refused() {
    both_refuse(
        &compared(json!({"index": 6, "value": 1, "op": "SCMP_CMP_EQ"})),
        " /syscalls/0/args/0/index",
        ": argument 6 does not exist, only 0 to 5 do; hint: arguments are counted from 0",
    );
    both_refuse(
        &compared(json!({"index": -1, "value": 1, "op": "SCMP_CMP_EQ"})),
        ": /syscalls/0/args/0/index",
        ": invalid value: integer `-1`",
    );
}

#[test]
fn values_that_do_not_fit_are_refused() {
    both_refuse(
        &compared(json!({"index": 0, "value": 1.5, "op": "SCMP_CMP_EQ"})),
        ": /syscalls/0/args/0/value",
        ": invalid type: floating point `1.5`",
    );
    let text = compared(json!({"index": 0, "value": 424_242, "op": "SCMP_CMP_EQ"})).to_string();
    let large = text.replace("424242", "18446744073709551616");
    let files = Files::new();
    let said = refused(&["compile", &files.with("p.json", &large)]);
    assert!(said.contains("/syscalls/0/args/0/value: invalid type: floating point"), "{said}");

    for (action, number, largest) in [("ERRNO", 4096, 4095), ("TRACE", 65_536, 65_535)] {
        both_refuse(
            &rules(
                "ALLOW",
                json!([{"names": ["read"], "action": format!("SCMP_ACT_{action}"), "errnoRet": number}]),
            ),
            " /syscalls/0/errnoRet",
            &format!(": {number} is out of range, the largest is {largest}"),
        );
    }
    both_refuse(
        &json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
        " /defaultErrnoRet",
        ": the action (allow) takes no error number",
    );
}

#[test]
fn words_that_mean_nothing_are_refused() {
    both_refuse(&json!({"defaultAction": "SCMP_ACT_LET"}), ": /defaultAction", ": unknown variant");
    both_refuse(
        &json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]}),
        ": /architectures/0",
        ": unknown variant",
    );
    both_refuse(
        &json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW"]}),
        ": /flags/0",
        ": unknown variant",
    );
    both_refuse(
        &json!({"defaultAction": "SCMP_ACT_ALLOW",
            "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}),
        " /flags/0",
        ": is only for filters with SCMP_ACT_NOTIFY",
    );
    both_refuse(
        &compared(json!({"index": 0, "value": 1, "op": "SCMP_CMP_IS"})),
        ": /syscalls/0/args/0/op",
        ": unknown variant",
    );
    both_refuse(
        &rules("ERRNO", json!([{"names": [""], "action": "SCMP_ACT_ALLOW"}])),
        " /syscalls/0/names/0",
        ": names no system call",
    );
}

#[test]
fn a_program_that_the_kernel_would_not_take_is_refused_in_time() {
    for count in [3000, 9000] {
        let many: Vec<Value> = (0..count)
            .map(|value| {
                json!({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
                    {"index": value % 6, "value": value, "op": "SCMP_CMP_EQ"},
                    {"index": (value + 1) % 6, "value": value, "op": "SCMP_CMP_LE"}]})
            })
            .collect();
        let files = Files::new();
        let profile = rules("ERRNO", many.into()).to_string();
        let said = refused(&["compile", &files.with("p.json", &profile)]);
        assert!(said.contains("the profile: the filter has more than 4096 instructions"), "{said}");
        let config = Bundle::new().set("/linux/seccomp", serde_json::from_str(&profile).unwrap());
        let begun = Instant::now();
        let said = Runtime::new().create(&config).failed(1);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        assert!(
            said.contains("config.json /linux/seccomp: the filter has more than 4096 instructions"),
            "{said}"
        );
    }
}
