//! Other hosts than this one, many containers at once, and figures.

use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use super::*;

/// Runs a test in a mount namespace of its own, with other hierarchies than the host's.
fn in_private_mounts(change: impl FnOnce() + Send, test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Only this thread is in the new namespace, which is private.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).unwrap();
            change();
            test();
        });
    });
}

fn mount_pure_v2() {
    match mount("none", "/sys/fs/cgroup", "cgroup2", MountFlags::empty(), None) {
        // The host is one already: the same thing cannot be mounted on itself.
        Ok(()) | Err(rustix::io::Errno::BUSY) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_pure_v2_host_has_no_v1_controllers() {
    in_private_mounts(mount_pure_v2, || {
        let hierarchies = Hierarchies::open().unwrap();
        assert_eq!(root_of(&hierarchies), Path::new("/sys/fs/cgroup"));
        assert!(hierarchies.facts().v1.is_empty());
        let group = Cgroup::create(&plan("{}"), claimant(unique("pure")), &hierarchies).unwrap();
        let output = Subject::new("cat </dev/null; cat </dev/kmsg").enter(&group).finish();
        assert!(!output.status.success());
        group.remove(&hierarchies).unwrap();
    });
}

#[test]
fn a_host_without_v2_gets_a_mount_of_our_own() {
    let hide = || mount("none", "/sys/fs/cgroup", "tmpfs", MountFlags::empty(), None).unwrap();
    in_private_mounts(hide, || {
        let hierarchies = Hierarchies::open().unwrap();
        assert_eq!(hierarchies.v2_mount(), None);
        let id = unique("detached");
        let group = Cgroup::create(&plan("{}"), claimant(&id), &hierarchies).unwrap();
        assert!(group.paths(&hierarchies).is_empty());
        let mut subject = Subject::new("true").enter(&group);
        let saved = group.save();
        drop((group, hierarchies));

        let hierarchies = Hierarchies::open().unwrap();
        let group = Cgroup::open(&saved, &hierarchies).unwrap();
        assert_eq!(group.pids().unwrap(), [subject.pid()]);
        group.kill_all().unwrap();
        subject.0.wait().unwrap();
        group.remove(&hierarchies).unwrap();
    });
}

#[test]
fn many_creations_below_one_parent_do_not_disturb_each_other() {
    let top = unique("race");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let top = &top;
            scope.spawn(move || {
                let hierarchies = Hierarchies::open().unwrap();
                for round in 0..25 {
                    let id = format!("{thread}-{round}");
                    let plan = plan_at(Some(&format!("/{top}/{id}")), "{}");
                    let group = Cgroup::create(&plan, claimant(&id), &hierarchies).unwrap();
                    group.remove(&hierarchies).unwrap();
                }
            });
        }
    });
    let hierarchies = Hierarchies::open().unwrap();
    let _ = std::fs::remove_dir(root_of(&hierarchies).join(&top));
}

/// Figures, not a verdict: `cargo test --release --lib cgroup::tests::figures -- --ignored --nocapture`.
#[test]
#[ignore = "prints how long things take"]
fn figures() {
    let time = |name: &str, f: &mut dyn FnMut()| {
        let mut took: Vec<Duration> = (0..200)
            .map(|_| {
                let start = Instant::now();
                f();
                start.elapsed()
            })
            .collect();
        took.sort_unstable();
        eprintln!("{name}: median {:?}, best {:?}", took[100], took[0]);
    };
    let hierarchies = Hierarchies::open().unwrap();
    let open = || Hierarchies::open().unwrap();
    time("open hierarchies", &mut || drop(open()));
    in_private_mounts(mount_pure_v2, || time("open hierarchies, pure v2", &mut || drop(open())));
    let all = r#"{"devices": [{"allow": true, "access": "rwm"}]}"#;
    let huge = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#;
    for (name, resources) in [("bare", all), ("devices", "{}"), ("devices, hugetlb", huge)] {
        let plan = plan(resources);
        let mut made = Vec::new();
        let mut create =
            || made.push(Cgroup::create(&plan, claimant(unique("time")), &hierarchies).unwrap());
        time(&format!("create, {name}"), &mut create);
        time(&format!("remove, {name}"), &mut || made.pop().unwrap().remove(&hierarchies).unwrap());
    }
    if hierarchies.facts().v1.contains_key("pids") {
        let plan = plan(r#"{"pids": {"limit": 100}}"#);
        let group = Cgroup::create(&plan, claimant(unique("time")), &hierarchies).unwrap();
        let mut subjects: Vec<_> = (0..200).map(|_| Subject::new("true")).collect();
        let pids: Vec<_> = subjects.iter().map(Subject::pid).collect();
        let mut next = pids.iter();
        time("join v1 pids", &mut || group.join_v1(*next.next().unwrap()).unwrap());
        for subject in subjects.drain(..) {
            subject.finish();
        }
        group.remove(&hierarchies).unwrap();
    }
}
