//! `ctr`, with casemate for one container.

use super::{Containerd, IMAGE};
use crate::engines::cri::Service;
use crate::engines::support::{Called, eventually};

const BINARY: &str = "/usr/local/bin/casemate";

fn run(containerd: &Containerd, options: &[&str], id: &str, command: &[&str]) -> Called {
    let start = ["run", "--runc-binary", BINARY];
    containerd.ctr(&[&start, options, &[IMAGE, id], command].concat())
}

/// The same, of a container that says something. The shim writes that to a file, for through the
/// pipes of `ctr` itself some of it is lost now and then, whatever the runtime.
fn run_and_hear(containerd: &Containerd, options: &[&str], id: &str, line: &str) -> Called {
    let output = containerd.place().dir().join(format!("{id}.output"));
    let log = ["--log-uri", &format!("file://{}", output.display())];
    let mut ran = run(containerd, &[&log, options].concat(), id, &["sh", "-c", line]);
    ran.stdout = std::fs::read_to_string(output).unwrap_or_default();
    ran
}

#[test]
#[ignore = "drives a real engine"]
fn ctr_runs_a_container_by_itself() {
    let Some(containerd) = Containerd::new() else { return };
    let archive = containerd.place().dir().join("oci.tar");
    containerd.ctr(&["images", "import", archive.to_str().unwrap()]).ok();

    let line = "id -u; cat /proc/self/uid_map; exit 7";
    let ran = run_and_hear(&containerd, &["--rm"], "one", line);
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

#[test]
#[ignore = "drives a real engine"]
fn a_container_of_containerds_is_recorded_by_annotation() {
    let Some(containerd) = Containerd::new() else { return };
    let archive = containerd.place().dir().join("oci.tar");
    containerd.ctr(&["images", "import", archive.to_str().unwrap()]).ok();
    let policy = "level = \"hardened\"\n[seccomp]\nrecord-to = \"/etc/casemate\"\n";
    let line = format!(
        "mkdir -p $D/policy /etc/casemate && printf '{policy}' > $D/policy/policy.toml && \
         mount --bind $D/policy /etc/casemate"
    );
    containerd.place().shell(&line).ok();
    let profile = containerd.place().dir().join("policy/web.json");

    let annotation = ["--rm", "--annotation", "org.casemate.seccomp.record=web"];
    let ran = run_and_hear(&containerd, &annotation, "recorded", "mkdir /tmp/x; echo done");

    assert_eq!(ran.ok(), "done");
    eventually("its profile", || profile.exists());
    let text = std::fs::read_to_string(profile).unwrap();
    assert!(text.contains("once, first by mkdir (/bin/"), "{text}");
}
