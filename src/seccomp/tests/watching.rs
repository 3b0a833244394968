//! A watched filter answers as the other one, or asks.

use super::support::*;
use crate::seccomp::baseline::Part;
use crate::seccomp::core_set::CORE;
use crate::seccomp::table::{by_number, lookup};
use crate::seccomp::{Abi, Action, Basis, Call, Listener, Request, SetIdBits, Watch, watch};

/// What the kernel and a watcher answer together.
fn together(watched: &crate::seccomp::Watched, call: &Call) -> Action {
    let kernel = answer(&watched.program, call);
    if kernel == Action::Notify { answer(&watched.effective, call) } else { kernel }
}

#[test]
fn kernel_and_watcher_together_answer_as_the_filter_alone_would() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for json in [PODMAN_4, PODMAN_5, DOCKER, CONTAINERD] {
        let mut json: serde_json::Value = serde_json::from_str(json).unwrap();
        for name in ["personality", "sync"] {
            let rule = serde_json::json!({"names": [name], "action": "SCMP_ACT_KILL"});
            json["syscalls"].as_array_mut().unwrap().insert(0, rule);
        }
        let profile = serde_json::from_value(json).unwrap();
        let request = Request { set_id_bits: SetIdBits::Denied, ..standing(&profile) };
        let plain = compiled(&request).program;
        for what in [Watch::Refused, Watch::All] {
            let watched = watch(&request, what).unwrap().unwrap();
            check_acceptable(&watched.program.instructions);
            assert_eq!(watched.effective, plain);
            let values = values(&plain);
            for arch in ARCHES {
                for nr in numbers() {
                    let args = [(); 6].map(|()| random.pick(&values));
                    let call = Call { nr, arch, instruction_pointer: 0, args };
                    assert_eq!(together(&watched, &call), answer(&plain, &call), "{call:x?}");
                    // What is permitted is never held up by a filter that is to show refusals.
                    if what == Watch::Refused && answer(&plain, &call).is_permissive() {
                        assert!(answer(&watched.program, &call).is_permissive(), "{call:x?}");
                    }
                }
            }
        }
    }
}

#[test]
fn recording_holds_everything_up_but_the_core_set() {
    let watched = watch(&Request::new(None, Abi::X86_64), Watch::All).unwrap().unwrap();

    for nr in 0..460 {
        let call = Call { nr, arch: 0xc000_003e, instruction_pointer: 0, args: [0; 6] };
        let name = by_number(Abi::X86_64, nr).map(|row| row.name);
        let is_core = name.is_some_and(|name| CORE.contains(&name));
        let expected = if is_core { Action::Allow } else { Action::Notify };
        assert_eq!(answer(&watched.program, &call), expected, "{nr} {name:?}");
    }
}

#[test]
fn commands_of_the_core_set_go_through_unless_something_is_stricter_about_them() {
    let answers = |request: &Request<'_>| {
        let watched = watch(request, Watch::All).unwrap().unwrap();
        [0x5401, 0xffff_ffff_0000_5421, 0x5412, 0x1234]
            .map(|command| answer(&watched.program, &call(Abi::X86_64, "ioctl", &[0, command])))
    };
    let (allow, notify) = (Action::Allow, Action::Notify);
    assert_eq!(answers(&Request::new(None, Abi::X86_64)), [allow, allow, notify, notify]);

    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ioctl"],
            "action": "SCMP_ACT_ERRNO", "args": [
            {"index": 1, "value": 21505, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    assert_eq!(answers(&standing(&profile)), [notify, allow, notify, notify]);
}

#[test]
fn the_core_set_names_known_calls_once_and_no_call_that_the_baseline_denies() {
    let mut sorted = CORE.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), CORE.len());
    for name in CORE {
        assert!(lookup(name).is_some(), "{name}");
        assert!(name != "execve" && name != "execveat");
        let mut rules = crate::seccomp::baseline_rules().iter();
        let denies = rules.find(|rule| rule.calls.contains(&name) && rule.part == Part::Standing);
        assert_eq!(denies, None, "{name}");
    }
}

#[test]
fn a_profile_that_asks_an_agent_cannot_be_watched() {
    let json = r#"{"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/agent.sock"}"#;
    let profile = profile(json);
    let request = Request { listener: Listener::Provided, ..standing(&profile) };

    assert!(watch(&request, Watch::Refused).is_err());
}

#[test]
fn a_basis_gives_the_same_request_again() {
    let profile = profile(DOCKER);
    let waive = ["io-uring"];
    for request in [
        Request { waive: &waive, ..standing(&profile) },
        Request { set_id_bits: SetIdBits::Denied, ..Request::new(None, Abi::X86_64) },
        bare(&profile),
    ] {
        let kept = serde_json::to_string(&Basis::of(&request)).unwrap();
        let basis: Basis = serde_json::from_str(&kept).unwrap();

        let again = basis.with_request(Abi::X86_64, compiled);
        assert_eq!(again.program, compiled(&request).program);
    }
}
