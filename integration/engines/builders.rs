//! Builders: what a person reads who builds with casemate as the runtime, and what works.

use std::fs;
use std::process::Command;

use super::podman::Podman;
use super::support::{Called, HEARD, call, call_heard, eventually, has};

const REFUSAL: &str = "refused by rule `rootfs.read-only`: /root/readonly is false for a step of \
                       a build, which writes the root and keeps what it wrote";
const HINT: &str = "hint: build with another runtime (`buildah --runtime crun`, `podman --runtime \
                    crun build`), and run the image with this one";

/// A directory with a Dockerfile of these lines.
fn context(podman: &Podman, lines: &str) -> String {
    let dir = podman.place().dir().join("context");
    fs::create_dir_all(&dir).unwrap();
    let text = format!("FROM localhost/busybox:1\n{lines}\n");
    fs::write(dir.join("Dockerfile"), text).unwrap();
    dir.to_str().unwrap().to_owned()
}

fn buildah(podman: &Podman, args: &[&str]) -> Called {
    let dir = podman.place().dir();
    let mut command: Command = podman.place().command("buildah");
    command.arg("--root").arg(dir.join("root")).arg("--runroot").arg(dir.join("run"));
    call(command.args(args))
}

#[test]
#[ignore = "drives a real engine"]
fn podman_builds_without_steps_and_says_what_to_do_with_one() {
    let Some(podman) = Podman::new() else { return };
    let dir =
        context(&podman, "COPY Dockerfile /etc/copied\nENV A=b\nCMD [\"cat\", \"/etc/copied\"]");
    podman.call(&["build", "-q", "-t", "localhost/built:1", &dir]).ok();
    // What it says may be lost: see `call_heard`.
    eventually("the file", || {
        let said = podman.call(&["run", "--rm", "localhost/built:1"]).ok();
        said.starts_with("FROM localhost/busybox:1")
    });

    let dir = context(&podman, "RUN echo x > /etc/x");
    let said = podman.call(&["build", "-t", "localhost/step:1", &dir]).failed();
    assert!(said.contains(REFUSAL) && said.contains(HINT), "{said}");
}

#[test]
#[ignore = "drives a real engine"]
fn buildah_says_what_to_do_and_that_works() {
    if !has("buildah") || !has("runc") {
        return;
    }
    let Some(podman) = Podman::new() else { return };
    let dir = context(&podman, "RUN echo kept > /etc/x");
    let build = |runtime: &str| {
        let options = ["--runtime", runtime, "--isolation", "oci", "-t", "localhost/step:1"];
        buildah(&podman, &[&["bud"][..], &options, &[&dir]].concat())
    };

    let said = build("/usr/local/bin/casemate").failed();
    assert!(said.contains(REFUSAL) && said.contains(HINT), "{said}");

    build("/usr/sbin/runc").ok();
    let line = format!("{HEARD}cat /etc/x");
    let run = ["run", "--rm", "-i", "localhost/step:1", "sh", "-c", &line];
    assert_eq!(call_heard(&mut podman.command(&run)).ok(), "kept");
}
