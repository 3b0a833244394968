//! What hooks for GPUs do: they enter the container's mounts by the pid that they are told, make
//! files in the root at the bundle's root path, mount the driver's onto them, make nodes in `/dev`,
//! and write a new cache of libraries.

use std::fs;

use super::Logged;
use crate::support::{Bundle, Overlay, Runtime, Snapshot, unique_tag};

/// As such a hook, in the root `$root`, with the driver's file `$driver`.
const GPU: &str = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); export root driver; \
                   nsenter -t $pid -m sh -ec ' \
                   mkdir -p $root/usr/lib/gpu; touch $root/usr/lib/gpu/driver $root/dev/gpu0; \
                   mount --bind $driver $root/usr/lib/gpu/driver; \
                   mount --bind /dev/null $root/dev/gpu0; \
                   echo new > $root/etc/ld.so.cache.new; \
                   mv $root/etc/ld.so.cache.new $root/etc/ld.so.cache'";

/// What the program finds, and what it may not do.
const PROGRAM: &str = "cat /usr/lib/gpu/driver /etc/ld.so.cache; [ -c /dev/gpu0 ] && echo node; \
                       touch /usr/lib/gpu/x /etc/x /dev/x /etc/ld.so.cache 2>&1; true";

fn with_gpu(logged: Logged) -> Logged {
    let (dir, config) = (logged.bundle.dir().to_owned(), logged.bundle.config());
    let root = config["root"]["path"].as_str().unwrap();
    let root = dir.join(root).display().to_string();
    let driver = dir.join("driver");
    fs::write(&driver, "the driver's\n").unwrap();
    let line = format!("root={root}; driver={}; {GPU}", driver.display());
    logged.hook("prestart", &line).shell(PROGRAM)
}

fn check(said: &str) {
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..3], ["the driver's", "new", "node"], "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 4, "{said}");
}

#[test]
fn a_gpu_hook_prepares_the_root_and_the_image_stays_as_it_was() {
    let runtime = Runtime::new();
    let logged = with_gpu(Logged::new());
    let root = logged.bundle.rootfs();
    fs::write(root.join("etc/ld.so.cache"), "old\n").unwrap();
    let before = Snapshot::take(&runtime, &[logged.bundle.id()]);

    check(&runtime.run(&logged.bundle).ok());

    assert_eq!(fs::read_to_string(root.join("etc/ld.so.cache")).unwrap(), "old\n");
    assert!(!root.join("usr/lib/gpu").exists() && !root.join("dev/gpu0").exists());
    before.assert_unchanged();
}

#[test]
fn so_it_is_with_an_engines_overlay() {
    let runtime = Runtime::new();
    let overlay = Overlay::new(&unique_tag());
    let root = overlay.root();
    let logged = Logged::new();
    let bundle = logged.bundle.set("/root/path", serde_json::json!(root));
    let logged = with_gpu(Logged { bundle, log: logged.log });

    check(&runtime.run(&logged.bundle).ok());

    assert!(!root.join("usr/lib/gpu").exists());
}

#[test]
fn under_audit_the_hook_writes_to_the_image_as_it_always_did() {
    let runtime = Runtime::audit();
    let logged = with_gpu(Logged::new());
    let bundle = logged.bundle.set("/root/readonly", serde_json::json!(true));

    let said = runtime.run(&bundle).ok();

    assert!(said.starts_with("the driver's\nnew\nnode\n"), "{said}");
    // The bundle asks for a root that is read-only to the program, and for no such /dev.
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert!(bundle.rootfs().join("usr/lib/gpu").exists());
}

#[test]
fn without_the_seal_the_program_could_write_where_hooks_did() {
    if cfg!(not(feature = "fault")) {
        println!("skipped, because no step can be left out without the feature `fault`");
        return;
    }
    let runtime = Runtime::new();
    let logged = with_gpu(Logged::new()).shell("touch /etc/x /dev/x && echo written");
    let dir = logged.bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, logged.bundle.id()]);
    command.env("CASEMATE_SKIP", "mount.seal");

    assert_eq!(runtime.finish(command).ok(), "written\n");
}

/// Docker has a hook for every container, which touches no file: nothing is put over the root.
#[test]
fn the_hook_of_docker_costs_no_cover() {
    let runtime = Runtime::new();
    let explained = |name: &str| {
        let hook = serde_json::json!([{"path": "/bin/true", "args": [name]}]);
        let bundle = Bundle::new().set("/hooks/prestart", hook);
        runtime.call(["explain", "--bundle", bundle.dir().to_str().unwrap()]).ok()
    };

    let (docker, other) = (explained("libnetwork-setkey"), explained("true"));

    for step in ["rootfs.cover", "mount.seal"] {
        assert!(!docker.contains(step) && other.contains(step), "{step}");
    }
}
