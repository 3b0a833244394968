//! The black-box driver in this directory, run against the binary under test; see README.md.

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "takes minutes and disturbs timings; `hack/test.sh` runs it by itself"]
fn every_must_is_withstood() {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/probes/probes.py");

    let status = Command::new("python3")
        .arg(driver)
        .args(["--runtime", env!("CARGO_BIN_EXE_casemate"), "--expect", "hardened"])
        .status()
        .unwrap();

    assert!(status.success());
}
