//! The very documents that engines hand over.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{exec, started};
use crate::support::{Bundle, Runtime};

/// What the containers of these documents had: the limits that podman puts on both.
fn container() -> Bundle {
    let limits = serde_json::json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 1024}]);
    Bundle::new().set("/process/rlimits", limits)
}

// rows: exec, exec.--process
#[test]
fn every_document_of_an_engine_starts_its_program() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/golden/captured/exec");
    let runtime = Runtime::new();
    let bundle = started(&runtime, container());
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let text = fs::read_to_string(&path).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        if document["terminal"] == true {
            // By hand, so that no socket is needed.
            exec(&runtime, &bundle, &["--process", path.to_str().unwrap()], &[]).ok();
            count += 1;
            continue;
        }

        let said = exec(&runtime, &bundle, &["--process", path.to_str().unwrap()], &[]).ok();

        if document["args"][0].as_str().unwrap().ends_with("id") {
            let user = format!("uid={}", document["user"]["uid"]);
            assert!(said.starts_with(&user), "{}: {said}", path.display());
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} documents");
}
