//! The baseline of denials, call by call in a container: what each comes to, and what it comes to
//! where no filter is loaded.

#[cfg(feature = "fault")]
use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime};

/// A call that a rule denies.
#[derive(Debug)]
struct Denied {
    rule: String,
    call: String,
    /// The number of the call, and arguments that the rule is about.
    words: String,
    /// What it is to come to.
    errno: i64,
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().map(|text| text.strip_prefix("0x").unwrap());
    text.map_or_else(|| value.as_u64().unwrap(), |digits| u64::from_str_radix(digits, 16).unwrap())
}

/// Arguments that meet every comparison of a list; none is 38 where the rule says no value.
fn arguments(tests: Option<&Value>) -> [u64; 6] {
    let mut arguments = [0; 6];
    for test in tests.and_then(Value::as_array).into_iter().flatten() {
        let at = usize::try_from(test["arg"].as_u64().unwrap()).unwrap();
        arguments[at] = match test["op"].as_str().unwrap() {
            "eq" | "any-bits" => number(&test["value"]),
            "ne" => 38, // AF_ALG, as a family
            other => panic!("{other}"),
        };
    }
    arguments
}

fn errno(name: &str) -> i64 {
    let known = [("EPERM", 1), ("ENOSYS", 38), ("EPROTONOSUPPORT", 93), ("EAFNOSUPPORT", 97)];
    known.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Every call of the file that this machine has, with each list of conditions.
fn denied() -> Vec<Denied> {
    let file: Value =
        serde_json::from_str(include_str!("../../profiles/seccomp/baseline.json")).unwrap();
    let mut denied = Vec::new();
    for rule in file["rules"].as_array().unwrap() {
        for call in rule["calls"].as_array().unwrap() {
            let call = call.as_str().unwrap();
            let Some(number) = native_number(call) else { continue };
            let lists = rule["when"]
                .as_array()
                .map_or(vec![None], |lists| lists.iter().map(Some).collect());
            for list in lists {
                let words: Vec<String> = arguments(list).iter().map(u64::to_string).collect();
                denied.push(Denied {
                    rule: rule["id"].as_str().unwrap().to_owned(),
                    call: call.to_owned(),
                    words: format!("{number},{}", words.join(",")),
                    errno: errno(rule["errno"].as_str().unwrap()),
                });
            }
        }
    }
    denied
}

/// The number of a call on this machine. No call has a greater one than 999.
fn native_number(call: &str) -> Option<u32> {
    const AUDIT_ARCH: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    (0..1000).find(|number| casemate::seccomp::identify(AUDIT_ARCH, *number).1 == Some(call))
}

/// A bundle that makes all of these calls; `None` without a C compiler.
fn calling(denied: &[Denied]) -> Option<Bundle> {
    let bundle = Bundle::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/seccomp_baseline/call.c");
    let program = bundle.rootfs().join("bin/call");
    let built = Command::new("cc").args(["-static", source, "-o"]).arg(&program).status();
    if !built.is_ok_and(|status| status.success()) {
        println!("skipped, because there is no C compiler that links statically");
        return None;
    }
    let words: Vec<&str> =
        std::iter::once("/bin/call").chain(denied.iter().map(|denied| &*denied.words)).collect();
    Some(bundle.set("/process/args", json!(words)))
}

fn results(said: &str) -> Vec<i64> {
    said.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn every_rule_of_the_baseline_answers_as_it_says_without_any_profile() {
    let denied = denied();
    assert!(denied.len() > 80, "{}", denied.len());
    let Some(bundle) = calling(&denied) else { return };
    let runtime = Runtime::new();

    let results = results(&runtime.run(&bundle).ok());

    assert_eq!(results.len(), denied.len());
    let wrong: Vec<_> = denied
        .iter()
        .zip(&results)
        .filter(|(denied, result)| **result != -denied.errno)
        .map(|(denied, result)| format!("{}: {} gives {result}", denied.rule, denied.call))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Rules behind which nothing else stops every call on every kernel. The calls of the others need
/// a capability of the host's, or are not in every kernel.
#[cfg(feature = "fault")]
const ALONE: [&str; 24] = [
    "file.handles",
    "io-uring",
    "kernel.clock",
    "kernel.obsolete",
    "kernel.programs",
    "keyring",
    "memory.placement",
    "mount.change",
    "mount.chroot",
    "namespace.clone",
    "namespace.clone3",
    "namespace.setns",
    "namespace.unshare",
    "process.inspect",
    "process.personality",
    "set-id.chmod",
    "set-id.chmodat",
    "set-id.create",
    "set-id.createat",
    "set-id.open",
    "set-id.openat",
    "set-id.openat2",
    "socket.netlink",
    "terminal.input",
];

#[cfg(feature = "fault")]
#[test]
fn without_the_filter_calls_of_most_rules_reach_the_kernel() {
    let denied = denied();
    let Some(bundle) = calling(&denied) else { return };
    let runtime = Runtime::new();
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    command.env("CASEMATE_SKIP", "seccomp.load");

    let results = results(&runtime.finish(command).ok());

    let mut answers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (denied, result) in denied.iter().zip(&results) {
        if *result != -denied.errno {
            answers.entry(&denied.rule).or_default().push(format!("{} {result}", denied.call));
        }
    }
    let stopped: Vec<_> = ALONE.iter().filter(|rule| !answers.contains_key(**rule)).collect();
    assert!(stopped.is_empty(), "{stopped:?} of {answers:#?}");
}
