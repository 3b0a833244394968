//! `doctor`, on this host.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Runtime, unique_tag};

#[test]
fn this_host_is_ready_and_the_document_says_why() {
    let ran = Runtime::new().call(["doctor", "--json"]);

    let document: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!(document["ready"], true);
    let findings = document["findings"].as_array().unwrap();
    for area in ["kernel", "groups", "ids", "casemate"] {
        assert!(findings.iter().any(|finding| finding["area"] == area), "{area}: {document}");
    }
    for finding in findings.iter().filter(|finding| finding["health"] == "poor") {
        assert_ne!(finding["remedy"], Value::Null, "{finding}");
    }
}

#[test]
fn the_runtime_class_names_the_runtime_of_every_engine() {
    let profile = |name: &str| {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/engines");
        fs::read_to_string(dir.join(name)).unwrap()
    };

    assert!(profile("runtimeclass.yaml").lines().any(|line| line == "handler: casemate"));
    assert!(profile("pod.yaml").contains("\n  runtimeClassName: casemate\n"));
    for (name, table) in [
        (
            "containerd-v2.toml",
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.casemate]",
        ),
        (
            "containerd-v3.toml",
            "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.casemate]",
        ),
        ("crio.conf", "[crio.runtime.runtimes.casemate]"),
    ] {
        assert!(profile(name).contains(table), "{name}");
    }
}

#[test]
fn a_policy_that_does_not_hold_is_told_with_a_remedy_and_a_status() {
    let dir = tempfile::Builder::new().prefix(&unique_tag()).tempdir().unwrap();
    let file = dir.path().join("policy.toml");
    let runtime = || Runtime::new().with_global("--policy").with_global(&file);
    fs::write(&file, "level = \"hardenned\"\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();

    let ran = runtime().call(["doctor"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("ILL   policy ") && ran.stdout.contains("line 1"), "{ran:?}");
    assert!(ran.stdout.contains("do: mend the policy file"), "{ran:?}");

    let text = "level = \"hardened\"\n[[exception]]\nid = \"old\"\nreason = \"r\"\n\
                expires = 2020-01-01\nwaive = [\"ns.no-host-ipc\"]\n";
    fs::write(&file, text).unwrap();
    let said = runtime().call(["doctor"]).ok();
    assert!(said.contains("POOR  exception `old` (line 2) ended on 2020-01-01"), "{said}");
}
