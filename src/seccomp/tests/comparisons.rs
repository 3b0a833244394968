//! What two filters answer differently.

use super::support::*;
use crate::seccomp::{Baseline, CallDifference, Change, NAMELESS, Request, compare};

/// Two profiles of x86_64 alone, as written.
fn differences(one: &str, other: &str) -> Vec<CallDifference> {
    let [one, other] = [one, other].map(|rules| {
        profile(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [{rules}]}}"#
        ))
    });
    let found = compare(&bare(&one), &bare(&other)).unwrap();
    assert!(found.abis.is_empty());
    found.calls
}

fn changes(one: &str, other: &str) -> Vec<(String, Change, bool)> {
    differences(one, other).into_iter().map(|d| (d.name, d.change, d.conditional)).collect()
}

const ALLOW_READ: &str = r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#;

fn ioctl(op: &str, value: u64) -> String {
    format!(
        r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
             "args": [{{"index": 1, "value": {value}, "op": "SCMP_CMP_{op}"}}]}}"#
    )
}

#[test]
fn a_profile_differs_from_itself_in_nothing() {
    for json in [PODMAN_4, PODMAN_5, DOCKER, CONTAINERD] {
        let profile = profile(json);
        for baseline in [Baseline::Off, Baseline::Standing] {
            let request = Request { baseline, ..standing(&profile) };
            assert_eq!(compare(&request, &request).unwrap(), Default::default());
        }
    }
}

#[test]
fn what_is_newly_permitted_and_refused_is_told_apart() {
    let read = || "read".to_owned();

    assert_eq!(changes("", ALLOW_READ), [(read(), Change::Permitted, false)]);
    assert_eq!(changes(ALLOW_READ, ""), [(read(), Change::Refused, false)]);
    let log = r#"{"names": ["read"], "action": "SCMP_ACT_LOG"}"#;
    assert_eq!(changes(ALLOW_READ, log), [(read(), Change::Answer, false)]);
    let kill = r#"{"names": ["read"], "action": "SCMP_ACT_KILL"}"#;
    assert_eq!(changes("", kill), [(read(), Change::Answer, false)]);
}

#[test]
fn conditions_are_compared_by_what_they_mean() {
    // One way or the other to say it.
    let at_least = ioctl("GE", 5);
    let above = ioctl("GT", 4);
    assert_eq!(changes(&at_least, &above), []);
    let split = [ioctl("EQ", 5), ioctl("GT", 5)].join(",");
    assert_eq!(changes(&at_least, &split), []);

    let found = differences(&at_least, &ioctl("GE", 6));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].change, found[0].conditional), (Change::Refused, true));
    assert_eq!(found[0].example.args, [0, 5, 0, 0, 0, 0]);
    assert_eq!(found[0].example.before, "allow");
    assert_eq!(found[0].example.after, "fail with ENOSYS");

    let shifted = differences(&ioctl("EQ", 5), &ioctl("EQ", 6));
    assert_eq!(shifted[0].change, Change::Mixed);
}

#[test]
fn numbers_that_no_call_has_are_compared_too() {
    let kill = profile(r#"{"defaultAction": "SCMP_ACT_KILL"}"#);
    let fail = profile(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38}"#);

    let found = compare(&bare(&kill), &bare(&fail)).unwrap();

    let nameless = found.calls.iter().find(|call| call.name == NAMELESS).unwrap();
    assert_eq!(nameless.change, Change::Answer);
    assert!(found.calls.len() > 300);
}

#[test]
fn an_interface_that_one_of_two_lists_is_one_difference() {
    let one = profile(r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#);
    let two = profile(r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"]}"#);

    let found = compare(&bare(&one), &bare(&two)).unwrap();

    assert_eq!(found.calls, []);
    assert_eq!(found.abis.len(), 1);
    assert_eq!(found.abis[0].before, "kill the process");
    assert_eq!(found.abis[0].change, Change::Permitted);
}

#[test]
fn what_the_baseline_cuts_is_what_it_says_it_cuts() {
    let profile = profile(PODMAN_4);
    let with = compiled(&standing(&profile));

    let found = compare(&bare(&profile), &standing(&profile)).unwrap();

    for call in found.calls.iter().filter(|call| call.change != Change::Answer) {
        assert_eq!(call.change, Change::Refused, "{call:?}");
        let bites = with.denials.iter().any(|rule| rule.calls.contains(&call.name.as_str()));
        assert!(bites, "{call:?}");
    }
    let refused = |name: &str| found.calls.iter().any(|call| call.name == name);
    assert!(refused("mount") && refused("clone") && !refused("read"));
}

#[test]
fn more_conditions_than_can_be_compared_are_said_to_be() {
    let rules: Vec<String> = (0..40_u64)
        .map(|bit| {
            format!(
                r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
                    {{"index": 1, "value": {}, "valueTwo": {}, "op": "SCMP_CMP_MASKED_EQ"}},
                    {{"index": 2, "value": {}, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}}]}}"#,
                1_u64 << bit | 1 << ((bit * 7 + 3) % 40),
                1_u64 << bit,
                1_u64 << ((bit * 11 + 5) % 40),
            )
        })
        .collect();
    let before = seconds_used();

    let found = differences(&rules.join(","), "");

    assert_eq!(found[0].name, "ioctl");
    assert_eq!(found[0].change, Change::Unknown);
    let took = seconds_used() - before;
    assert!(took < 20, "{took} s");
}
