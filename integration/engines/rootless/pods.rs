//! Pods of a user, and the ways in which a user's images are stored.

use std::fs;

use super::{Rootless, assert_boxed};
use crate::engines::support::{HEARD, call_heard, eventually};

#[test]
#[ignore = "drives a real engine"]
fn a_pod_shares_ids_and_a_published_port() {
    let Some(podman) = Rootless::new() else { return };
    podman.call(&["pod", "create", "--name", "pod", "-p", "18081:8080"]).ok();
    let line = "echo page > /tmp/index.html; httpd -f -p 8080 -h /tmp";
    for (name, line) in [("web", line), ("side", "sleep 1000")] {
        let run = ["run", "-d", "--name", name, "--pod", "pod", "localhost/busybox:1", "sh", "-c"];
        podman.call(&[&run[..], &[line]].concat()).ok();
    }
    let (web, side) = (podman.pid("web"), podman.pid("side"));

    assert_boxed(web);
    assert_boxed(side);
    let of = |pid: i32, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    for kind in ["user", "net", "ipc", "uts"] {
        assert_eq!(of(web, kind), of(side, kind), "{kind}");
    }
    assert_ne!(of(web, "pid"), of(side, "pid"));
    eventually("the page, from outside", || {
        podman.place.shell("busybox wget -qO- http://127.0.0.1:18081/").stdout == "page\n"
    });
    podman.call(&["pod", "stop", "--time", "0", "pod"]).ok();
    podman.call(&["pod", "start", "pod"]).ok();
    assert_eq!(of(podman.pid("web"), "user"), of(podman.pid("side"), "user"));
    podman.call(&["pod", "rm", "--force", "--time", "0", "pod"]).ok();
}

#[test]
#[ignore = "drives a real engine"]
fn overlays_of_a_user_are_used_as_they_are() {
    let Some(podman) = Rootless::new() else { return };
    let archive = podman.place.dir().join("image.tar");
    let native = ["--storage-driver", "overlay"];
    let fuse = [&native[..], &["--storage-opt", "overlay.mount_program=/usr/bin/fuse-overlayfs"]];
    for (name, driver) in [("native", native.to_vec()), ("fuse", fuse.concat())] {
        let root = podman.place.dir().join("home").join(name);
        let run = podman.place.dir().join("xdg").join(name);
        let engine = |args: &[&str]| {
            let mut command = podman.user("podman");
            command.arg("--root").arg(&root).arg("--runroot").arg(&run).args(&driver);
            call_heard(command.args(["--runtime", "casemate"]).args(args))
        };
        engine(&["import", archive.to_str().unwrap(), "localhost/busybox:1"]).ok();
        let line = format!("{HEARD}touch /x || grep ' / ' /proc/mounts");
        let image = ["--network", "none", "localhost/busybox:1", "sh", "-c", &line];
        for ids in [&[][..], super::SHIFTED] {
            let said = engine(&[&["run", "--rm", "-i"][..], ids, &image].concat()).ok();
            let kind = if name == "fuse" { "fuse" } else { "overlay" };
            assert!(said.contains(kind) && said.contains(" ro,nosuid"), "{name} {ids:?}: {said}");
        }
        // Podman that cleans up after the last container may be in its directories still.
        let reset = ["system", "reset", "--force"];
        eventually("a reset", || engine(&reset).status == Some(0));
    }
}
