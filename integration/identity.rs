//! Who the program is and what it is told: names, users, environment, the version of its bundle.

use std::fs;

use serde_json::json;

use crate::support::{Bundle, Runtime, copy_program};

fn both() -> [Runtime; 2] {
    [Runtime::new(), Runtime::audit()]
}

// rows: hostname, domainname
#[test]
fn the_names_of_the_bundle_are_the_containers_and_the_host_keeps_its_own() {
    let own = || {
        ["hostname", "domainname"]
            .map(|name| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap())
    };
    let before = own();
    let bundle = Bundle::new()
        .set("/hostname", json!("names-inside"))
        .set("/domainname", json!("domain.inside"))
        .shell("hostname; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname");
    for runtime in both() {
        assert_eq!(runtime.run(&bundle).ok(), "names-inside\nnames-inside\ndomain.inside\n");
        assert_eq!(own(), before);
    }

    let hosts = json!([{"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "ipc"}]);
    let bundle = bundle.set("/linux/namespaces", hosts);
    let said = Runtime::audit().run(&bundle).failed(1);
    assert!(said.contains("/hostname: needs a `uts` namespace"), "{said}");
    assert!(said.contains("/domainname: needs a `uts` namespace"), "{said}");
    assert_eq!(own(), before);
}

// rows: process.env
#[test]
fn the_environment_is_the_bundles_and_nothing_of_the_callers() {
    let env = json!(["PATH=/bin:/usr/bin", "EMPTY=", "TWO=words here", "EQUAL=a=b", "HOME=/x"]);
    let bundle = Bundle::new().set("/process/env", env).args(["/bin/busybox", "env"]);
    for runtime in both() {
        let dir = bundle.dir().to_str().unwrap();
        let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
        command.env("CALLERS", "secret").env("TWO", "others");

        let said = runtime.finish(command).ok();

        let lines: Vec<_> = said.lines().collect();
        let wanted = ["PATH=/bin:/usr/bin", "EMPTY=", "TWO=words here", "EQUAL=a=b", "HOME=/x"];
        assert_eq!(lines, wanted, "{said}");
    }
    // A name without a file is looked for where the bundle says.
    let bundle = bundle.args(["only-there"]);
    fs::create_dir(bundle.rootfs().join("mine")).unwrap();
    copy_program(bundle.rootfs().join("bin/busybox"), bundle.rootfs().join("mine/only-there"));
    let said = Runtime::new().run(&bundle).failed(1);
    assert!(said.contains("executable file not found in $PATH"), "{said}");
    let bundle = bundle.set("/process/env", json!(["PATH=/nowhere:/mine"]));
    let ran = Runtime::new().run(&bundle);
    assert!(ran.stderr.contains("only-there: applet not found"), "{ran:?}");
}

// rows: process.user.uid, process.user.gid, process.user.additionalGids
#[test]
fn the_program_is_the_user_and_in_the_groups_that_the_bundle_says() {
    let bundle = Bundle::new()
        .set("/process/user", json!({"uid": 1001, "gid": 1002, "additionalGids": [1003, 1004]}))
        .mount("/data", "tmpfs", "tmpfs", &["mode=1777"])
        .shell(
            "id -u; id -g; id -G; touch /data/mine; stat -c %u:%g /data/mine; \
             cat /etc/theirs /etc/groups 2>&1; sleep 60",
        );
    for (name, mode) in [("theirs", 0o600), ("groups", 0o040)] {
        let file = bundle.rootfs().join("etc").join(name);
        fs::write(&file, "groups may read\n").unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    // As it is on disk, which is what ids inside mean.
    std::os::unix::fs::chown(bundle.rootfs().join("etc/groups"), Some(0), Some(1004)).unwrap();
    let words = "1001\n1002\n1002 1003 1004\n1001:1002\n\
                 cat: can't open '/etc/theirs': Permission denied\ngroups may read\n";
    for (runtime, is_mapped) in both().into_iter().zip([true, false]) {
        let created = runtime.create(&bundle);
        runtime.start(&bundle).ok();
        created.wait_for("groups may read");

        assert_eq!(created.printed(), words);
        let init = runtime.state(&bundle)["pid"].as_i64().unwrap();
        let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        let outside = "Uid:\t1001\t1001\t1001\t1001\nGid:\t1002\t1002\t1002\t1002\n";
        assert_eq!(status.contains(outside), !is_mapped, "{status}");
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}

// rows: ociVersion
#[test]
fn bundles_of_a_version_that_is_known_run_and_others_are_refused() {
    let runtime = Runtime::new();
    for version in ["1.0.0", "1.0.2-dev", "1.1.0+dev", "1.2.1", "1.3.0"] {
        let bundle = Bundle::new().set("/ociVersion", json!(version)).args(["/bin/sleep", "60"]);
        runtime.create(&bundle).ok();
        let state = runtime.state(&bundle);
        assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{state}");
    }
    for (version, words) in [
        (json!("2.0.0"), "/ociVersion"),
        (json!("0.9.0"), "/ociVersion"),
        (json!("one"), "/ociVersion: not a semantic version: `one`"),
        (json!(1), "/ociVersion"),
    ] {
        let bundle = Bundle::new().set("/ociVersion", version);
        let said = runtime.create(&bundle).failed(1);
        assert!(said.contains(words), "{said}");
        let said = runtime.call(["state", bundle.id()]).failed(1);
        assert!(said.contains("does not exist"), "{said}");
    }
    let said = runtime.create(&Bundle::new().unset("/ociVersion")).failed(1);
    assert!(said.contains("ociVersion"), "{said}");
}
