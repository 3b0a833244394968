//! What is refused, as the user of Podman reads it.

use super::Podman;

#[test]
#[ignore = "drives a real engine"]
fn a_refusal_reaches_the_user_whole() {
    let Some(podman) = Podman::new() else { return };

    for (options, rule, why) in [
        (&["--privileged"][..], "dev.standard-only", "any other device is a way to the host"),
        (&["--pid", "host"], "ns.no-host-pid", "would see and signal the host's processes"),
        (&["--network", "host"], "ns.no-host-network", "listens on the host's loopback"),
        (&["--ipc", "host"], "ns.no-host-ipc", "share the host's memory segments"),
        (&["--uts", "host"], "ns.no-host-uts", "share the host's name"),
        (&["--device", "/dev/loop-control"], "dev.standard-only", "/dev/loop-control"),
        (&["-v", "/:/host"], "mount.no-host-kernel-files", "is the host's root"),
        (&["-v", "/proc:/host"], "mount.no-host-kernel-files", "is the host's /proc"),
        (&["-v", "/dev/vda:/disk"], "mount.no-host-kernel-files", "is the host's /dev/vda"),
        (&["-v", "/run/casemate:/x"], "mount.no-host-kernel-files", "decides about containers"),
    ] {
        let said = podman.run(options, "echo started").failed();

        let sentence = format!("refused by rule `{rule}`: ");
        assert!(said.starts_with("Error: OCI runtime error: casemate: create `"), "{said}");
        assert!(said.contains(&sentence) && said.contains(why), "{options:?}: {said}");
        assert!(said.contains("; hint: "), "{options:?}: {said}");
        assert!(!said.contains("started"), "{said}");
    }
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
