//! What a malicious author of a bundle writes to get past the policy: each was possible once.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, cgroup2, eventually, tagged_dir, unique_tag};

fn without(bundle: &Bundle, kind: &str) -> Vec<Value> {
    let list = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    list.into_iter().filter(|one| one["type"] != kind).collect()
}

#[test]
fn an_empty_path_of_a_namespace_is_no_way_into_the_hosts() {
    for kind in ["pid", "network", "ipc", "uts"] {
        let bundle = Bundle::new();
        let mut list = without(&bundle, kind);
        list.push(json!({"type": kind, "path": ""}));
        let link = if kind == "network" { "net" } else { kind };
        let line = format!("readlink /proc/self/ns/{link}; ls /proc | grep -c '^[0-9]'");
        let bundle = bundle.set("/linux/namespaces", json!(list)).shell(&line);

        let said = Runtime::new().run(&bundle).ok();

        let ours = fs::read_link(format!("/proc/self/ns/{link}")).unwrap();
        assert!(!said.contains(ours.to_str().unwrap()), "{kind}: {said}");
        let processes: u32 = said.lines().nth(1).unwrap().trim().parse().unwrap();
        assert!(processes <= 4, "{kind}: {said}");
    }
}

#[test]
fn no_set_id_file_whatever_words_a_mount_has() {
    for words in [&["bind", "ro", "rw"][..], &["rbind", "rw"], &["bind"]] {
        let bundle = Bundle::new();
        let volume = bundle.dir().join("volume");
        fs::create_dir(&volume).unwrap();
        let bundle = bundle
            .mount("/v", "bind", volume.to_str().unwrap(), words)
            .shell("cp /bin/busybox /v/su; chmod 4755 /v/su; chmod 2755 /v/su; true");

        Runtime::new().run(&bundle).ok();

        let mode = fs::metadata(volume.join("su")).unwrap().mode();
        assert_eq!(mode & 0o6000, 0, "{words:?}: {mode:o}");
    }
}

#[test]
fn a_read_only_volume_is_read_only_all_the_way_down() {
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    fs::create_dir_all(volume.join("sub")).unwrap();
    let script = format!(
        "mount --bind {0} {0}/sub && exec {1} --root {2} run --bundle {3} {4}",
        volume.display(),
        env!("CARGO_BIN_EXE_casemate"),
        bundle.dir().join("state").display(),
        bundle.dir().display(),
        bundle.id(),
    );
    let _bundle = bundle
        .mount("/v", "bind", volume.to_str().unwrap(), &["rbind", "ro"])
        .shell("touch /v/x 2>&1; touch /v/sub/x 2>&1; true");

    let out = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();

    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(said.matches("Read-only file system").count(), 2, "{out:?}");
}

/// Runs a bundle that the policy must refuse with this text.
#[track_caller]
fn refused(bundle: &Bundle, text: &str) {
    let said = Runtime::new().run(bundle).failed(3);
    assert!(said.contains(text), "{said}");
}

#[test]
fn a_source_is_judged_by_what_it_is_not_by_its_name() {
    for (target, text) in [
        ("/", "is the host's root"),
        ("/proc", "is the host's /proc"),
        ("/sys/kernel", "is the host's /sys/kernel"),
        ("/etc", "holds what decides about containers"),
        ("/run/casemate", "holds what decides about containers"),
    ] {
        let bundle = Bundle::new();
        let link = bundle.dir().join("link");
        symlink(target, &link).unwrap();
        let bundle = bundle.mount("/v", "bind", link.to_str().unwrap(), &["rbind", "rw"]);

        refused(&bundle, text);
    }
}

/// The way leads over a directory that is not there when it is judged, and made for another mount of
/// the bundle before it is gone; or to what this command makes first.
#[test]
fn a_source_that_comes_to_be_later_is_judged_by_where_it_will_be() {
    let places = tagged_dir(&unique_tag());
    fs::create_dir(places.path().join("real")).unwrap();
    symlink("real", places.path().join("link")).unwrap();
    let there = places.path().join("there");
    fs::create_dir(&there).unwrap();
    fs::set_permissions(&there, PermissionsExt::from_mode(0o700)).unwrap();
    for (root, source, made) in [
        ("there", "rootfs/made/../../../PLACES/there", true),
        ("new", "rootfs/../../PLACES/new", false),
        ("link/new", "/tmp/PLACES/real/new", false),
    ] {
        let runtime = Runtime::at(&places.path().join(root));
        let name = places.path().file_name().unwrap().to_str().unwrap();
        let source = source.replace("PLACES", name);
        let source = source.replace("/tmp", places.path().parent().unwrap().to_str().unwrap());
        let bundle = Bundle::new();
        assert_eq!(bundle.dir().parent(), places.path().parent());
        let bundle = if made { bundle.mount("/made", "tmpfs", "tmpfs", &[]) } else { bundle };
        let bundle = bundle
            .mount("/v", "bind", &source, &["rbind", "rw"])
            .shell("ls /v; echo taken > /v/taken");

        let ran = runtime.run(&bundle);

        assert!(!places.path().join(root).join("taken").exists(), "{source}: {ran:?}");
        let said = ran.failed(3);
        assert!(said.contains("holds what decides about containers"), "{source}: {said}");
    }
}

#[test]
fn a_directory_brings_no_kernel_file_system_of_the_host_along() {
    let host = tagged_dir(&unique_tag());
    let below = host.path().join("below");
    fs::create_dir(&below).unwrap();
    let mount = |words: &[&str]| {
        assert!(Command::new(words[0]).args(&words[1..]).arg(&below).status().unwrap().success());
    };
    let map = json!([{"containerID": 0, "hostID": 1_000_000, "size": 65536}]);
    let bundle = |options: &[&str]| {
        Bundle::new()
            .set("/linux/namespaces/-", json!({"type": "user"}))
            .set("/linux/uidMappings", map.clone())
            .set("/linux/gidMappings", map.clone())
            .mount("/v", "bind", host.path().to_str().unwrap(), options)
            .shell("cat /v/below/sys/kernel/pid_max; ls /v/below")
    };
    mount(&["mount", "-t", "proc", "none"]);

    // The attack, where nothing is held back.
    let said = Runtime::audit().run(&bundle(&["rbind", "ro"]));
    let ran = Runtime::new().run(&bundle(&["rbind", "ro"]));
    let alone = Runtime::new().run(&bundle(&["bind", "ro"]));

    mount(&["umount"]);
    assert!(said.ok().contains("sys"));
    let said = ran.failed(3);
    assert!(said.contains("is a kernel file system, or has one below it"), "{said}");
    // What is not taken along does not matter.
    assert_eq!(alone.stdout, "");
}

#[test]
fn a_read_only_look_at_a_directory_above_ours_is_allowed() {
    let bundle = Bundle::new().mount("/v", "bind", "/etc", &["bind", "ro"]).shell("ls /v/passwd");

    assert_eq!(Runtime::new().run(&bundle).ok(), "/v/passwd\n");
}

#[test]
fn the_hosts_root_is_no_root_file_system() {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let bundle = Bundle::new()
        .set("/root/path", json!("/"))
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map);

    refused(&bundle, "is the host's own /");
}

#[test]
fn mappings_leave_the_hosts_users_and_other_containers_alone() {
    for (host, size, text) in [
        (1000, 65536, "maps the host's ids of users"),
        (100_000, 4_000_000_000_u32, "maps more than 65536 ids"),
    ] {
        let map = json!([{"containerID": 0, "hostID": host, "size": size}]);
        let bundle = Bundle::new()
            .set("/linux/namespaces/-", json!({"type": "user"}))
            .set("/linux/uidMappings", map.clone())
            .set("/linux/gidMappings", map);

        refused(&bundle, text);
    }
}

#[test]
fn a_link_of_the_image_leads_no_mount_into_proc_sys_or_dev() {
    for target in ["/proc", "/proc/sys", "/dev", "../dev/shm/.."] {
        let bundle = Bundle::new().mount("/link", "tmpfs", "tmpfs", &["mode=755"]);
        symlink(target, bundle.rootfs().join("link")).unwrap();

        let said = Runtime::new().run(&bundle).failed(1);

        assert!(said.contains("ELOOP") && said.contains("link"), "{target}: {said}");
    }
}

#[test]
fn sysfs_comes_last_and_covers_what_a_link_put_there() {
    let bundle = Bundle::new()
        .mount("/link", "tmpfs", "tmpfs", &["mode=755"])
        .shell("ls /sys/class/net; ls -a /sys/firmware");
    symlink("/sys", bundle.rootfs().join("link")).unwrap();

    assert_eq!(Runtime::new().run(&bundle).ok(), "lo\n.\n..\n");
}

#[test]
fn a_policy_of_the_administrator_cannot_be_written_through_a_volume() {
    let bundle = Bundle::new();
    let file = bundle.dir().join("x");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    for source in ["/etc/casemate", "/etc/casemate/policy.toml", "/etc", "/var/log", "/run"] {
        let bundle = Bundle::new().mount("/v", "bind", source, &["rbind", "rw"]);

        let said = Runtime::new().run(&bundle).failed(3);

        assert!(said.contains("mount.no-host-kernel-files"), "{source}: {said}");
    }
}

#[test]
fn what_an_engine_asks_for_on_the_command_line_does_not_change_the_digest() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    let dir = bundle.dir().to_str().unwrap();
    let explained = runtime.call(["explain", "--json", "--bundle", dir]).ok();
    let explained: Value = serde_json::from_str(&explained).unwrap();

    let call = ["create", "--no-new-keyring", "--bundle", dir, bundle.id()];
    runtime.call(call).ok();

    let state = runtime.state(&bundle);
    assert_eq!(state["annotations"]["org.casemate.plan.digest"], explained["digest"]);
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn preserved_descriptors_are_the_callers_and_never_our_own() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("ls /proc/self/fd | tr '\\n' ' '; cat <&3");
    let dir = bundle.dir().to_str().unwrap();

    let call = ["run", "--preserve-fds", "12", "--bundle", dir, bundle.id()];
    let said = runtime.call(call).failed(1);
    assert!(said.contains("not all of these descriptors are open"), "{said}");

    let given = bundle.dir().join("given");
    fs::write(&given, "given").unwrap();
    let script = format!(
        "exec {} --root {} run --preserve-fds 1 --bundle {dir} {} 3< {}",
        env!("CARGO_BIN_EXE_casemate"),
        runtime.root().display(),
        bundle.id(),
        given.display(),
    );
    let out = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.starts_with("0 1 2 3 4 ") && said.ends_with("given"), "{out:?}");
    assert!(!said.contains(" 5 "), "{said}");
}

#[test]
fn a_create_that_is_killed_leaves_no_process_waiting() {
    let runtime = Runtime::new();
    for milliseconds in 1..12 {
        let bundle = Bundle::new().args(["/bin/sleep", "60"]);
        let dir = bundle.dir().to_str().unwrap();
        let mut create = runtime.command(["create", "--bundle", dir, bundle.id()]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let _ = create.kill();
        let _ = create.wait();

        let state = runtime.call(["state", bundle.id()]);
        let procs = cgroup2().join(bundle.id()).join("cgroup.procs");
        if !state.stdout.contains("\"created\"") {
            let said = format!("left after {milliseconds} ms: {state:?}");
            eventually(&said, || fs::read_to_string(&procs).unwrap_or_default().is_empty());
        }
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}

/// An administrator reads `explain` before a bundle of others is run.
#[test]
fn what_is_explained_stays_in_its_line_and_colours_nothing() {
    let evil = "\u{1b}[2J\nlevel   audit\r";
    let bundle = Bundle::new()
        .set("/process/cwd", json!(format!("/{evil}")))
        .set("/process/capabilities/bounding/-", json!(format!("CAP_{evil}")))
        .set("/linux/maskedPaths/-", json!(format!("/{evil}")))
        .mount(&format!("/{evil}"), "tmpfs", "tmpfs", &["mode=755"]);
    let dir = bundle.dir().to_str().unwrap();

    let said = Runtime::new().call(["explain", "--bundle", dir]).ok();

    assert!(said.contains("\\u{1b}[2J\\nlevel   audit\\r"), "{said}");
    assert!(!said.contains(['\u{1b}', '\r']), "{said:?}");
    assert_eq!(said.lines().filter(|line| line.starts_with("level ")).count(), 1, "{said}");
}

/// Accounts above those of the distribution: of a site, a directory's cache, a fleet's tool.
#[test]
fn mappings_leave_accounts_with_large_numbers_alone() {
    for (file, line, pointer) in [
        ("/etc/passwd", "ops-team:x:200500:200500::/:/bin/sh", "uidMappings"),
        ("/etc/group", "ops-team:x:200500:", "gidMappings"),
    ] {
        let map = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
        let bundle = Bundle::new()
            .set("/linux/namespaces/-", json!({"type": "user"}))
            .set("/linux/uidMappings", map.clone())
            .set("/linux/gidMappings", map);
        let copy = bundle.dir().join("accounts");
        fs::write(&copy, format!("{}{line}\n", fs::read_to_string(file).unwrap())).unwrap();
        let script = format!(
            "mount --bind {} {file} && exec {} --root {} run --bundle {} {}",
            copy.display(),
            env!("CARGO_BIN_EXE_casemate"),
            bundle.dir().join("state").display(),
            bundle.dir().display(),
            bundle.id(),
        );

        let out = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();

        let said = String::from_utf8_lossy(&out.stderr);
        let why = format!("/linux/{pointer}/0/hostID maps ids that `ops-team` of {file} has");
        assert!(said.contains(&why), "{said}");
        Runtime::new().run(&bundle).ok();
    }
}
