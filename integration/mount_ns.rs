//! Whose mount namespace a container is in.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{Bundle, Runtime, TAG};

// rows: linux.namespaces.mount
#[test]
fn a_mount_namespace_is_the_containers_own_where_anything_is_held_back() {
    let joins = Bundle::new()
        .set("/linux/namespaces/4", json!({"type": "mount", "path": "/proc/self/ns/mnt"}));
    let said = Runtime::new().run(&joins).failed(3);
    assert!(said.contains("refused by rule `ns.own-mount`"), "{said}");
    let ids = json!([{"containerID": 0, "hostID": 200_000, "size": 1000}]);
    let own_users = joins
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", ids.clone())
        .set("/linux/gidMappings", ids);
    let said = Runtime::audit().run(&own_users).failed(1);
    assert!(said.contains("joins a mount namespace: a container that has users"), "{said}");

    let without = Bundle::new()
        .set("/linux/namespaces/4", json!({"type": "time"}))
        .args(["/bin/readlink", "/proc/self/ns/mnt"]);
    let host = fs::read_link("/proc/self/ns/mnt").unwrap();
    assert_ne!(Runtime::new().run(&without).ok().trim(), host.to_str().unwrap());
    let dir = without.dir().to_str().unwrap();
    let said = Runtime::new().call(["explain", "--bundle", dir]).ok();
    assert!(said.contains("ns.own-mount"), "{said}");
}

/// A process in a mount namespace that is neither the host's nor a container's.
struct Elsewhere(Child);

impl Elsewhere {
    fn new() -> Self {
        let script = "mount -t tmpfs elsewhere /mnt && echo && exec sleep 1000";
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

// rows: linux.namespaces.mount
#[test]
fn a_mount_namespace_of_others_is_shared_and_only_that_of_the_runtime_gets_the_root() {
    let elsewhere = Elsewhere::new();
    let theirs = format!("/proc/{}/ns/mnt", elsewhere.0.id());
    let table = |pid: u32| fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let hook = json!([{"path": "/bin/true"}]);
    for (namespace, hooks) in [
        (json!({"type": "time"}), json!({})),
        (json!({"type": "mount", "path": theirs}), json!({})),
        (json!({"type": "mount", "path": theirs}), json!({"createRuntime": hook})),
    ] {
        let joins = namespace.get("path").is_some();
        let place = namespace["path"].as_str().unwrap_or("/proc/self/ns/mnt");
        let wanted = fs::read_link(place).unwrap();
        let look = "readlink /proc/self/ns/mnt; cat /etc/secret; { echo x > /etc/fixed/x; } 2>&1; \
                    cat /data/word; ls -d /proc/1; mount -t tmpfs none /mnt 2>&1";
        let bundle = Bundle::new()
            .set("/linux/namespaces/4", namespace)
            .set("/hooks", hooks)
            .set("/linux/maskedPaths/-", json!("/etc/secret"))
            .set("/linux/readonlyPaths/-", json!("/etc/fixed"))
            .set(
                "/process/capabilities",
                json!({"bounding": ["CAP_SYS_ADMIN"],
                "effective": ["CAP_SYS_ADMIN"], "permitted": ["CAP_SYS_ADMIN"]}),
            )
            .mount("/data", "tmpfs", "tmpfs", &[])
            .shell(&format!("echo word > /data/word; {look}; echo done; sleep 1000"));
        fs::create_dir(bundle.rootfs().join("etc/fixed")).unwrap();
        fs::create_dir(bundle.rootfs().join("mnt")).unwrap();
        fs::write(bundle.rootfs().join("etc/secret"), "secret").unwrap();
        // Mounts of other tests, which the host had when this was made, go when they go there.
        let there = || {
            let lines = table(elsewhere.0.id());
            let is_ours = |line: &&str| !line.contains(TAG) || line.contains(bundle.id());
            lines.lines().filter(is_ours).map(str::to_owned).collect::<Vec<_>>()
        };
        let before = there();
        let runtime = Runtime::audit();

        let created = runtime.create(&bundle);
        let init = runtime.state(&bundle)["pid"].as_i64().unwrap();
        assert_eq!(fs::read_link(format!("/proc/{init}/ns/mnt")).unwrap(), wanted);
        runtime.start(&bundle).ok();
        created.wait_for("done");
        // Others mount things on the host meanwhile; of this bundle, the root at its place.
        let shown = table(std::process::id());
        let shown: Vec<_> = shown.lines().filter(|line| line.contains(bundle.id())).collect();
        let root = format!(" {} ", bundle.rootfs().display());
        assert_eq!(shown.iter().any(|line| line.contains(&root)), !joins, "{shown:#?}");
        assert_eq!(shown.is_empty(), joins, "{shown:#?}");
        assert_eq!(there(), before);

        let entered = runtime.call(["exec", bundle.id(), "sh", "-c", look]);
        for said in [created.printed().replace("done\n", ""), entered.stdout] {
            let lines: Vec<_> = said.lines().collect();
            let [of, fixed, word, proc, ref denied @ ..] = lines[..] else { panic!("{said}") };
            assert_eq!((of, word, proc), (wanted.to_str().unwrap(), "word", "/proc/1"), "{said}");
            assert!(fixed.contains("Read-only file system"), "{said}");
            // In the runtime's own, more can be mounted; what is nowhere has no place for it.
            let failed = denied.first().is_some_and(|it| it.starts_with("mount: mounting none on"));
            assert_eq!(failed, joins, "{said}");
        }
        runtime.call(["delete", "--force", bundle.id()]).ok();
        assert_eq!(there(), before);
        assert!(!table(std::process::id()).contains(bundle.id()));
    }
}

fn in_the_runtimes_own() -> Bundle {
    Bundle::new().set("/linux/namespaces/4", json!({"type": "time"}))
}

/// What lies at the bundle's root now.
fn mounted_at(bundle: &Bundle) -> usize {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = format!(" {} ", bundle.rootfs().display());
    table.lines().filter(|line| line.contains(&root)).count()
}

#[test]
fn a_root_in_the_runtimes_own_mount_namespace_goes_with_the_container_alone() {
    let runtime = Runtime::audit();
    let bundle = in_the_runtimes_own()
        .shell("grep -c '^[0-9]* [0-9]* [0-9:]* [^ ]* / ' /proc/self/mountinfo");
    assert_eq!(runtime.run(&bundle).ok(), "1\n");
    assert_eq!(mounted_at(&bundle), 0);

    // What an administrator did meanwhile stays: took the root away, put something over it.
    for over in [false, true] {
        runtime.create(&bundle).ok();
        assert_eq!(mounted_at(&bundle), 1);
        if over {
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount(c"over", bundle.rootfs(), c"tmpfs", flags, None).unwrap();
        } else {
            unmount(&bundle);
        }
        runtime.call(["delete", "--force", bundle.id()]).ok();
        assert_eq!(mounted_at(&bundle), if over { 2 } else { 0 });
    }
    unmount(&bundle);
    unmount(&bundle);
}

fn unmount(bundle: &Bundle) {
    rustix::mount::unmount(bundle.rootfs(), rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[cfg(feature = "fault")]
#[test]
fn a_root_in_the_runtimes_own_mount_namespace_is_taken_away_whatever_fails() {
    let bundle = in_the_runtimes_own();
    let runtime = Runtime::audit();
    let before = crate::support::Snapshot::take(&runtime, &[bundle.id()]);
    let dir = bundle.dir().to_str().unwrap();
    let explained = runtime.call(["explain", "--json", "--bundle", dir]).ok();
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    let steps = explained["plan"]["steps"].as_array().unwrap();
    let is_attached = |step: &serde_json::Value| step["action"]["do"] == "attach-root";
    let attached = steps.iter().rposition(is_attached).unwrap();

    for number in attached + 1..=steps.len() {
        for verb in ["create", "run"] {
            let mut command = runtime.command([verb, "--bundle", dir, bundle.id()]);
            command.env("CASEMATE_FAULT", number.to_string());
            if verb == "run" {
                runtime.finish(command).failed(1);
            } else {
                runtime.finish(command);
                runtime.call(["delete", "--force", bundle.id()]).ok();
            }
            assert_eq!(mounted_at(&bundle), 0, "{verb}, step {number}");
            before.assert_unchanged();
        }
    }
}
