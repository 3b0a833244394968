//! `casemate try`: it holds as built, and each line turns red when its defence is taken out.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Ran, Runtime, unique_tag};

fn verdicts(ran: &Ran) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let promises = report["promises"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    promises.iter().map(|one| (text(&one["promise"]), text(&one["verdict"]))).collect()
}

fn broken(ran: &Ran) -> Vec<String> {
    let broken = verdicts(ran).into_iter().filter(|(_, verdict)| verdict == "BROKEN");
    broken.map(|(promise, _)| promise).collect()
}

#[test]
fn every_line_holds_as_built() {
    let ran = Runtime::new().call(["try", "--json"]);

    assert_eq!(broken(&ran), [""; 0], "{ran:?}");
    ran.ok();
}

#[cfg(feature = "fault")]
#[test]
fn a_line_turns_red_when_its_defence_is_taken_out() {
    for (weaken, promise) in
        [("seccomp.load", "P5"), ("caps.limit-bounding", "P4"), ("path.mask", "P3")]
    {
        let ran = Runtime::new().call(["try", "--json", "--weaken", weaken]);

        assert_eq!(broken(&ran), [promise], "{weaken}: {ran:?}");
        assert_eq!(ran.status, Some(1), "{weaken}");
    }
}

#[cfg(feature = "fault")]
#[test]
fn the_line_of_exec_turns_red_when_what_enters_has_one_defence_less() {
    for weaken in ["seccomp.load", "caps.limit-bounding", "privs.forbid-new,seccomp.load"] {
        let weaken = format!("exec:{weaken}");
        let ran = Runtime::new().call(["try", "--json", "--weaken", &weaken]);

        assert_eq!(broken(&ran), ["P6"], "{weaken}: {ran:?}");
    }
}

#[test]
fn a_policy_without_exec_is_no_fault_of_the_box() {
    let file = std::env::temp_dir().join(unique_tag());
    fs::write(&file, "level = \"hardened\"\n[exec]\nallow = false\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let runtime = Runtime::new().with_global("--policy").with_global(&file);

    let said = runtime.call(["try"]).ok();
    fs::remove_file(&file).unwrap();

    assert!(said.contains("not attempted: the policy refuses `exec`"), "{said}");
}

#[test]
fn nearly_every_line_is_red_where_nothing_is_enforced() {
    let file = std::env::temp_dir().join(unique_tag());
    fs::write(&file, "level = \"audit\"\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let runtime = Runtime::new().with_global("--policy").with_global(&file);

    let ran = runtime.call(["try", "--json"]);
    fs::remove_file(&file).unwrap();

    let broken = broken(&ran);
    for promise in ["P1", "P2", "P3", "P4", "P5"] {
        assert!(broken.iter().any(|one| one == promise), "{promise} holds: {ran:?}");
    }
}
