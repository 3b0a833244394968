//! What a mount of the host forbids stays forbidden where the bundle has a user namespace: whoever
//! mounts inside one could not take it back, and neither may a bundle.

use std::process::Command;

use serde_json::json;

use crate::support::{Bundle, Runtime, tagged_dir, unique_tag};

/// Memory on the host with these flags of its mount; gone with the value.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(flags: &str) -> Self {
        Self::on(tagged_dir(&unique_tag()), flags)
    }

    /// The same in a directory of its own in this one.
    fn below(dir: &std::path::Path, flags: &str) -> Self {
        Self::on(tempfile::tempdir_in(dir).unwrap(), flags)
    }

    fn on(dir: tempfile::TempDir, flags: &str) -> Self {
        let mount = Self(dir);
        mount.call(&["-t", "tmpfs", "-o", "strictatime", "none"]);
        mount.call(&["-o", &format!("remount,bind,{flags}")]);
        mount
    }

    fn call(&self, words: &[&str]) {
        let status = Command::new("mount").args(words).arg(self.0.path()).status().unwrap();
        assert!(status.success(), "{words:?}");
    }

    /// A bundle that binds it with these options, and prints what came of them.
    fn bound(&self, options: &[&str]) -> Bundle {
        let source = self.0.path().to_str().unwrap();
        let line = "grep ' /m ' /proc/self/mounts | cut -d' ' -f4";
        Bundle::new().mount("/m", "bind", source, options).shell(line)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn with_users(bundle: Bundle) -> Bundle {
    let map = json!([{"containerID": 0, "hostID": 300_000, "size": 65536}]);
    bundle
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
}

#[test]
fn no_flag_of_the_hosts_mount_is_taken_back() {
    let runtime = Runtime::audit();
    for (flags, options, lost) in [
        ("ro", ["bind", "rw"], "ro"),
        ("nosuid", ["bind", "suid"], "nosuid"),
        ("nodev", ["bind", "dev"], "nodev"),
        ("noexec", ["bind", "exec"], "noexec"),
        ("noatime", ["bind", "relatime"], "access times"),
        ("strictatime", ["bind", "nodiratime"], "access times"),
    ] {
        let mount = Mount::new(flags);

        // Where nobody is between, root of the host may.
        runtime.run(&mount.bound(&options)).ok();

        let said = runtime.run(&with_users(mount.bound(&options))).failed(1);
        assert!(said.contains("`mount.build` failed"), "{options:?}: {said}");
        let words = format!("cannot clear locked flags of the host's mount ({lost})");
        assert!(said.contains(&words), "{options:?}: {said}");
        // The words under which it is known elsewhere.
        assert!(said.contains("error during container init: error mounting"), "{said}");
    }
}

#[test]
fn it_is_refused_at_every_level() {
    let mount = Mount::new("ro");

    let said = Runtime::new().run(&with_users(mount.bound(&["bind", "rw"]))).failed(1);

    assert!(said.contains("cannot clear locked flags of the host's mount (ro)"), "{said}");
}

/// A directory of the host with another mount below it: what is forbidden there.
#[test]
fn nor_is_one_of_a_mount_below_at_any_level() {
    for (flags, option, lost) in [
        ("ro", "rrw", "ro"),
        ("nosuid", "rsuid", "nosuid"),
        ("nodev", "rdev", "nodev"),
        ("noexec", "rexec", "noexec"),
        ("noatime", "rrelatime", "access times"),
    ] {
        let above = tagged_dir(&unique_tag());
        let below = Mount::below(above.path(), flags);
        let source = above.path().to_str().unwrap();
        let line = "cat /proc/self/mounts | grep ' /m/' | cut -d' ' -f4";
        let bundle = || Bundle::new().mount("/m", "bind", source, &["rbind", option]).shell(line);

        // The attack, where nobody is between: root of the host may.
        let said = Runtime::audit().run(&bundle()).ok();
        assert!(!said.trim_end().split(',').any(|word| word == flags), "{option}: {said}");

        for runtime in [Runtime::audit(), Runtime::new()] {
            let said = runtime.run(&with_users(bundle()));
            if said.status == Some(0) {
                // What the level forces anyway is not taken back.
                assert!(said.stdout.contains(flags), "{option}: {said:?}");
                continue;
            }
            let said = said.failed(1);
            let words = format!("cannot clear locked flags of the host's mount ({lost})");
            assert!(said.contains(&words), "{option}: {said}");
        }
        // Taken along as it is, nothing stands against it.
        let plain = Bundle::new().mount("/m", "bind", source, &["rbind"]).shell(line);
        let said = Runtime::audit().run(&with_users(plain)).ok();
        assert!(said.contains(flags), "{said}");
        drop(below);
    }
}

#[test]
fn what_is_not_taken_back_by_name_stays_and_more_can_be_forbidden() {
    let runtime = Runtime::audit();
    let mount = Mount::new("nosuid,noexec,nodiratime");

    for options in [&["bind"][..], &["bind", "ro"], &["bind", "diratime"]] {
        let said = runtime.run(&with_users(mount.bound(options))).ok();

        let has = |word: &str| said.trim_end().split(',').any(|found| found == word);
        assert!(has("nosuid") && has("noexec") && has("nodiratime"), "{options:?}: {said}");
        assert_eq!(has("ro"), options.contains(&"ro"), "{options:?}: {said}");
    }
}
