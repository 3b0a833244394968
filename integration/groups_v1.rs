//! What a container sees of its control groups on a host that has hierarchies of version 1, and
//! what it can do there: nothing, where the policy holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Bundle, Runtime, make_program, patience, tagged_dir, unique_tag};

/// The directories of the host's hierarchies of version 1; `None`, with a note, without any.
fn hierarchies() -> Option<Vec<String>> {
    let found: Vec<String> = fs::read_dir("/sys/fs/cgroup")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir() && entry.path().join("tasks").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    if found.is_empty() {
        println!("skipped, because this host has no hierarchy of version 1");
        return None;
    }
    Some(found)
}

/// A bundle without a control group namespace, whose `/sys/fs/cgroup` has these options.
fn shown(options: &[&str]) -> Bundle {
    let bundle = Bundle::new();
    let mounts = bundle.config()["mounts"].as_array().unwrap();
    let at = mounts.iter().position(|mount| mount["type"] == "cgroup").unwrap();
    bundle.set(&format!("/mounts/{at}/options"), json!(options))
}

fn without_namespace(bundle: Bundle) -> Bundle {
    let namespaces = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    let kept: Vec<_> = namespaces.into_iter().filter(|one| one["type"] != "cgroup").collect();
    bundle.set("/linux/namespaces", json!(kept))
}

/// Every capability, and nothing that holds one back: root, as the host knows it.
fn with_everything(bundle: Bundle) -> Bundle {
    let all = json!(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_SETUID"]);
    let sets = json!({"bounding": all, "effective": all, "permitted": all});
    bundle.set("/process/capabilities", sets)
}

const USUAL: [&str; 4] = ["nosuid", "noexec", "nodev", "ro"];
const WRITABLE: [&str; 3] = ["nosuid", "noexec", "nodev"];

#[test]
fn every_hierarchy_is_there_and_shows_the_containers_own_group() {
    let Some(hierarchies) = hierarchies() else { return };
    let look = "cd /sys/fs/cgroup && for d in *; do \
                [ -L $d ] || echo $d $(grep -cx $$ $d/cgroup.procs) $(cat $d/*limit_in_bytes \
                2>/dev/null | head -1); done";
    for runtime in [Runtime::audit(), Runtime::new()] {
        for bundle in [shown(&USUAL), without_namespace(shown(&USUAL))] {
            let said = runtime.run(&bundle.shell(look)).ok();

            for hierarchy in &hierarchies {
                let line = format!("{hierarchy} 1");
                assert!(said.lines().any(|found| found.trim_end().starts_with(&line)), "{said}");
            }
        }
    }
}

#[test]
fn a_limit_can_be_read_inside_where_the_host_holds_it() {
    let Some(hierarchies) = hierarchies() else { return };
    if !hierarchies.iter().any(|hierarchy| hierarchy == "memory") {
        println!("skipped, because this host limits memory in version 2");
        return;
    }
    let bundle = shown(&USUAL)
        .set("/linux/resources/memory", json!({"limit": 64 << 20}))
        .shell("cat /sys/fs/cgroup/memory/memory.limit_in_bytes");

    assert_eq!(Runtime::new().run(&bundle).ok(), "67108864\n");
}

/// Tries to change the group in each hierarchy; prints what it could.
const CHANGE: &str = "cd /sys/fs/cgroup; for d in *; do [ -L $d ] && continue; \
    mkdir $d/below 2>/dev/null && echo made $d && rmdir $d/below; \
    [ -e $d/notify_on_release ] && (echo 1 > $d/notify_on_release) 2>/dev/null && echo told $d; \
    [ -e $d/devices.allow ] && (echo a > $d/devices.allow) 2>/dev/null && echo allowed $d; \
    done; mkdir other 2>/dev/null && echo put; true";

#[test]
fn nothing_there_can_be_changed_whatever_the_bundle_says() {
    let Some(hierarchies) = hierarchies() else { return };

    let weak = with_everything(shown(&WRITABLE)).shell(CHANGE);
    let said = Runtime::audit().run(&weak).ok();
    for hierarchy in &hierarchies {
        let line = format!("made {hierarchy}\n");
        assert!(said.contains(&line), "where nothing is held back it can be: {said}");
    }

    for bundle in [weak, without_namespace(with_everything(shown(&WRITABLE)).shell(CHANGE))] {
        assert_eq!(Runtime::new().run(&bundle).ok(), "");
    }
}

/// A hierarchy of its own, which counts nothing, and in which nobody else has a group.
struct Hierarchy(tempfile::TempDir, String);

impl Hierarchy {
    /// `None`, with a note, where the kernel has none of version 1.
    fn mount() -> Option<Self> {
        let tag = unique_tag();
        let hierarchy = Self(tagged_dir(&tag), tag);
        if !hierarchy.mount_it() {
            println!("skipped, because this kernel has no control groups of version 1");
            return None;
        }
        Some(hierarchy)
    }

    fn mount_it(&self) -> bool {
        let options = format!("none,name={}", self.1);
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "cgroup", "-o", &options, "none"]).arg(self.path());
        command.status().unwrap().success()
    }

    fn is_there(&self) -> bool {
        fs::read_to_string("/proc/self/cgroup").unwrap().contains(&self.1)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.path().join("c"));
        let umount = || std::process::Command::new("umount").arg(self.0.path()).status();
        let _ = umount();
        // A hierarchy that is left while a group in it is still being removed stays, until it is
        // left once more.
        let deadline = Instant::now() + patience(Duration::from_secs(5));
        while self.is_there() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            if self.is_there() && self.mount_it() {
                let _ = umount();
            }
        }
    }
}

/// The way out that made control groups of version 1 known: the kernel runs what `release_agent`
/// names, as root of the host, when the last process of a group has ended.
fn attack(bundle: Bundle) -> (Bundle, PathBuf) {
    let proof = bundle.dir().join("proof");
    let script = format!("#!/bin/sh\nid -u > {}\n", proof.display());
    let way_out = bundle.rootfs().join("way-out");
    make_program(&way_out, script);
    let line = format!(
        "for at in $(find /sys/fs/cgroup /h -name release_agent 2>/dev/null); do \
         cd ${{at%/*}} && mkdir -p c && echo 1 > c/notify_on_release && \
         echo {} > release_agent && sh -c 'echo $$ > c/cgroup.procs' && echo tried; done; true",
        way_out.display()
    );
    (bundle.shell(&line), proof)
}

fn is_out(proof: &Path) -> bool {
    let deadline = Instant::now() + patience(Duration::from_secs(5));
    while !proof.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    proof.exists()
}

#[test]
fn no_group_that_is_shown_has_a_release_agent() {
    let Some(hierarchy) = Hierarchy::mount() else { return };
    let source = hierarchy.path().to_str().unwrap();
    let bound = |bundle: Bundle| bundle.mount("/h", "bind", source, &["bind", "rw"]);

    // Where the root of a hierarchy is inside, the attack succeeds.
    let (weak, proof) = attack(bound(with_everything(Bundle::new())));
    let said = Runtime::audit().run(&weak).ok();
    assert!(said.contains("tried") && is_out(&proof), "without the box, this is a way out: {said}");

    // The policy lets nobody bind it.
    let (weak, proof) = attack(bound(with_everything(Bundle::new())));
    let said = Runtime::new().run(&weak).failed(3);
    assert!(said.contains("mount.no-host-kernel-files"), "{said}");
    assert!(!proof.exists());

    // What is shown by the type `cgroup` has none, even where nothing is held back.
    for runtime in [Runtime::audit(), Runtime::new()] {
        for bundle in [shown(&WRITABLE), without_namespace(shown(&WRITABLE))] {
            let (bundle, proof) = attack(with_everything(bundle));
            assert_eq!(runtime.run(&bundle).ok(), "");
            assert!(!proof.exists());
        }
    }
}
