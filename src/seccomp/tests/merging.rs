//! Several profiles to one.

use oci_spec::runtime::LinuxSeccomp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::soundness::any_profile;
use super::support::*;
use crate::seccomp::compare::rank;
use crate::seccomp::resolve::Origin;
use crate::seccomp::{Abi, Baseline, Listener, MergeError, Merged, Part, Request, merge, resolve};

fn merged(profiles: &[&LinuxSeccomp]) -> Result<Merged, MergeError> {
    let parts: Vec<_> = profiles.iter().map(|profile| Part { profile, comments: &[] }).collect();
    merge(&parts, Abi::X86_64)
}

/// The rules that come of two lists of rules.
fn rules(one: &str, other: &str) -> Value {
    let [one, other] = [one, other].map(allowing);
    serde_json::to_value(merged(&[&one, &other]).unwrap().syscalls).unwrap()
}

fn allowing(rules: &str) -> LinuxSeccomp {
    profile(&format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#))
}

fn denying(rules: &str) -> LinuxSeccomp {
    profile(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rules}]}}"#))
}

const READ: &str = r#"{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}"#;

fn prctl(action: &str, op: &str, index: u8, value: u8) -> String {
    format!(
        r#"{{"names": ["prctl"], "action": "SCMP_ACT_{action}",
             "args": [{{"index": {index}, "value": {value}, "op": "SCMP_CMP_{op}"}}]}}"#
    )
}

#[test]
fn what_any_permits_is_permitted() {
    let open = r#"{"names": ["openat", "read"], "action": "SCMP_ACT_ALLOW"}"#;

    assert_eq!(
        rules(READ, open),
        json!([{"names": ["openat", "read", "write"], "action": "SCMP_ACT_ALLOW"}])
    );
    assert_eq!(
        rules(READ, &[open, &prctl("ALLOW", "EQ", 0, 7)].join(",")),
        json!([{"names": ["openat", "read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["prctl"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]}])
    );
}

#[test]
fn conditions_are_kept_and_go_where_somebody_asks_for_none() {
    let seven = prctl("ALLOW", "EQ", 0, 7);
    let nine = prctl("ALLOW", "EQ", 0, 9);

    assert_eq!(rules(&seven, &nine).as_array().unwrap().len(), 2);
    assert_eq!(rules(&seven, &seven).as_array().unwrap().len(), 1);
    let all = r#"{"names": ["prctl"], "action": "SCMP_ACT_ALLOW"}"#;
    assert_eq!(rules(&seven, all), json!([{"names": ["prctl"], "action": "SCMP_ACT_ALLOW"}]));
}

#[test]
fn the_error_number_that_was_chosen_for_a_call_stays() {
    let nosys = r#"{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}"#;

    let expected = json!([{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]);
    assert_eq!(rules(nosys, ""), expected);
    assert_eq!(rules("", nosys), expected);
}

#[test]
fn what_both_deny_is_denied() {
    let one = denying(r#"{"names": ["mount", "bpf"], "action": "SCMP_ACT_KILL"}"#);
    let other = denying(r#"{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}"#);

    let found = merged(&[&one, &other]).unwrap();

    let rules = serde_json::to_value(&found.syscalls).unwrap();
    assert_eq!(rules, json!([{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]));
    // One denies by one argument, the other by another: together, where both do.
    let one = denying(&prctl("ERRNO", "EQ", 0, 7));
    let other = denying(&prctl("ERRNO", "EQ", 1, 9));
    let found = merged(&[&one, &other]).unwrap();
    assert_eq!(found.syscalls.len(), 1);
    assert_eq!(found.syscalls[0].args.len(), 2);
}

#[test]
fn a_list_that_denies_is_loosened_by_one_that_allows() {
    let deny = denying(r#"{"names": ["mount", "bpf"], "action": "SCMP_ACT_ERRNO"}"#);
    let allow = allowing(r#"{"names": ["mount", "read"], "action": "SCMP_ACT_ALLOW"}"#);

    let found = merged(&[&allow, &deny]).unwrap();

    let document = serde_json::to_value(&found).unwrap();
    assert_eq!(
        document,
        json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO"}]})
    );
    assert_eq!(found.notes, ["the defaults differ; the loosest of them stands: allow"]);
}

#[test]
fn what_no_list_of_rules_says_is_refused_by_name() {
    // Refused from 3 on, but not at 5: two comparisons of one argument would be alternatives.
    let deny = denying(&prctl("ERRNO", "GE", 0, 3));
    let allow = allowing(&prctl("ALLOW", "EQ", 0, 5));

    let error = merged(&[&deny, &allow]).unwrap_err();

    assert_eq!(error.to_string(), "`prctl`: no list of rules says what they permit together");
}

#[test]
fn what_authors_say_is_kept() {
    let one = allowing(READ);
    let other = allowing(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#);
    let said = |text: &str| [Some(text.to_owned())];
    let (by_cat, by_tee) = (said("seen first by cat"), said("seen first by tee"));
    let parts =
        [Part { profile: &one, comments: &by_cat }, Part { profile: &other, comments: &by_tee }];

    let found = merge(&parts, Abi::X86_64).unwrap();

    assert_eq!(
        serde_json::to_value(&found.syscalls).unwrap(),
        json!([{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "comment": "seen first by cat; seen first by tee"},
            {"names": ["write"], "action": "SCMP_ACT_ALLOW", "comment": "seen first by cat"}])
    );
}

#[test]
fn real_profiles_merge_to_what_they_permit_together() {
    let profiles = [PODMAN_4, PODMAN_5, DOCKER, CONTAINERD].map(profile);
    let all: Vec<_> = profiles.iter().collect();

    let found = merged(&all).unwrap();

    holds_together(&all, &found);
    let alone = merged(&[&profiles[2]]).unwrap();
    holds_together(&[&profiles[2]], &alone);
}

/// Every call is permitted by the whole if one of the parts permits it, and only then.
fn holds_together(parts: &[&LinuxSeccomp], whole: &Merged) {
    let whole: LinuxSeccomp = serde_json::from_value(serde_json::to_value(whole).unwrap()).unwrap();
    let resolved = |profile| {
        let request =
            Request { listener: Listener::Provided, baseline: Baseline::Off, ..standing(profile) };
        resolve::resolve(&request, &mut Vec::new()).unwrap().unwrap()
    };
    let own = resolved(&whole);
    let parts: Vec<_> = parts.iter().map(|part| resolved(part)).collect();
    let values =
        values(&compiled(&Request { listener: Listener::Provided, ..bare(&whole) }).program);
    let mut random = Random(0xfeed_beef);
    for abi in Abi::X86_64.family() {
        if !parts.iter().all(|part| part.serves(*abi)) {
            continue;
        }
        for row in crate::seccomp::table::rows() {
            let Some(nr) = row.number(*abi) else { continue };
            for _ in 0..8 {
                let args = [(); 6].map(|()| random.pick(&values));
                let call = crate::seccomp::Call {
                    nr,
                    arch: abi.audit_arch(),
                    instruction_pointer: 0,
                    args,
                };
                let rulings: Vec<_> =
                    parts.iter().chain([&own]).map(|one| one.judge(&call)).collect();
                // What none of them names is newer than one of them, or than the whole.
                if rulings.iter().any(|ruling| ruling.origin == Origin::Newer) {
                    continue;
                }
                let best = parts.iter().map(|part| rank(part.judge(&call).action)).max();
                assert_eq!(Some(rank(own.judge(&call).action)), best, "{} {call:x?}", row.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_is_merged_permits_what_the_parts_permit(one in any_profile(), other in any_profile()) {
        match merged(&[&one, &other]) {
            Ok(found) => holds_together(&[&one, &other], &found),
            Err(MergeError::NoRule { .. } | MergeError::Part { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
