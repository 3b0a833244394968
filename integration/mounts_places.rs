//! Where mounts go, whose ids they show, and what they find there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, has_translated_tmpfs, tagged_dir, unique_tag};

fn lines(from: u32, to: u32, size: u32) -> Value {
    json!([{"containerID": from, "hostID": to, "size": size}])
}

/// A bind of `source` at `to` with a mapping of its own.
fn with_mapping(bundle: Bundle, to: &str, source: &Path, options: &[&str], map: &Value) -> Bundle {
    let mount = json!({
        "destination": to, "source": source, "options": options,
        "uidMappings": map, "gidMappings": map,
    });
    bundle.set("/mounts/-", mount)
}

/// A directory with a file of 1000:1000 and one of root.
fn owned(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, id) in [("root", 0), ("user", 1000)] {
        fs::write(dir.join(name), "").unwrap();
        chown(dir.join(name), Some(id), Some(id)).unwrap();
    }
}

fn in_user_namespace(bundle: Bundle) -> Bundle {
    let bundle = bundle.set("/linux/namespaces/-", json!({"type": "user"}));
    chown_tree(&bundle.rootfs(), 100_000);
    bundle
        .set("/linux/uidMappings", lines(0, 100_000, 65536))
        .set("/linux/gidMappings", lines(0, 100_000, 65536))
}

fn chown_tree(at: &Path, id: u32) {
    std::os::unix::fs::lchown(at, Some(id), Some(id)).unwrap();
    if at.is_dir() && !at.is_symlink() {
        for entry in fs::read_dir(at).unwrap() {
            chown_tree(&entry.unwrap().path(), id);
        }
    }
}

const STAT: &str = "stat -c %u:%g /m/root /m/user";

// rows: mounts.uidMappings, mounts.gidMappings
#[test]
fn a_mount_shows_ids_by_its_own_mapping() {
    let dir = tagged_dir(&unique_tag());
    owned(dir.path());
    let bundle = Bundle::new().shell(STAT);
    let map = lines(0, 200_000, 2000);
    for options in [&["bind"][..], &["bind", "idmap"], &["rbind", "ridmap"]] {
        let bundle = with_mapping(Bundle::new().shell(STAT), "/m", dir.path(), options, &map);

        let said = Runtime::audit().run(&bundle).ok();

        assert_eq!(said, "200000:200000\n201000:201000\n", "{options:?}");
    }
    let inside = in_user_namespace(bundle);
    let inside = with_mapping(inside, "/m", dir.path(), &["bind"], &lines(0, 100_000, 65536));
    for runtime in [Runtime::audit(), Runtime::new()] {
        assert_eq!(runtime.run(&inside).ok(), "0:0\n1000:1000\n");
    }
}

// rows: mounts.options.idmap, mounts.options.ridmap
#[test]
fn without_a_mapping_of_its_own_it_takes_the_containers() {
    let dir = tagged_dir(&unique_tag());
    owned(dir.path());
    let below = dir.path().join("below");
    fs::create_dir(&below).unwrap();
    let (flags, none) = (rustix::mount::MountFlags::empty(), None::<&std::ffi::CStr>);
    rustix::mount::mount("tmpfs", &below, "tmpfs", flags, none).unwrap();
    fs::write(below.join("root"), "").unwrap();
    let source = dir.path().to_str().unwrap();
    let is_able = has_translated_tmpfs();
    if !is_able {
        println!("skipped, because this kernel translates no ids on a tmpfs");
    }
    let cannot = "cannot be translated on the file system it is on, or one mounted below it";
    for (word, deep) in [("idmap", "65534"), ("ridmap", "0")] {
        let bundle = in_user_namespace(Bundle::new())
            .mount("/m", "bind", source, &["rbind", word])
            .shell(&format!("{STAT}; stat -c %u /m/below/root"));
        for runtime in [Runtime::audit(), Runtime::new()] {
            let ran = runtime.run(&bundle);
            if word == "ridmap" && !is_able {
                assert!(ran.failed(1).contains(cannot));
            } else {
                assert_eq!(ran.ok(), format!("0:0\n1000:1000\n{deep}\n"), "{word}");
            }
        }
        // The container's ids are its own: every mount has them already.
        let own = Bundle::new()
            .mount("/m", "bind", source, &["rbind", word])
            .shell(&format!("{STAT}; stat -c %u /m/below/root"));
        let ran = Runtime::new().run(&own);
        if word == "ridmap" && !is_able {
            assert!(ran.failed(1).contains(cannot));
        } else {
            assert!(ran.ok().starts_with("0:0\n1000:1000\n"));
        }
    }
    let nobodys = Bundle::new().mount("/m", "bind", source, &["bind", "idmap"]);
    let said = Runtime::audit().run(&nobodys).failed(1);
    assert!(said.contains("`idmap` needs a mapping"), "{said}");
    rustix::mount::unmount(&below, rustix::mount::UnmountFlags::DETACH).unwrap();
}

// rows: mounts.options.idmap.mapping
#[test]
fn a_mapping_in_the_option_is_absolute_or_relative_to_the_container() {
    let dir = tagged_dir(&unique_tag());
    owned(dir.path());
    let with = |bundle: Bundle, map: &str| {
        let option = format!("idmap=uids={map};gids={map}");
        bundle.shell(STAT).mount("/m", "bind", dir.path().to_str().unwrap(), &["bind", &option])
    };
    let audit = Runtime::audit();
    let said = audit.run(&with(Bundle::new(), "0-300-1#1000-400-1")).ok();
    assert_eq!(said, "300:300\n400:400\n");
    let said = audit.run(&with(in_user_namespace(Bundle::new()), "@0-7-1#@1000-8-1")).ok();
    assert_eq!(said, "7:7\n8:8\n");
    let said = Runtime::new().run(&with(Bundle::new(), "@0-7-1#@1000-8-1")).ok();
    assert_eq!(said, "7:7\n8:8\n");
}

// rows: mounts.uidMappings, mounts.gidMappings
#[test]
fn ids_of_the_host_are_not_named_where_nobody_knows_them() {
    let dir = tagged_dir(&unique_tag());
    let map = lines(0, 200_000, 2000);
    let bundle = with_mapping(Bundle::new(), "/m", dir.path(), &["bind"], &map);
    let said = Runtime::new().run(&bundle).failed(3);
    assert!(said.contains("refused by rule `ids.own-range`: /mounts/7/uidMappings maps"), "{said}");
    let option = "idmap=uids=0-1-1;gids=0-1-1";
    let bundle = Bundle::new().mount("/m", "bind", dir.path().to_str().unwrap(), &["bind", option]);
    let said = Runtime::new().run(&bundle).failed(3);
    assert!(said.contains("refused by rule `ids.own-range`: /mounts/7/options maps"), "{said}");
}

// rows: mounts.uidMappings, mounts.gidMappings
#[test]
fn what_makes_no_sense_in_a_mapping_is_named() {
    let map = lines(0, 1, 1);
    for (mount, words) in [
        (
            json!({"destination": "/m", "source": "/tmp", "options": ["bind"], "uidMappings": map}),
            "/mounts/7/gidMappings: missing; users have one",
        ),
        (
            json!({"destination": "/m", "type": "tmpfs", "uidMappings": map, "gidMappings": map}),
            "only a bind mount has mappings of its own",
        ),
        (
            json!({"destination": "/m", "source": "/tmp", "uidMappings": map, "gidMappings": map,
                "options": ["bind", "idmap=uids=0-0-1;gids=0-0-1"]}),
            "have a mapping, and the mount has another",
        ),
        (
            json!({"destination": "/m", "source": "/tmp", "options": ["bind"],
                "uidMappings": lines(0, 1, 0), "gidMappings": map}),
            "/mounts/7/uidMappings/0/size: zero",
        ),
    ] {
        let said = Runtime::audit().run(&Bundle::new().set("/mounts/-", mount)).failed(1);
        assert!(said.contains(words), "{said}");
    }
}

// rows: mounts.destination
#[test]
fn a_mount_point_is_made_wherever_it_is_missing() {
    let volume = tagged_dir(&unique_tag());
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = tagged_dir(&unique_tag());
    fs::write(file.path().join("f"), "content\n").unwrap();
    let source = file.path().join("f");
    for runtime in [Runtime::audit(), Runtime::new()] {
        let bundle = Bundle::new()
            .mount("/v", "bind", volume.path().to_str().unwrap(), &["rbind", "rw"])
            .mount("/v/a/b", "tmpfs", "tmpfs", &["mode=700"])
            .mount("/v/c/f", "bind", source.to_str().unwrap(), &["bind"])
            .mount("/t", "tmpfs", "tmpfs", &[])
            .mount("/t/a/f", "bind", source.to_str().unwrap(), &["bind"])
            .set("/process/cwd", json!("/t/cwd"))
            .shell("cat /v/c/f /t/a/f; stat -c %a /v/a/b; stat -c %u /v/a /v/c; pwd");

        let said = runtime.run(&bundle).ok();

        assert_eq!(said, "content\ncontent\n700\n0\n0\n/t/cwd\n");
        assert!(volume.path().join("a/b").is_dir() && volume.path().join("c/f").is_file());
        fs::remove_dir_all(volume.path().join("a")).unwrap();
        fs::remove_dir_all(volume.path().join("c")).unwrap();
    }
}

// rows: mounts.destination
#[test]
fn nothing_is_made_in_a_volume_that_is_read_only() {
    let volume = tagged_dir(&unique_tag());
    let bundle = Bundle::new()
        .mount("/v", "bind", volume.path().to_str().unwrap(), &["rbind", "ro"])
        .mount("/v/a", "tmpfs", "tmpfs", &[]);

    let said = Runtime::new().run(&bundle).failed(1);

    assert!(said.contains("`mount.attach` failed: [") && said.contains("ENOENT"), "{said}");
    assert!(!volume.path().join("a").exists());
}

// rows: mounts.destination
#[test]
fn links_of_the_image_are_followed_inside_it_also_to_what_is_not_there_yet() {
    let file = tagged_dir(&unique_tag());
    fs::write(file.path().join("f"), "content\n").unwrap();
    let source = file.path().join("f");
    let outside = unique_tag();
    for (target, place) in [
        ("/srv/not/there".to_owned(), "srv/not/there"),
        ("../../../../../srv/up".to_owned(), "srv/up"),
        (format!("/{outside}/x"), "missing"),
    ] {
        let bundle = Bundle::new()
            .mount("/etc/hosts", "bind", source.to_str().unwrap(), &["bind"])
            .args(["/bin/cat", "/etc/hosts"]);
        symlink(&target, bundle.rootfs().join("etc/hosts")).unwrap();

        for runtime in [Runtime::audit(), Runtime::new()] {
            assert_eq!(runtime.run(&bundle).ok(), "content\n", "{target}");
        }

        if place != "missing" {
            assert!(bundle.rootfs().join(place).is_file(), "{place}");
        }
        assert!(!Path::new("/").join(&outside).exists() && !Path::new("/srv/up").exists());
    }
    let looped = Bundle::new().mount("/loop", "tmpfs", "tmpfs", &[]);
    symlink("loop", looped.rootfs().join("loop")).unwrap();
    let said = Runtime::new().run(&looped).failed(1);
    assert!(said.contains("ELOOP"), "{said}");
}

// rows: mounts.source
#[test]
fn a_source_inside_the_root_is_what_earlier_mounts_made_of_it() {
    let dir = tagged_dir(&unique_tag());
    fs::create_dir(dir.path().join("x")).unwrap();
    fs::write(dir.path().join("x/file"), "from the volume\n").unwrap();
    let bundle = Bundle::new();
    let rootfs = bundle.rootfs();
    let place = |name: &str| rootfs.join(name).to_str().unwrap().to_owned();
    let bundle = bundle
        .set("/root/readonly", json!(false))
        .mount("/m", "bind", dir.path().to_str().unwrap(), &["bind"])
        .mount(&place("final"), "bind", &place("m/x"), &["rbind"])
        .args(["/bin/cat", "/final/file"]);

    assert_eq!(Runtime::audit().run(&bundle).ok(), "from the volume\n");
}

// rows: mounts.type
#[test]
fn a_tmpfs_takes_over_the_mode_of_what_it_covers() {
    for runtime in [Runtime::audit(), Runtime::new()] {
        let bundle = Bundle::new()
            .mount("/covered", "tmpfs", "tmpfs", &[])
            .mount("/made", "tmpfs", "tmpfs", &[])
            .mount("/given", "tmpfs", "tmpfs", &["mode=1500"])
            .args(["/bin/stat", "-c", "%a", "/covered", "/made", "/given"]);
        for name in ["covered", "given"] {
            fs::create_dir(bundle.rootfs().join(name)).unwrap();
            let mode = fs::Permissions::from_mode(0o710);
            fs::set_permissions(bundle.rootfs().join(name), mode).unwrap();
        }

        assert_eq!(runtime.run(&bundle).ok(), "710\n1777\n1500\n");
    }
}

// rows: mounts.destination
#[test]
fn what_is_mounted_on_the_root_is_the_root() {
    let other = Bundle::new();
    fs::write(other.rootfs().join("etc/mark"), "the other root\n").unwrap();
    let bundle = Bundle::new();
    let mount = json!({
        "destination": "/", "source": other.rootfs(), "options": ["bind"],
    });
    let mut mounts = bundle.config()["mounts"].as_array().unwrap().clone();
    mounts.insert(0, mount);
    let bundle = bundle.set("/mounts", json!(mounts)).args(["/bin/cat", "/etc/mark"]);

    assert_eq!(Runtime::audit().run(&bundle).ok(), "the other root\n");

    let said = Runtime::new().run(&bundle).failed(3);
    assert!(said.contains("refused by rule `mount.no-kernel-cover`"), "{said}");
}

#[test]
fn a_place_inside_is_bound_with_a_mapping_of_its_own() {
    let runtime = Runtime::audit();
    let mut bundle = Bundle::new().args(["/bin/stat", "-c", "%u", "/final/file"]);
    let volume = bundle.dir().join("volume");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("file"), "").unwrap();
    for place in ["mnt", "final"] {
        fs::create_dir_all(bundle.rootfs().join(place)).unwrap();
    }
    // What the mount before has put there is seen, and its ids are translated.
    bundle = bundle.mount("/mnt", "bind", volume.to_str().unwrap(), &["bind"]);
    let source = bundle.rootfs().join("mnt");
    let maps = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let mount = serde_json::json!({
        "destination": "/final", "type": "bind", "source": source, "options": ["rbind"],
        "uidMappings": maps, "gidMappings": maps,
    });
    let bundle = bundle.set("/mounts/-", mount);

    assert_eq!(runtime.run(&bundle).ok().trim(), "100000");
}

#[test]
fn a_source_that_is_not_there_is_named_and_not_the_mount_point() {
    for runtime in [Runtime::audit(), Runtime::new()] {
        for (source, words) in [
            ("/nowhere/at-all", "/nowhere/at-all cannot be looked at: no such file or directory"),
            ("/etc/passwd/x", "/etc/passwd/x cannot be looked at: not a directory"),
        ] {
            let bundle = Bundle::new().mount("/m", "bind", source, &["rbind"]).shell("true");

            let said = runtime.run(&bundle).failed(1);

            assert!(said.contains(&format!("the source {words}")), "{said}");
        }
    }
}
