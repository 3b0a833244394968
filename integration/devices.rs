//! `/linux/devices`, masks, read-only paths, and how the root passes mounts on.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime};

fn device(typ: &str, path: &str, major: u32, minor: u32) -> Value {
    json!({"type": typ, "path": path, "major": major, "minor": minor})
}

const LIST: &str = "stat -c '%F %t:%T %a %u:%g'";

// rows: linux.devices.type, linux.devices.path, linux.devices.major, linux.devices.minor
// rows: linux.devices.fileMode, linux.devices.uid, linux.devices.gid
#[test]
fn nodes_are_made_anywhere_with_their_numbers_modes_and_owners() {
    let bundle = Bundle::new()
        .set(
            "/linux/devices",
            json!([
                {"type": "c", "path": "/dev/deep/tty7", "major": 4, "minor": 7, "fileMode": 0o620,
                    "uid": 7, "gid": 8},
                device("b", "/srv/disk", 7, 5),
                device("u", "/srv/unbuffered", 1, 3),
                {"type": "p", "path": "/srv/pipe", "fileMode": 0o600, "uid": 1000},
                device("c", "/memory/null", 1, 3),
            ]),
        )
        .mount("/memory", "tmpfs", "tmpfs", &["mode=755"])
        .shell(&format!("{LIST} /dev/deep/tty7 /srv/disk /srv/unbuffered /srv/pipe /memory/null"));

    let said = Runtime::audit().run(&bundle).ok();

    let expected = "character special file 4:7 620 7:8\nblock special file 7:5 666 0:0\n\
                    character special file 1:3 666 0:0\nfifo 0:0 600 1000:0\n\
                    character special file 1:3 666 0:0\n";
    assert_eq!(said, expected);
    let pipe = fs::symlink_metadata(bundle.rootfs().join("srv/pipe")).unwrap();
    assert!(pipe.file_type().is_fifo() && pipe.uid() == 1000);
    // What is there already and is the same is as good.
    assert_eq!(Runtime::audit().run(&bundle).ok(), expected);
}

// rows: linux.devices
#[test]
fn a_pipe_in_the_image_belongs_to_whom_the_bundle_says_also_where_ids_are_translated() {
    let bundle = Bundle::new()
        .set("/linux/devices", json!([{"type": "p", "path": "/srv/pipe", "uid": 7, "gid": 8}]))
        .shell(&format!("{LIST} /srv/pipe"));

    assert_eq!(Runtime::new().run(&bundle).ok(), "fifo 0:0 666 7:8\n");

    let pipe = fs::symlink_metadata(bundle.rootfs().join("srv/pipe")).unwrap();
    assert_eq!((pipe.uid(), pipe.gid()), (7, 8));
}

// rows: linux.devices
#[test]
fn another_file_in_the_place_of_a_node_is_an_error_and_stays() {
    let bundle = Bundle::new().set("/linux/devices", json!([device("c", "/etc/group", 1, 3)]));

    let said = Runtime::audit().run(&bundle).failed(1);

    assert!(said.contains("`rootfs.make-device` failed: /etc/group 1:3: EEXIST"), "{said}");
    assert!(bundle.rootfs().join("etc/group").is_file());
    let twice = json!([device("c", "/dev/null", 1, 5)]);
    let said = Runtime::audit().run(&Bundle::new().set("/linux/devices", twice)).failed(1);
    assert!(said.contains("/dev/null is another device for every container"), "{said}");
}

// rows: linux.devices
#[test]
fn devices_of_the_host_are_refused_by_name() {
    for (node, rule) in [
        (device("b", "/dev/sda", 8, 0), "dev.standard-only"),
        (device("c", "/dev/kmsg", 1, 11), "dev.standard-only"),
        (device("c", "/srv/null", 1, 3), "dev.own"),
    ] {
        let bundle = Bundle::new().set("/linux/devices", json!([node]));
        let said = Runtime::new().run(&bundle).failed(3);
        assert!(said.contains(&format!("refused by rule `{rule}`")), "{said}");
    }
    let standard = json!([device("c", "/dev/tty", 5, 0), device("c", "/dev/ptmx", 5, 2)]);
    Runtime::new().run(&Bundle::new().set("/linux/devices", standard)).ok();
}

// rows: linux.maskedPaths, linux.readonlyPaths
#[test]
fn masked_paths_are_empty_and_read_only_ones_are_read_only() {
    let bundle = Bundle::new()
        .set("/root/readonly", json!(false))
        .set("/linux/maskedPaths/-", json!("/etc/secret"))
        .set("/linux/maskedPaths/-", json!("/etc/dir"))
        .set("/linux/maskedPaths/-", json!("/etc/dir"))
        .set("/linux/maskedPaths/-", json!("etc/other"))
        .set("/linux/maskedPaths/-", json!("/not/there"))
        .set("/linux/readonlyPaths/-", json!("/etc/fixed"))
        .set("/linux/readonlyPaths/-", json!("/not/there"))
        .shell(
            "wc -c < /etc/secret; ls /etc/dir; touch /etc/dir/x /etc/fixed/x 2>&1; \
             cat /etc/fixed/file; grep -c ' /etc/dir ' /proc/self/mountinfo; \
             set -- $(stat -c %d /etc/dir /etc/other); test $1 = $2 && echo one",
        );
    for dir in ["etc/dir", "etc/other", "etc/fixed"] {
        fs::create_dir(bundle.rootfs().join(dir)).unwrap();
        fs::write(bundle.rootfs().join(dir).join("file"), "content\n").unwrap();
    }
    fs::write(bundle.rootfs().join("etc/secret"), "secret").unwrap();
    for runtime in [Runtime::audit(), Runtime::new()] {
        let said = runtime.run(&bundle).ok();

        assert!(said.starts_with("0\n"), "{said}");
        assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
        assert!(said.ends_with("content\n1\none\n"), "{said}");
        let dir = bundle.dir().to_str().unwrap();
        let explained = runtime.call(["explain", "--bundle", dir]).ok();
        assert!(explained.contains(": taken as a path from the root"), "{explained}");
    }
}

// rows: linux.rootfsPropagation
#[test]
fn the_root_passes_mounts_on_as_the_bundle_says() {
    // In a mount namespace where everything is shared, as hosts with systemd have it.
    let shown = |runtime: &Runtime, word: &str| {
        let bundle = Bundle::new()
            .set("/linux/rootfsPropagation", json!(word))
            .args(["/bin/cat", "/proc/self/mountinfo"]);
        let inner = runtime.command(["run", "--bundle", bundle.dir().to_str().unwrap()]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "shared"]).arg(inner.get_program());
        command.args(inner.get_args()).arg(bundle.id());
        let said = runtime.finish(command).ok();
        let root = said.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        let tags = root.split(" - ").next().unwrap().split(' ').skip(6);
        tags.map(|tag| tag.split(':').next().unwrap()).collect::<Vec<_>>().join(" ")
    };
    for runtime in [Runtime::audit(), Runtime::new()] {
        for (word, tags) in [
            ("", ""),
            ("private", ""),
            ("rprivate", ""),
            ("slave", "master"),
            ("rslave", "master"),
            ("unbindable", "unbindable"),
            ("runbindable", "unbindable"),
        ] {
            assert_eq!(shown(&runtime, word), tags, "{word}");
        }
    }
    for word in ["shared", "rshared"] {
        assert_eq!(shown(&Runtime::audit(), word), "shared master");
        let bundle = Bundle::new().set("/linux/rootfsPropagation", json!(word));
        let said = Runtime::new().run(&bundle).failed(3);
        assert!(said.contains("refused by rule `rootfs.private`"), "{said}");
    }
    let bundle = Bundle::new().set("/linux/rootfsPropagation", json!("public"));
    let said = Runtime::audit().run(&bundle).failed(1);
    assert!(said.contains("not a propagation type: `public`"), "{said}");
}
