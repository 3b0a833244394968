//! Whose mount namespace a container is in.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{Bundle, Runtime};

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
fn a_mount_namespace_of_others_is_shared_and_nobody_there_sees_the_containers_mounts() {
    let elsewhere = Elsewhere::new();
    let theirs = format!("/proc/{}/ns/mnt", elsewhere.0.id());
    let table = |pid: u32| fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let hook = json!([{"path": "/bin/true"}]);
    for (namespace, hooks) in [
        (json!({"type": "time"}), json!({})),
        (json!({"type": "mount", "path": theirs}), json!({})),
        (json!({"type": "mount", "path": theirs}), json!({"createRuntime": hook})),
    ] {
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
        fs::write(bundle.rootfs().join("etc/secret"), "secret").unwrap();
        let before = table(elsewhere.0.id());
        let runtime = Runtime::audit();

        let created = runtime.create(&bundle);
        let init = runtime.state(&bundle)["pid"].as_i64().unwrap();
        assert_eq!(fs::read_link(format!("/proc/{init}/ns/mnt")).unwrap(), wanted);
        runtime.start(&bundle).ok();
        created.wait_for("done");
        // Others mount things on the host meanwhile, but nothing of this bundle.
        assert!(!table(std::process::id()).contains(bundle.id()));
        assert_eq!(table(elsewhere.0.id()), before);

        let entered = runtime.call(["exec", bundle.id(), "sh", "-c", look]);
        for said in [created.printed().replace("done\n", ""), entered.stdout] {
            let lines: Vec<_> = said.lines().collect();
            let [of, fixed, word, proc, denied] = lines[..] else { panic!("{said}") };
            assert_eq!((of, word, proc), (wanted.to_str().unwrap(), "word", "/proc/1"), "{said}");
            assert!(fixed.contains("Read-only file system"), "{said}");
            assert!(denied.contains("mounting none on /mnt failed"), "{said}");
        }
        runtime.call(["delete", "--force", bundle.id()]).ok();
        assert_eq!(table(elsewhere.0.id()), before);
    }
}
