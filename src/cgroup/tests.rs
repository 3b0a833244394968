//! On the real kernel, as root. Groups have names of their own and are gone afterwards.

mod hosts;
mod limits;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::plan::cgroup::{CgroupPlan, CgroupRequest, Driver, StandardDevices, build_cgroup_plan};
use crate::sys::Errno;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A name that no other test, and no other run, has.
fn unique(name: &str) -> String {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("cmtest-{name}-{}-{count}", std::process::id())
}

fn claimant(id: impl Into<String>) -> Claimant {
    Claimant { id: id.into(), root: "/run/tests".to_owned() }
}

fn plan_at(path: Option<&str>, resources: &str) -> CgroupPlan {
    let resources = serde_json::from_str(resources).unwrap();
    build_cgroup_plan(&CgroupRequest {
        resources: Some(&resources),
        cgroups_path: path.map(Path::new),
        default_pids_limit: None,
        standard_devices: StandardDevices::Open,
        driver: Driver::Cgroupfs,
    })
    .unwrap()
}

fn plan(resources: &str) -> CgroupPlan {
    plan_at(None, resources)
}

/// A shell that does nothing until told to go, moved into a group before.
struct Subject(Child);

impl Subject {
    fn new(script: &str) -> Self {
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn enter(self, group: &Cgroup) -> Self {
        let pid = self.0.id();
        group.leaf.write("cgroup.procs", &pid.to_string()).unwrap();
        group.join_v1(i32::try_from(pid).unwrap()).unwrap();
        self
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// Lets it run to its end.
    fn finish(mut self) -> std::process::Output {
        std::io::Write::write_all(&mut self.0.stdin.take().unwrap(), b"go\n").unwrap();
        self.0.wait_with_output().unwrap()
    }
}

fn root_of(hierarchies: &Hierarchies) -> PathBuf {
    hierarchies.v2_mount().unwrap().to_owned()
}

#[test]
fn a_group_is_made_and_removed_without_trace() {
    let hierarchies = Hierarchies::open().unwrap();
    let id = unique("trace");

    let group = Cgroup::create(&plan("{}"), claimant(&id), &hierarchies).unwrap();

    let directory = root_of(&hierarchies).join(format!("casemate-{id}.scope"));
    let paths = group.paths(&hierarchies);
    assert_eq!(paths[0], directory);
    assert!(paths.iter().all(|path| path.is_dir()));
    group.remove(&hierarchies).unwrap();
    assert!(!paths.iter().any(|path| path.exists()));
}

#[test]
fn parents_that_were_made_go_too_and_others_stay() {
    let hierarchies = Hierarchies::open().unwrap();
    let top = unique("parents");
    let make = |leaf: &str| {
        let path = format!("/{top}/inner/{leaf}");
        Cgroup::create(&plan_at(Some(&path), "{}"), claimant(leaf), &hierarchies).unwrap()
    };

    let (first, second) = (make("first"), make("second"));

    // The first made the parents, but the second lives there.
    first.remove(&hierarchies).unwrap();
    let inner = root_of(&hierarchies).join(&top).join("inner");
    assert!(inner.join("second").is_dir() && !inner.join("first").exists());
    second.remove(&hierarchies).unwrap();
    std::fs::remove_dir(&inner).unwrap();
    std::fs::remove_dir(inner.parent().unwrap()).unwrap();
}

#[test]
fn a_saved_group_is_opened_again_and_removed() {
    let hierarchies = Hierarchies::open().unwrap();
    let id = unique("saved");
    let path = format!("/{id}/deep");
    let group = Cgroup::create(&plan_at(Some(&path), "{}"), claimant(&id), &hierarchies).unwrap();
    let json = serde_json::to_string(&group.save()).unwrap();
    drop(group);

    let saved: SavedCgroup = serde_json::from_str(&json).unwrap();
    Cgroup::open(&saved, &hierarchies).unwrap().remove(&hierarchies).unwrap();

    assert!(!root_of(&hierarchies).join(&id).exists());
    let error = Cgroup::open(&saved, &hierarchies).unwrap_err();
    assert!(matches!(error, CgroupError::System { source: Errno::ENOENT, .. }));
}

#[test]
fn killing_ends_everything_inside_frozen_or_not() {
    let hierarchies = Hierarchies::open().unwrap();
    let group = Cgroup::create(&plan("{}"), claimant(unique("kill")), &hierarchies).unwrap();
    let mut subject = Subject::new("true").enter(&group);
    let mut frozen = Subject::new("true").enter(&group);
    assert_eq!(group.pids().unwrap().len(), 2);
    group.freeze().unwrap();
    assert!(group.is_frozen().unwrap());

    group.kill_all().unwrap();

    for child in [&mut subject, &mut frozen] {
        let status = child.0.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
    group.remove(&hierarchies).unwrap();
}

#[test]
fn killing_one_by_one_ends_everything_too() {
    let hierarchies = Hierarchies::open().unwrap();
    let group = Cgroup::create(&plan("{}"), claimant(unique("each")), &hierarchies).unwrap();
    let child_group = root_of(&hierarchies).join(group.path().as_str()).join("below");
    std::fs::create_dir(&child_group).unwrap();
    let subject = Subject::new("true").enter(&group);
    let below = Subject::new("true");
    std::fs::write(child_group.join("cgroup.procs"), below.pid().to_string()).unwrap();
    let mut listed = group.pids().unwrap();
    listed.sort_unstable();
    let mut expected = [subject.pid(), below.pid()];
    expected.sort_unstable();
    assert_eq!(listed, expected);

    // Someone must reap them, or they would be listed as zombies' threads are not.
    let reapers = [subject, below].map(|mut child| std::thread::spawn(move || child.0.wait()));
    processes::kill_each(&group.leaf).unwrap();

    for reaper in reapers {
        reaper.join().unwrap().unwrap();
    }
    group.remove(&hierarchies).unwrap();
    assert!(!child_group.exists());
}

#[test]
fn freezing_stops_and_thawing_lets_go_on() {
    let hierarchies = Hierarchies::open().unwrap();
    let group = Cgroup::create(&plan("{}"), claimant(unique("freeze")), &hierarchies).unwrap();
    let subject = Subject::new("echo done").enter(&group);

    group.freeze().unwrap();
    assert!(group.is_frozen().unwrap());
    group.thaw().unwrap();

    assert_eq!(subject.finish().stdout, b"done\n");
    assert!(!group.is_populated().unwrap());
    group.remove(&hierarchies).unwrap();
}

#[test]
fn a_populated_group_is_not_removed() {
    let hierarchies = Hierarchies::open().unwrap();
    let id = unique("busy");
    let group = Cgroup::create(&plan("{}"), claimant(&id), &hierarchies).unwrap();
    let saved = group.save();
    let subject = Subject::new("true").enter(&group);

    let error = group.remove(&hierarchies).unwrap_err();

    let said = format!("control group /casemate-{id}.scope is still populated after 2000 ms");
    assert_eq!(error.to_string(), said);
    subject.finish();
    Cgroup::open(&saved, &hierarchies).unwrap().remove(&hierarchies).unwrap();
}

#[test]
fn an_existing_group_is_used_if_it_is_free_and_left_in_place() {
    let hierarchies = Hierarchies::open().unwrap();
    let name = unique("adopt");
    let directory = root_of(&hierarchies).join(&name);
    std::fs::create_dir(&directory).unwrap();
    let plan = plan_at(Some(&name), "{}");

    for _ in 0..2 {
        let group = Cgroup::create(&plan, claimant("one"), &hierarchies).unwrap();
        assert_eq!(group.save().programs.len(), 1);
        let error = Cgroup::create(&plan, claimant("two"), &hierarchies).unwrap_err();
        assert_eq!(error.to_string(), format!("control group /{name} belongs to container `one`"));
        let leaf = rustix::fs::openat(
            group.leaf_fd(),
            ".",
            rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        group.remove(&hierarchies).unwrap();
        let left = crate::sys::bpf::device_programs(std::os::fd::AsFd::as_fd(&leaf)).unwrap();
        assert_eq!(left, [0; 0]);
    }

    std::fs::remove_dir(&directory).unwrap();
}

#[test]
fn a_group_with_processes_or_frozen_is_refused() {
    let hierarchies = Hierarchies::open().unwrap();
    let owner = Cgroup::create(&plan("{}"), claimant(unique("refuse")), &hierarchies).unwrap();
    let other = plan_at(Some(owner.path().as_str()), "{}");

    owner.freeze().unwrap();
    let frozen = Cgroup::create(&other, claimant("other"), &hierarchies).unwrap_err();
    owner.thaw().unwrap();
    let subject = Subject::new("true").enter(&owner);
    let occupied = Cgroup::create(&other, claimant("other"), &hierarchies).unwrap_err();

    assert!(matches!(frozen, CgroupError::Frozen { .. }), "{frozen}");
    assert!(matches!(occupied, CgroupError::Occupied { .. }), "{occupied}");
    subject.finish();
    owner.remove(&hierarchies).unwrap();
}

#[test]
fn a_group_that_a_v1_freezer_holds_is_refused() {
    let hierarchies = Hierarchies::open().unwrap();
    let freezer = hierarchies.v1_mount("freezer").map(Path::to_owned);
    let Some(freezer) = freezer else {
        println!("skipped, because no v1 hierarchy has the freezer");
        return;
    };
    let name = unique("v1-frozen");
    let directory = freezer.join(&name).join("leaf");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("freezer.state"), "FROZEN").unwrap();

    let path = format!("/{name}/leaf");
    let frozen = Cgroup::create(&plan_at(Some(&path), "{}"), claimant("other"), &hierarchies);

    std::fs::write(directory.join("freezer.state"), "THAWED").unwrap();
    std::fs::remove_dir(&directory).unwrap();
    std::fs::remove_dir(freezer.join(&name)).unwrap();
    assert!(matches!(frozen, Err(CgroupError::Frozen { .. })), "{frozen:?}");
}

#[test]
fn a_failed_creation_leaves_nothing() {
    let hierarchies = Hierarchies::open().unwrap();
    let top = unique("undo");
    let bad = r#"{"unified": {"cgroup.max.depth": "many"}}"#;
    let plan = plan_at(Some(&format!("/{top}/leaf")), bad);

    let error = Cgroup::create(&plan, claimant("x"), &hierarchies).unwrap_err();

    assert_eq!(
        error.to_string(),
        format!(
            "/linux/resources/unified/cgroup.max.depth: write `many` to cgroup.max.depth of \
             control group /{top}/leaf"
        )
    );
    assert!(!root_of(&hierarchies).join(&top).exists());
}

#[test]
fn a_half_made_group_is_known_by_its_mark() {
    let hierarchies = Hierarchies::open().unwrap();
    let name = unique("half");
    let plan = plan_at(Some(&name), "{}");
    // Dropped, as a killed runtime would: nothing was saved.
    let group = Cgroup::create(&plan, claimant("mine"), &hierarchies).unwrap();
    let mut subject = Subject::new("true").enter(&group);
    drop(group);

    remove_planned(&plan.path, &claimant("another"), &hierarchies).unwrap();
    assert!(subject.0.try_wait().unwrap().is_none(), "another's process was killed");
    remove_planned(&plan.path, &claimant("mine"), &hierarchies).unwrap();

    subject.0.wait().unwrap();
    assert!(!root_of(&hierarchies).join(&name).exists());
    remove_planned(&plan.path, &claimant("mine"), &hierarchies).unwrap();
}

#[test]
fn an_unmarked_group_in_use_is_left_alone() {
    let hierarchies = Hierarchies::open().unwrap();
    let name = unique("foreign");
    let directory = root_of(&hierarchies).join(&name);
    std::fs::create_dir(&directory).unwrap();
    let mut subject = Subject::new("true");
    std::fs::write(directory.join("cgroup.procs"), subject.pid().to_string()).unwrap();

    remove_planned(&plan_at(Some(&name), "{}").path, &claimant("mine"), &hierarchies).unwrap();

    assert!(directory.is_dir() && subject.0.try_wait().unwrap().is_none());
    subject.finish();
    std::fs::remove_dir(&directory).unwrap();
}

#[test]
fn a_creation_after_a_killed_one_takes_over() {
    let hierarchies = Hierarchies::open().unwrap();
    let name = unique("again");
    let plan = plan_at(Some(&name), "{}");
    drop(Cgroup::create(&plan, claimant("mine"), &hierarchies).unwrap());

    let group = Cgroup::create(&plan, claimant("mine"), &hierarchies).unwrap();

    group.remove(&hierarchies).unwrap();
    assert!(!root_of(&hierarchies).join(&name).exists());
}

#[test]
fn groups_below_are_removed_deeper_than_there_are_descriptors() {
    let hierarchies = Hierarchies::open().unwrap();
    let id = unique("deep");
    let group = Cgroup::create(&plan("{}"), claimant(&id), &hierarchies).unwrap();
    let mut here = group.leaf.open("").unwrap();
    for _ in 0..1100 {
        assert!(here.make("d").unwrap());
        here = here.open("d").unwrap();
    }
    drop(here);

    group.remove(&hierarchies).unwrap();

    assert!(!root_of(&hierarchies).join(format!("casemate-{id}.scope")).exists());
}

#[test]
fn a_mark_tells_containers_of_one_name_apart_by_where_their_state_is() {
    let hierarchies = Hierarchies::open().unwrap();
    let (name, id) = (unique("root"), unique("same"));
    let plan = plan_at(Some(&name), "{}");
    drop(Cgroup::create(&plan, claimant(&id), &hierarchies).unwrap());
    let elsewhere = Claimant { id: id.clone(), root: "/run/elsewhere".to_owned() };

    let claimed = Cgroup::create(&plan, elsewhere.clone(), &hierarchies).unwrap_err();
    remove_marked(&elsewhere, &hierarchies).unwrap();

    assert!(matches!(claimed, CgroupError::Claimed { .. }), "{claimed}");
    assert!(root_of(&hierarchies).join(&name).exists());
    remove_marked(&claimant(&id), &hierarchies).unwrap();
    assert!(!root_of(&hierarchies).join(&name).exists());
}
