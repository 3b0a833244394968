//! `podman exec`, and what rests on it.

use std::fs;

use super::Podman;

#[test]
#[ignore = "drives a real engine"]
fn exec_enters_the_same_box() {
    let Some(podman) = Podman::new() else { return };
    podman.start("web", &["--user", "1000"], "sleep 600");
    let pid = podman.pid("web");

    let said = podman.call(&["exec", "web", "sh", "-c", "id -u; cat /proc/self/uid_map"]).ok();

    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    assert_eq!(said, format!("1000\n{}", map.trim_end()));
    let keys = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status";
    let of_exec = podman.call(&["exec", "--user", "0", "web", "sh", "-c", keys]).ok();
    for line in of_exec.lines().filter(|line| !line.starts_with("CapEff")) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(line), "{line} is not in {status}");
    }
    let ran = podman.call(&["exec", "web", "sh", "-c", "exit 9"]);
    assert_eq!(ran.status, Some(9), "{ran:?}");
    assert_eq!(podman.call(&["exec", "web", "nosuch"]).status, Some(127));
    podman.call(&["exec", "-d", "web", "sleep", "601"]).ok();
    let top = podman.call(&["top", "web", "args"]).ok();
    assert!(top.contains("sleep 601"), "{top}");
}

#[test]
#[ignore = "drives a real engine"]
fn a_health_check_tells_the_health() {
    let Some(podman) = Podman::new() else { return };
    let check = ["--health-cmd", "test -e /tmp/well", "--health-interval", "disable"];
    podman.start("web", &check, "sleep 600");

    assert_ne!(podman.call(&["healthcheck", "run", "web"]).status, Some(0));
    podman.call(&["exec", "web", "touch", "/tmp/well"]).ok();
    podman.call(&["healthcheck", "run", "web"]).ok();
}

#[test]
#[ignore = "drives a real engine"]
fn exec_has_a_terminal_where_one_is_asked_for() {
    let Some(podman) = Podman::new() else { return };
    podman.start("web", &[], "sleep 600");

    let said = podman.call(&["exec", "-t", "web", "sh", "-c", "tty && echo yes"]).ok();

    assert!(said.contains("/dev/") && said.contains("yes"), "{said}");
}
