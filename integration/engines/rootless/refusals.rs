//! What a user without root is told.

use std::fs;

use super::{Rootless, SHIFTED};
use crate::engines::support::{assert_refused, call};

#[test]
#[ignore = "drives a real engine"]
fn what_is_not_held_is_refused_as_with_root() {
    let Some(podman) = Rootless::new() else { return };
    for (options, rule, why) in [
        (&["--pid", "host"][..], "ns.no-host-pid", "would see and signal the host's processes"),
        (&["--uts", "host"], "ns.no-host-uts", "share the host's name"),
        (&["-v", "/:/host"], "mount.no-host-kernel-files", "is the host's root"),
        (&["-v", "/proc:/host"], "mount.no-host-kernel-files", "is the host's /proc"),
    ] {
        let said = podman.run(options, "echo started").failed();
        assert_refused(&said, options, rule, why);
    }
    let host = ["run", "--rm", "--network", "host", "localhost/busybox:1", "echo", "started"];
    assert_refused(
        &podman.call(&host).failed(),
        &["--network", "host"],
        "ns.no-host-network",
        "listens on the host's loopback",
    );
}

#[test]
#[ignore = "drives a real engine"]
fn what_only_a_control_group_holds_is_not_pretended() {
    let Some(podman) = Rootless::new() else { return };
    podman.start("web", &[]);

    let said = podman.call(&["pause", "web"]).failed();
    assert!(said.contains("the container has no control group of its own"), "{said}");
    assert!(said.contains("use the systemd cgroup manager in a session of yours"), "{said}");
    let reduced = podman.place.dir().join("home/.local/state/casemate/audit.jsonl");
    assert!(fs::metadata(reduced).is_ok());
    podman.remove("web");
}

#[test]
#[ignore = "drives a real engine"]
fn an_administrator_can_refuse_the_users_own_ids_inside() {
    let Some(podman) = Rootless::new() else { return };
    let policy = podman.place.dir().join("policy/policy.toml");
    fs::write(&policy, "level = \"hardened\"\n[rootless]\ncaller = \"refuse\"\n").unwrap();

    for options in [&[][..], &["--userns", "keep-id"]] {
        let said = podman.run(options, "echo started").failed();
        assert!(said.contains("refused by rule `ids.no-host-root`: "), "{said}");
        assert!(said.contains("lowers P1: ") && !said.contains("started"), "{said}");
        assert!(said.contains("`--userns=auto:size=65536`"), "{said}");
    }
    assert_eq!(podman.run(SHIFTED, "echo started").ok(), "started");
    fs::write(&policy, "level = \"hardened\"\n[rootless]\ncaller = \"accept\"\n").unwrap();
    podman.start("web", &[]);
    assert_eq!(podman.call(&["logs", "web"]).stderr, "");
    assert!(podman.state("web")["annotations"].get("org.casemate.reduced").is_some());
    podman.remove("web");
}

#[test]
#[ignore = "drives a real engine"]
fn called_by_hand_it_says_where_a_user_is_root() {
    let Some(podman) = Rootless::new() else { return };
    let bundle = podman.place.dir().to_str().unwrap().to_owned();

    let said = call(podman.user("casemate").args(["run", "--bundle", &bundle, "x"])).failed();

    assert!(said.contains("it is called by the user 1500, and needs root"), "{said}");
    assert!(said.contains("`podman unshare casemate run"), "{said}");
}
