//! What is refused, as the user of Podman reads it.

use super::Podman;
use crate::engines::support;

#[test]
#[ignore = "drives a real engine"]
fn a_refusal_reaches_the_user_whole() {
    let Some(podman) = Podman::new() else { return };

    let disk =
        (&["-v", "/dev/vda:/disk"][..], "mount.no-host-kernel-files", "is the host's /dev/vda");
    for (options, rule, why) in support::REFUSED.into_iter().chain([disk]) {
        let said = podman.run(options, "echo started").failed();

        assert!(said.starts_with("Error: OCI runtime error: casemate: create `"), "{said}");
        support::assert_refused(&said, options, rule, why);
    }
}

#[test]
#[ignore = "drives a real engine"]
fn the_doctor_finds_the_drop_in() {
    let Some(podman) = Podman::new() else { return };

    let said = podman.place().shell("casemate doctor").stdout;

    let line = "podman      well  `podman --runtime casemate` runs /usr/local/bin/casemate";
    assert!(said.lines().any(|there| there == line), "{said}");
}

#[test]
#[ignore = "drives a real engine"]
fn a_missing_program_gets_the_status_that_scripts_ask_for() {
    let Some(podman) = Podman::new() else { return };

    let ran = podman.call(&["run", "--rm", "localhost/busybox:1", "nosuch"]);
    assert_eq!(ran.status, Some(127), "{ran:?}");
    let ran = podman.call(&["run", "--rm", "localhost/busybox:1", "/etc/passwd"]);
    assert_eq!(ran.status, Some(126), "{ran:?}");
}

#[test]
#[ignore = "drives a real engine"]
fn an_exception_opens_what_a_refusal_named() {
    let Some(podman) = Podman::new() else { return };
    let policy = "level = \"hardened\"\n[[exception]]\nid = \"net\"\nreason = \"a test\"\n\
                  waive = [\"ns.no-host-network\"]\n";
    let line = format!(
        "mkdir -p $D/policy /etc/casemate && printf '{policy}' > $D/policy/policy.toml && \
         mount --bind $D/policy /etc/casemate"
    );
    podman.place().shell(&line).ok();

    let host = podman.place().shell("stat -Lc %i /proc/self/ns/net").ok();
    let said = podman.run(&["--network", "host"], "stat -Lc %i /proc/self/ns/net").ok();

    assert_eq!(said, host);
    let said = podman.run(&["--pid", "host"], "true").failed();
    assert!(said.contains("rule `ns.no-host-pid`"), "{said}");
}
