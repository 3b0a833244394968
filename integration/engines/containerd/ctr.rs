//! `ctr`, with casemate for one container.

use super::{Containerd, IMAGE};
use crate::engines::support::{Called, eventually};

const BINARY: &str = "/usr/local/bin/casemate";

fn run(containerd: &Containerd, options: &[&str], id: &str, command: &[&str]) -> Called {
    let start = ["run", "--runc-binary", BINARY];
    containerd.ctr(&[&start, options, &[IMAGE, id], command].concat())
}

#[test]
#[ignore = "drives a real engine"]
fn ctr_runs_a_container_by_itself() {
    let Some(containerd) = Containerd::new() else { return };
    let archive = containerd.place().dir().join("oci.tar");
    containerd.ctr(&["images", "import", archive.to_str().unwrap()]).ok();

    let line = "id -u; cat /proc/self/uid_map; exit 7";
    let ran = run(&containerd, &["--rm"], "one", &["sh", "-c", line]);
    assert_eq!(ran.status, Some(7), "{ran:?}");
    assert!(ran.stdout.starts_with("0\n") && !ran.stdout.contains("4294967295"), "{ran:?}");
    let said = run(&containerd, &["--rm", "--privileged"], "two", &["true"]).failed();
    assert!(said.contains("refused by rule `"), "{said}");
    let said = run(&containerd, &["--rm", "--net-host"], "three", &["true"]).failed();
    assert!(said.contains("refused by rule `ns.no-host-network`"), "{said}");

    run(&containerd, &["-d"], "four", &["sleep", "600"]).ok();
    containerd.ctr(&["tasks", "pause", "four"]).ok();
    containerd.ctr(&["tasks", "resume", "four"]).ok();
    containerd.ctr(&["tasks", "kill", "--signal", "KILL", "four"]).ok();
    eventually("its end", || containerd.ctr(&["tasks", "ls"]).stdout.contains("STOPPED"));
    containerd.ctr(&["tasks", "rm", "four"]).ok();
    containerd.ctr(&["containers", "rm", "four"]).ok();
}
