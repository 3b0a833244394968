//! What is refused, as the user of Docker reads it.

use super::Docker;
use crate::engines::support;

#[test]
#[ignore = "drives a real engine"]
fn a_refusal_reaches_the_user_whole() {
    let Some(docker) = Docker::new(&[]) else { return };

    for (options, rule, why) in support::REFUSED {
        let said = docker.run(options, "echo started").failed();

        let begin = "docker: Error response from daemon: ";
        assert!(said.starts_with(begin) && said.contains("create failed: create `"), "{said}");
        support::assert_refused(&said, options, rule, why);
    }
}

#[test]
#[ignore = "drives a real engine"]
fn the_doctor_finds_the_file() {
    let Some(docker) = Docker::new(&[]) else { return };

    let said = docker.place().shell("casemate doctor").stdout;

    let line = "docker      well  `docker run --runtime casemate` runs /usr/local/bin/casemate";
    assert!(said.lines().any(|there| there == line), "{said}");
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

#[test]
#[ignore = "drives a real engine"]
fn a_program_whose_links_go_in_circles_leaves_no_shim() {
    let Some(docker) = Docker::new(&[]) else { return };
    let dir = docker.place().dir().join("looping");
    std::fs::create_dir_all(dir.join("bin")).unwrap();
    std::os::unix::fs::symlink("loop", dir.join("bin/loop")).unwrap();
    docker.place().shell("tar -C $D/looping -cf $D/looping.tar .").ok();
    let archive = docker.place().dir().join("looping.tar");
    docker.call(&["import", archive.to_str().unwrap(), "looping:1"]).ok();

    let run = ["run", "--rm", "--runtime", "casemate", "looping:1", "/bin/loop"];
    let said = docker.call(&run).failed();

    assert!(said.contains("\"/bin/loop\": too many levels of symbolic links"), "{said}");
    // What it leaves is looked for when the place is left.
    let left = docker.place().shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout;
    assert!(
        !left.contains(&format!(
            "{}/exec/containerd/containerd.sock -id",
            docker.place().dir().display()
        )),
        "{left}"
    );
}
