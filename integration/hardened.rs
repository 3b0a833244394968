//! The box: each defence, seen from inside; and the same attack without the defence.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::support::{Bundle, Runtime, Snapshot, group_value};

fn run(runtime: &Runtime, bundle: &Bundle) -> String {
    runtime.run(bundle).ok()
}

/// Runs with the steps of these names left out.
fn without(runtime: &Runtime, bundle: &Bundle, steps: &str) -> String {
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    command.env("CASEMATE_SKIP", steps);
    let ran = runtime.finish(command);
    format!("{}{}", ran.stdout, ran.stderr)
}

// rows: linux.namespaces.user
#[test]
fn root_inside_is_nobody_outside_and_no_two_containers_share_an_id() {
    let runtime = Runtime::new();
    let bundles = [(); 3].map(|()| Bundle::new().args(["/bin/sleep", "60"]));
    let mut bases: Vec<u64> = bundles
        .iter()
        .map(|bundle| {
            runtime.create(bundle).ok();
            let pid = runtime.state(bundle)["pid"].as_i64().unwrap();
            let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
            let words: Vec<u64> =
                map.split_whitespace().map(|word| word.parse().unwrap()).collect();
            assert_eq!((words[0], words[2]), (0, 65536));
            assert_eq!(u64::from(fs::metadata(format!("/proc/{pid}")).unwrap().uid()), words[1]);
            words[1]
        })
        .collect();

    bases.sort_unstable();
    bases.dedup();
    assert_eq!(bases.len(), 3);
    assert!(bases.iter().all(|base| *base >= 524_288 && base % 65_536 == 0));
}

#[test]
fn files_of_the_image_keep_their_owners_inside() {
    let bundle = Bundle::new().shell("stat -c '%u %g' /etc/shadow /etc/own; cat /etc/shadow");
    fs::write(bundle.rootfs().join("etc/shadow"), "root only\n").unwrap();
    fs::set_permissions(
        bundle.rootfs().join("etc/shadow"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    fs::write(bundle.rootfs().join("etc/own"), "").unwrap();
    std::os::unix::fs::chown(bundle.rootfs().join("etc/own"), Some(1000), Some(33)).unwrap();

    let said = run(&Runtime::new(), &bundle);

    assert_eq!(said, "0 0\n1000 33\nroot only\n");
}

// rows: root.readonly
#[test]
fn the_root_is_read_only_and_scratch_memory_is_not() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().set("/root/readonly", json!(false)).shell(
        "for d in / /etc /bin; do touch $d/x 2>&1; done; \
         for d in /tmp /run /var/tmp; do echo $d > $d/x && cat $d/x; done",
    );
    fs::create_dir_all(bundle.rootfs().join("var/tmp")).unwrap();

    let said = run(&runtime, &bundle);

    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert!(said.ends_with("/tmp\n/run\n/var/tmp\n"), "{said}");
    assert!(!bundle.rootfs().join("tmp/x").exists());
}

#[test]
fn scratch_memory_begins_with_what_the_image_has_there() {
    let bundle = Bundle::new().set("/root/readonly", json!(false)).shell(
        "cat /run/app/file; readlink /run/link; stat -c '%a %u' /run/app; echo new > /run/app/file",
    );
    fs::create_dir_all(bundle.rootfs().join("run/app")).unwrap();
    fs::write(bundle.rootfs().join("run/app/file"), "from the image\n").unwrap();
    std::os::unix::fs::symlink("app/file", bundle.rootfs().join("run/link")).unwrap();
    std::os::unix::fs::chown(bundle.rootfs().join("run/app"), Some(33), Some(33)).unwrap();

    let said = run(&Runtime::new(), &bundle);

    assert_eq!(said, "from the image\napp/file\n755 33\n");
    let kept = fs::read_to_string(bundle.rootfs().join("run/app/file")).unwrap();
    assert_eq!(kept, "from the image\n");
}

#[test]
fn a_volume_is_written_with_the_ids_of_the_container() {
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    std::os::unix::fs::chown(&volume, Some(999), Some(999)).unwrap();
    let bundle = bundle.mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"]).shell(
        "stat -c %u /volume; touch /volume/root; chown 999 /volume/root; touch /volume/zero",
    );

    let said = run(&Runtime::new(), &bundle);

    assert_eq!(said, "999\n");
    assert_eq!(fs::metadata(volume.join("root")).unwrap().uid(), 999);
    assert_eq!(fs::metadata(volume.join("zero")).unwrap().uid(), 0);
}

#[test]
fn nothing_set_id_can_be_left_on_a_volume() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = bundle
        .mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"])
        .shell("cp /bin/busybox /volume/sh; chmod 4755 /volume/sh; chmod 755 /volume/sh");
    let mode = || fs::metadata(volume.join("sh")).unwrap().mode() & 0o7777;

    run(&runtime, &bundle);
    assert_eq!(mode(), 0o755);

    let weak = bundle.shell("chmod 4755 /volume/sh");
    without(&runtime, &weak, "seccomp.load");
    assert_eq!(mode(), 0o4755, "without the filter the attack must succeed");
}

// rows: process.capabilities, process.noNewPrivileges
#[test]
fn capabilities_only_shrink() {
    let all = json!(["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_CHOWN", "CAP_MKNOD", "CAP_SETUID"]);
    let bundle = Bundle::new()
        .set(
            "/process/capabilities",
            json!({"bounding": all, "effective": all, "permitted": all,
            "inheritable": all, "ambient": all}),
        )
        .set("/process/noNewPrivileges", json!(false))
        .shell("grep -E 'Cap|NoNew|Seccomp:' /proc/self/status");

    let said = run(&Runtime::new(), &bundle);

    let kept = format!("{:016x}", (1_u64 << 0) | (1 << 7));
    for (set, value) in [
        ("Inh", "0".repeat(16)),
        ("Prm", kept.clone()),
        ("Eff", kept.clone()),
        ("Bnd", kept),
        ("Amb", "0".repeat(16)),
    ] {
        assert!(said.contains(&format!("Cap{set}:\t{value}")), "{set}: {said}");
    }
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
    assert!(said.contains("Seccomp:\t2"), "{said}");
}

#[test]
fn without_its_steps_the_process_has_privileges() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("grep -E 'CapBnd|NoNew|Seccomp:' /proc/self/status");

    let said = without(&runtime, &bundle, "caps.limit-bounding,privs.forbid-new,seccomp.load");

    assert!(said.contains("NoNewPrivs:\t0"), "{said}");
    assert!(said.contains("Seccomp:\t0"), "{said}");
    assert!(said.contains("CapBnd:\t000001ff"), "{said}");
}

#[test]
fn mounting_inside_fails_even_with_every_capability_and_no_filter() {
    let runtime = Runtime::new();
    let attack = "mount -t tmpfs none /tmp 2>&1; mount -o remount,rw / 2>&1; umount /proc 2>&1; \
                  touch /etc/x 2>&1";
    let bundle = Bundle::new().shell(attack);

    let said = without(
        &runtime,
        &bundle,
        "caps.limit-bounding,caps.set,privs.forbid-new,seccomp.load,ns.forbid-further",
    );

    assert_eq!(
        said.matches("ermission denied").count() + said.matches("not permitted").count(),
        3,
        "{said}"
    );
    assert!(said.contains("Read-only file system"), "{said}");
}

#[test]
fn no_namespace_can_be_made_inside_even_without_the_filter() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("unshare -U true 2>&1; unshare -n true 2>&1; true");

    let held = without(&runtime, &bundle, "seccomp.load");
    assert_eq!(held.matches("No space left").count(), 1, "{held}");

    let weak = without(&runtime, &bundle, "seccomp.load,ns.forbid-further");
    assert_eq!(weak.matches("No space left").count(), 0, "{weak}");
}

// rows: linux.maskedPaths
#[test]
fn masked_paths_are_empty_and_kernel_parameters_cannot_be_written() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .shell(
            "wc -c < /proc/keys; wc -c < /proc/interrupts; ls /sys/firmware | wc -l; \
         echo 1 > /proc/sys/net/ipv4/ip_forward",
        );

    let ran = runtime.run(&bundle);
    assert_eq!(ran.stdout.lines().map(str::trim).collect::<Vec<_>>(), ["0", "0", "0"]);
    assert!(ran.stderr.contains("Read-only file system"), "{}", ran.stderr);

    let weak = without(&runtime, &bundle, "path.mask,path.make-read-only");
    assert!(!weak.lines().all(|line| line.trim() == "0"), "{weak}");
    assert!(!weak.contains("Read-only file system"), "{weak}");
}

#[test]
fn a_cgroup_limits_processes_though_nobody_asked() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]).unset("/linux/resources/pids");
    runtime.create(&bundle).ok();

    let limit = group_value(&runtime, &bundle, ("pids", "pids.max", "pids.max"));

    // A host without that controller is noted there.
    assert!(limit.is_none_or(|limit| limit == "4096"));
}

#[test]
fn kernel_file_systems_need_real_directories() {
    let runtime = Runtime::new();
    for name in ["proc", "sys", "dev"] {
        let bundle = Bundle::new();
        let before = Snapshot::take(&runtime, &[bundle.id()]);
        let place = bundle.rootfs().join(name);
        fs::remove_dir(&place).unwrap();
        std::os::unix::fs::symlink("/tmp", &place).unwrap();

        let said = runtime.run(&bundle).failed(1);

        assert!(said.contains(&format!("/{name}")) && said.contains("symbolic link"), "{said}");
        before.assert_unchanged();
    }
}

// rows: linux.uidMappings, linux.gidMappings
#[test]
fn a_bundle_with_its_own_mapping_keeps_it() {
    let runtime = Runtime::new();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let bundle = Bundle::new()
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .shell("cat /proc/self/uid_map");

    let said = run(&runtime, &bundle);

    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536"]);
}

#[test]
fn a_mapping_that_contains_the_hosts_root_is_refused_before_anything_exists() {
    let runtime = Runtime::new();
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let bundle = Bundle::new()
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map);
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime.run(&bundle).failed(3);

    assert!(said.contains("refused by rule `ids.no-host-root`"), "{said}");
    assert!(said.contains("/linux/uidMappings/0/hostID"), "{said}");
    before.assert_unchanged();
}

// rows: linux.namespaces.pid, linux.namespaces.network, linux.namespaces.ipc, linux.namespaces.uts
#[test]
fn host_namespaces_are_refused_by_name() {
    let runtime = Runtime::new();
    for kind in ["pid", "network", "ipc", "uts"] {
        let bundle = Bundle::new();
        let list = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
        let list: Vec<_> = list.into_iter().filter(|one| one["type"] != kind).collect();
        let bundle = bundle.set("/linux/namespaces", json!(list));

        let said = runtime.run(&bundle).failed(3);

        assert!(
            said.contains(&format!(
                "refused by rule `ns.no-host-{kind}`: /linux/namespaces has no `{kind}`"
            )),
            "{said}"
        );
    }
}

#[test]
fn no_signal_is_ignored_or_blocked() {
    let bundle = Bundle::new().args(["/bin/grep", "Sig", "/proc/self/status"]);

    let said = run(&Runtime::new(), &bundle);

    assert!(said.contains("SigIgn:\t0000000000000000"), "{said}");
    assert!(said.contains("SigBlk:\t0000000000000000"), "{said}");
}

// rows: linux.namespaces.cgroup
#[test]
fn the_cgroup_path_of_the_host_is_not_seen() {
    let bundle = Bundle::new().args(["/bin/cat", "/proc/self/cgroup"]);

    let said = run(&Runtime::new(), &bundle);

    assert!(said.lines().all(|line| line.ends_with(":/")), "{said}");
}

// rows: linux.namespaces.path
#[test]
fn a_network_namespace_by_path_is_joined_and_low_ports_work_there() {
    let runtime = Runtime::new();
    let mut holder = std::process::Command::new("unshare")
        .args(["-n", "sh", "-c", "ip link set lo up 2>/dev/null; echo ready; exec sleep 60"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(holder.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let path = format!("/proc/{}/ns/net", holder.id());
    let expected = fs::read_link(&path).unwrap();
    let bundle = Bundle::new();
    let list = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    let mut list: Vec<_> = list.into_iter().filter(|one| one["type"] != "network").collect();
    list.push(json!({"type": "network", "path": path}));
    let bundle = bundle.set("/linux/namespaces", json!(list)).shell(
        "readlink /proc/self/ns/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /sys/class/net",
    );

    let said = run(&runtime, &bundle);
    holder.kill().unwrap();
    holder.wait().unwrap();

    assert_eq!(said, format!("{}\n0\nlo\n", expected.display()));
}

// rows: operations.descriptors
#[test]
fn nothing_of_the_callers_reaches_the_program() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().shell("ls /proc/self/fd; env; umask");
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    command.env("SECRET", "s3cret");

    let said = runtime.finish(command).ok();

    assert!(!said.contains("s3cret"), "{said}");
    assert!(said.contains("\n0022\n"), "{said}");
    assert!(said.starts_with("0\n1\n2\n3\n"), "{said}");
    assert!(!said.starts_with("0\n1\n2\n3\n4\n"), "{said}");
}
