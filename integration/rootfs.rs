//! Containers on every kind of root: overlays taken apart and put together again, a Debian
//! root, and the unified control group hierarchy alone.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::support::{Bundle, Overlay, Runtime, Snapshot, cgroup2, debian_root, unique_tag};

#[test]
fn an_overlay_keeps_its_whiteouts_its_owners_and_its_layers_as_they_are() {
    let runtime = Runtime::new();
    let overlay = Overlay::new(&unique_tag());
    let bundle = Bundle::with_root(&overlay.root()).shell(
        "ls /etc/whiteout 2>&1; cat /etc/changed /etc/upper; echo; ls /opaque; \
         stat -c '%u %g %a' /srv/owned /bin/busybox; cat /srv/owned; touch /etc/x 2>&1; true",
    );
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime.run(&bundle).ok();

    assert!(said.contains("No such file"), "{said}");
    assert!(said.contains("middleupper\nnew\n1000 1000 600\n0 0 755\nbase"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    before.assert_unchanged();
    let [base, _, upper] = overlay.layers();
    assert_eq!(fs::metadata(base.join("srv/owned")).unwrap().uid(), 1000);
    assert!(!upper.join("etc/x").exists());
}

#[test]
fn a_missing_mount_point_in_an_overlay_is_made_in_its_upper_layer() {
    let runtime = Runtime::new();
    let overlay = Overlay::new(&unique_tag());
    let source = overlay.root().join("etc/changed");
    let bundle = Bundle::with_root(&overlay.root())
        .mount("/made/file", "bind", source.to_str().unwrap(), &["bind", "ro"])
        .shell("cat /made/file");

    // The source lies on the overlay, whose ids cannot be translated: that is said, and undone.
    let said = runtime.run(&bundle).failed(1);
    assert!(said.contains("ids cannot be translated"), "{said}");
    assert!(!overlay.root().join("made").exists());

    let plain = bundle.dir().join("plain");
    fs::write(&plain, "plain").unwrap();
    let bundle = bundle.set("/mounts/7/source", json!(plain));
    assert_eq!(runtime.run(&bundle).ok(), "plain");
    assert!(overlay.layers()[2].join("made/file").exists());
}

#[test]
fn a_container_runs_where_there_is_only_cgroup_v2() {
    let runtime = Runtime::new().with_private_cgroup2();
    let bundle = Bundle::new().unset("/linux/resources/pids").shell(
        "cat /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs; touch /sys/fs/cgroup/x 2>&1; true",
    );

    let said = runtime.run(&bundle).ok();

    assert!(said.contains("0::/\n") && said.contains("/sys/fs/cgroup/cgroup.procs"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

#[test]
fn a_limit_that_this_host_cannot_hold_is_refused_when_the_bundle_asks_for_it() {
    let controllers = fs::read_to_string(cgroup2().join("cgroup.controllers")).unwrap();
    if controllers.split_whitespace().any(|controller| controller == "pids") {
        println!("skipped, because this host can hold a limit of processes on cgroup v2");
        return;
    }
    let runtime = Runtime::new().with_private_cgroup2();
    let bundle = Bundle::new().set("/linux/resources/pids", json!({"limit": 10}));

    let said = runtime.run(&bundle).failed(1);

    assert!(said.contains("/linux/resources/pids"), "{said}");
}

// rows: linux.resources.pids
#[test]
fn a_limit_of_processes_stops_a_fork_bomb() {
    let bundle = Bundle::new()
        .set("/linux/resources/pids", json!({"limit": 8}))
        .shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done 2>&1; wait");

    let ran = Runtime::new().run(&bundle);

    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("Resource temporarily unavailable") || said.contains("can't fork"),
        "{said}"
    );
}

#[test]
fn a_memory_limit_kills_what_takes_more() {
    let bundle = Bundle::new()
        .set("/linux/resources/memory", json!({"limit": 33_554_432_u64}))
        .shell("head -c 100000000 /dev/zero | tail -c 90000000 > /dev/null; echo survived");

    let ran = Runtime::new().run(&bundle);

    assert!(!ran.stdout.starts_with("survived") || ran.stderr.contains("Killed"), "{ran:?}");
}

// rows: linux.resources.devices
#[test]
fn a_device_that_a_node_exists_for_is_still_denied_by_the_control_group() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    runtime.create(&bundle).ok();
    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let procs = format!("{}{path}/cgroup.procs", cgroup2().display());

    // A host process that steps into the group loses the memory device, and keeps the null one.
    let script = format!(
        "echo $$ > {procs}; head -c 1 /dev/mem 2>&1; head -c 1 /dev/kmsg 2>&1; cat /dev/null && echo null"
    );
    let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();

    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.matches("not permitted").count() >= 1 && said.ends_with("null\n"), "{said}");
}

// rows: linux.resources.devices
#[test]
fn tools_of_a_v1_host_find_the_device_rules_in_their_order() {
    let hierarchy = std::path::Path::new("/sys/fs/cgroup/devices");
    if !hierarchy.join("devices.list").exists() {
        println!("skipped, because this host has no v1 hierarchy of devices");
        return;
    }
    let rule = |allow: bool, typ: &str, major: u32, minor: u32, access: &str| json!({"allow": allow, "type": typ, "major": major, "minor": minor, "access": access});
    let rules = json!([
        {"allow": false, "access": "rwm"},
        rule(true, "c", 10, 229, "rwm"),
        rule(true, "b", 8, 20, "rw"),
        rule(true, "c", 1, 1, "rw"),
        rule(false, "c", 1, 1, "w"),
    ]);
    let bundle = Bundle::new().set("/linux/resources/devices", rules).args(["/bin/sleep", "60"]);
    let runtime = Runtime::audit();
    runtime.create(&bundle).ok();
    let group = hierarchy.join(bundle.id());

    let list = fs::read_to_string(group.join("devices.list")).unwrap();
    assert!(list.starts_with("c 10:229 rwm\nb 8:20 rw\nc 1:1 r\n"), "{list}");
    assert!(list.contains("c 1:3 rw"), "{list}");

    // It holds by itself: whoever is in this group alone has what is listed, and no more.
    let script = format!(
        "echo $$ > {}/cgroup.procs; head -c 1 /dev/mem >/dev/null 2>&1 && echo memory; \
         head -c 1 /dev/kmsg 2>&1; cat /dev/null && echo null",
        group.display()
    );
    let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("kmsg") && said.contains("not permitted"), "{said}");
    assert!(said.ends_with("null\n"), "{said}");
}

#[test]
#[ignore = "needs a Debian root, which is fetched once"]
fn a_debian_root_runs_its_programs_as_root_and_as_a_user() {
    let runtime = Runtime::new();
    let root = debian_root();
    for uid in [0, 1000] {
        let bundle = Bundle::with_root(&root)
            .set("/root/readonly", json!(false))
            .set("/process/user", json!({"uid": uid, "gid": uid}))
            .args([
                "/bin/bash",
                "-c",
                "id -u; perl -e 'print 6*7, \"\\n\"'; dpkg --version | head -1 | cut -c1-6; \
                 echo x > /tmp/x && mktemp -d > /dev/null && echo scratch",
            ]);

        assert_eq!(runtime.run(&bundle).ok(), format!("{uid}\n42\nDebian\nscratch\n"));
    }
}
