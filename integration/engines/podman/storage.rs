//! Podman's ways of storing an image, each with a container that finds its files as they were.

use std::fs;
use std::path::Path;

use super::Podman;
use crate::engines::support::{Called, HEARD, call_heard};

const LOOK: &str =
    "read attached; stat -c %u /etc/passwd /bin; id -u; touch /x 2>&1; echo > /tmp/x && echo end";

/// Podman with another store in the same place, and an image in it.
fn with_store(podman: &Podman, name: &str, options: &[&str], args: &[&str]) -> Called {
    let dir = podman.place().dir();
    let store = dir.join(name);
    let mut command = podman.place().command("podman");
    command.arg("--root").arg(store.join("root")).arg("--runroot").arg(store.join("run"));
    command.arg("--tmpdir").arg(dir.join("tmp")).args(options);
    command.args(["--events-backend", "file", "--runtime", "casemate"]).args(args);
    call_heard(&mut command)
}

fn check(name: &str, options: &[&str]) {
    let Some(podman) = Podman::new() else { return };
    let archive = podman.place().dir().join("image.tar");
    let archive = archive.to_str().unwrap();
    with_store(&podman, name, options, &["import", archive, "localhost/other:1"]).ok();

    let run = ["run", "--rm", "-i", "--network", "none", "localhost/other:1", "sh", "-c", LOOK];
    let said = with_store(&podman, name, options, &run).ok();

    assert!(said.starts_with("0\n0\n0\n") && said.contains("Read-only"), "{name}: {said}");
    assert!(said.ends_with("end"), "{name}: {said}");
}

#[test]
#[ignore = "drives a real engine"]
fn vfs_storage_is_a_plain_directory() {
    check("vfs", &["--storage-driver", "vfs"]);
}

#[test]
#[ignore = "drives a real engine"]
fn fuse_overlayfs_is_given_away_file_by_file() {
    if !Path::new("/usr/bin/fuse-overlayfs").exists() || !Path::new("/dev/fuse").exists() {
        println!("skipped, because there is no fuse-overlayfs");
        return;
    }
    let program = "overlay.mount_program=/usr/bin/fuse-overlayfs";
    check("fuse", &["--storage-driver", "overlay", "--storage-opt", program]);
}

#[test]
#[ignore = "drives a real engine"]
fn an_image_of_fifty_layers_by_links_is_put_together() {
    let Some(podman) = Podman::new() else { return };
    let dir = podman.place().dir().join("build");
    fs::create_dir(&dir).unwrap();
    let mut text = "FROM localhost/busybox:1\n".to_owned();
    for number in 0..50 {
        fs::write(dir.join(format!("f{number}")), number.to_string()).unwrap();
        text.push_str(&format!("COPY f{number} /etc/\n"));
    }
    fs::write(dir.join("Dockerfile"), text).unwrap();
    // Nothing is run to build it.
    let dir = dir.to_str().unwrap();
    podman.call(&["build", "-q", "--layers", "-t", "localhost/fifty:1", dir]).ok();

    let line = format!("{HEARD}ls /etc | grep -c '^f[0-9]'; cat /etc/f0 /etc/f49");
    let run = ["run", "--rm", "-i", "localhost/fifty:1", "sh", "-c", &line];
    assert_eq!(call_heard(&mut podman.command(&run)).ok(), "50\n049");
}
