//! `docker build`, where casemate is the default runtime.

use std::fs;

use super::Docker;

#[test]
#[ignore = "drives a real engine"]
fn a_build_that_only_looks_works_and_one_that_writes_says_why_not() {
    let Some(docker) = Docker::new(&["--default-runtime", "casemate"]) else { return };
    let dir = docker.place().dir().join("build");
    fs::create_dir(&dir).unwrap();
    let build = |line: &str| {
        let text = format!("FROM busybox:1\nCOPY Dockerfile /etc/there\nRUN {line}\n");
        fs::write(dir.join("Dockerfile"), text).unwrap();
        docker.call(&["build", "--no-cache", "-t", "built:1", dir.to_str().unwrap()])
    };

    let said = build("cat /etc/there && awk '{ print $2 }' /proc/self/uid_map").ok();
    assert!(said.contains("FROM busybox:1") && said.contains("Successfully built"), "{said}");
    let said = build("echo x > /etc/x").failed();
    assert!(said.contains("can't create /etc/x: Read-only file system"), "{said}");
}
