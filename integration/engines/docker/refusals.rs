//! What is refused, as the user of Docker reads it.

use super::Docker;

#[test]
#[ignore = "drives a real engine"]
fn a_refusal_reaches_the_user_whole() {
    let Some(docker) = Docker::new(&[]) else { return };

    for (options, rule, why) in [
        (&["--privileged"][..], "dev.standard-only", "any other device is a way to the host"),
        (&["--pid", "host"], "ns.no-host-pid", "would see and signal the host's processes"),
        (&["--network", "host"], "ns.no-host-network", "listens on the host's loopback"),
        (&["--ipc", "host"], "ns.no-host-ipc", "share the host's memory segments"),
        (&["--uts", "host"], "ns.no-host-uts", "share the host's name"),
        (&["--device", "/dev/loop-control"], "dev.standard-only", "/dev/loop-control"),
        (&["-v", "/:/host"], "mount.no-host-kernel-files", "is the host's root"),
        (&["-v", "/proc:/host"], "mount.no-host-kernel-files", "is the host's /proc"),
        (&["-v", "/run/casemate:/x"], "mount.no-host-kernel-files", "decides about containers"),
    ] {
        let said = docker.run(options, "echo started").failed();

        let sentence = format!("refused by rule `{rule}`: ");
        let begin = "docker: Error response from daemon: ";
        assert!(said.starts_with(begin) && said.contains("create failed: create `"), "{said}");
        assert!(said.contains(&sentence) && said.contains(why), "{options:?}: {said}");
        assert!(said.contains("; hint: "), "{options:?}: {said}");
        assert!(!said.contains("started"), "{said}");
    }
}

#[test]
#[ignore = "drives a real engine"]
fn mistakes_are_told_in_casemates_words_and_leave_nothing() {
    let Some(docker) = Docker::new(&[]) else { return };

    let said = docker.run(&["--user", "nobody-there"], "true").failed();
    assert!(said.contains("unable to find user"), "{said}");
    let said = docker.run(&["--sysctl", "kernel.panic=1"], "true").failed();
    assert!(said.contains("kernel.panic"), "{said}");
    let said = docker.run(&["--workdir", "/etc/passwd"], "true").failed();
    assert!(said.contains("/etc/passwd"), "{said}");
    docker.begin("web", &[], "sleep 600");
    // A daemon with a limit of its own would say so itself.
    let said = docker.call(&["update", "--cpuset-cpus", "4000", "web"]).failed();
    assert!(said.contains("4000"), "{said}");
    docker.call(&["exec", "web", "true"]).ok();
}
