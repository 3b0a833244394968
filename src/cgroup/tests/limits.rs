//! Limits, by what they do to a process.

use std::time::{Duration, Instant};

use super::*;

/// Whether a controller is on v1 here; says so if a test cannot run.
fn has_v1(hierarchies: &Hierarchies, controller: &str) -> bool {
    let has = hierarchies.facts().v1.contains_key(controller);
    if !has {
        eprintln!("skipped, because controller `{controller}` is on no v1 hierarchy here");
    }
    has
}

#[test]
fn devices_outside_the_rules_cannot_be_opened() {
    let hierarchies = Hierarchies::open().unwrap();
    let rules = r#"{"devices": [{"allow": false, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]}"#;
    let group = Cgroup::create(&plan(rules), claimant(unique("devices")), &hierarchies).unwrap();
    let scratch = tempfile::tempdir_in("/dev").unwrap();
    let script = "for probe in '</dev/null' '>/dev/null' '</dev/urandom' '</dev/kmsg' \
                  '>/dev/kmsg' '</dev/mem'; do (eval \"true $probe\") 2>/dev/null; echo $?; done; \
                  mknod node c 1 3 2>/dev/null; echo $?";
    let script = format!("cd {}; {script}", scratch.path().display());

    let output = Subject::new(&script).enter(&group).finish();

    let said = String::from_utf8(output.stdout).unwrap();
    let worked: Vec<bool> = said.lines().map(|status| status == "0").collect();
    assert_eq!(worked, [true, true, true, true, false, false, false], "{said}");
    group.remove(&hierarchies).unwrap();
}

#[test]
fn a_v2_controller_is_enabled_along_the_path_for_those_who_ask() {
    let hierarchies = Hierarchies::open().unwrap();
    if !hierarchies.facts().v2.contains("hugetlb")
        || !Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists()
    {
        eprintln!("skipped, because this kernel has no 2 MB pages to limit on v2");
        return;
    }
    let control = root_of(&hierarchies).join("cgroup.subtree_control");
    let was_on = std::fs::read_to_string(&control).unwrap().contains("hugetlb");
    let top = unique("hugetlb");
    let make = |name: &str, resources: &str| {
        let path = format!("/{top}/{name}");
        Cgroup::create(&plan_at(Some(&path), resources), claimant(name), &hierarchies).unwrap()
    };
    let plain = make("plain", "{}");
    let read = |file: &str| std::fs::read_to_string(root_of(&hierarchies).join(&top).join(file));
    assert_eq!(read("cgroup.subtree_control").unwrap(), "");

    let limited = make("limited", r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#);

    assert_eq!(read("limited/hugetlb.2MB.max").unwrap(), "4194304\n");
    assert_eq!(read("limited/hugetlb.2MB.rsvd.max").unwrap(), "4194304\n");
    limited.remove(&hierarchies).unwrap();
    plain.remove(&hierarchies).unwrap();
    let _ = std::fs::remove_dir(root_of(&hierarchies).join(&top));
    if !was_on {
        // Not while another container needs it.
        let _ = std::fs::write(&control, "-hugetlb");
    }
}

#[test]
fn a_pids_limit_stops_forks() {
    let hierarchies = Hierarchies::open().unwrap();
    if !has_v1(&hierarchies, "pids") {
        return;
    }
    let limits = plan(r#"{"pids": {"limit": 3}}"#);
    let group = Cgroup::create(&limits, claimant(unique("pids")), &hierarchies).unwrap();
    assert!(group.needs_v1());
    let script = "for i in 1 2 3 4 5 6; do sleep 0.2 & done; wait";

    let output = Subject::new(script).enter(&group).finish();

    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.to_lowercase().contains("fork"), "{said}");
    group.kill_all().unwrap();
    group.remove(&hierarchies).unwrap();
}

#[test]
fn a_pids_limit_of_zero_lets_nobody_in_beside_the_first() {
    let hierarchies = Hierarchies::open().unwrap();
    if !has_v1(&hierarchies, "pids") {
        return;
    }
    let limits = plan(r#"{"pids": {"limit": 0}}"#);
    let group = Cgroup::create(&limits, claimant(unique("zero")), &hierarchies).unwrap();

    let output = Subject::new("sleep 0; echo forked; exit 3").enter(&group).finish();

    assert_eq!(output.stdout, b"");
    group.remove(&hierarchies).unwrap();
}

#[test]
fn a_memory_limit_kills() {
    let hierarchies = Hierarchies::open().unwrap();
    if !has_v1(&hierarchies, "memory") {
        return;
    }
    let limits = plan(r#"{"memory": {"limit": 8388608, "swap": 8388608, "reservation": 4194304}}"#);
    let group = Cgroup::create(&limits, claimant(unique("memory")), &hierarchies).unwrap();
    let before = group.stats(&hierarchies).unwrap();

    let output =
        Subject::new("exec dd if=/dev/zero of=/dev/null bs=64M count=1").enter(&group).finish();

    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9));
    let after = group.stats(&hierarchies).unwrap();
    assert_eq!((before.memory.oom_kills, before.memory.usage.limit), (Some(0), 8_388_608));
    assert!(after.memory.oom_kills > before.memory.oom_kills);
    group.remove(&hierarchies).unwrap();
}

#[test]
fn limits_are_changed_in_any_order_and_move_processes_where_needed() {
    let hierarchies = Hierarchies::open().unwrap();
    if !has_v1(&hierarchies, "memory") || !has_v1(&hierarchies, "cpu") {
        return;
    }
    let small = plan(r#"{"memory": {"limit": 8388608, "swap": 8388608}}"#);
    let large = plan(
        r#"{"memory": {"limit": 33554432, "swap": 67108864},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000}}"#,
    );
    let mut group = Cgroup::create(&small, claimant(unique("update")), &hierarchies).unwrap();
    let subject = Subject::new("true").enter(&group);

    group.update(&large, &hierarchies).unwrap();
    let v1 = |controller: &str, file: &str| {
        let mount = &hierarchies.facts().v1[controller];
        std::fs::read_to_string(mount.join(group.path().as_str()).join(file)).unwrap()
    };
    assert_eq!(v1("memory", "memory.memsw.limit_in_bytes"), "67108864\n");
    assert_eq!(v1("cpu", "cpu.cfs_quota_us"), "50000\n");
    assert_eq!(v1("cpu", "cgroup.procs"), format!("{}\n", subject.pid()));
    let mut group = group;
    group.update(&small, &hierarchies).unwrap();

    subject.finish();
    group.remove(&hierarchies).unwrap();
}

#[test]
fn a_v1_cpuset_takes_processes() {
    let hierarchies = Hierarchies::open().unwrap();
    if !has_v1(&hierarchies, "cpuset") {
        return;
    }
    let path = format!("/{}/leaf", unique("cpuset"));
    let limits = plan_at(Some(&path), r#"{"cpu": {"cpus": "0"}}"#);
    let group = Cgroup::create(&limits, claimant("x"), &hierarchies).unwrap();

    let output = Subject::new("grep Cpus_allowed_list /proc/self/status").enter(&group).finish();

    assert_eq!(output.stdout, b"Cpus_allowed_list:\t0\n");
    group.remove(&hierarchies).unwrap();
    let top = path.trim_start_matches('/').split('/').next().unwrap().to_owned();
    assert!(!hierarchies.facts().v1["cpuset"].join(top).exists());
}

#[test]
fn a_limit_that_nothing_can_hold_fails_and_is_undone() {
    let hierarchies = Hierarchies::open().unwrap();
    let id = unique("unheld");
    let limits = plan(r#"{"rdma": {"mlx5_1": {"hcaHandles": 3}}}"#);

    let error = Cgroup::create(&limits, claimant(&id), &hierarchies).unwrap_err();

    // Where there is the controller, there is still no such device.
    assert!(matches!(error, CgroupError::Unenforceable { .. } | CgroupError::Limit { .. }));
    assert!(!root_of(&hierarchies).join(format!("casemate-{id}.scope")).exists());
}

#[test]
fn a_memory_limit_below_use_is_refused_if_asked() {
    let hierarchies = Hierarchies::open().unwrap();
    if !has_v1(&hierarchies, "memory") {
        return;
    }
    let roomy = plan(r#"{"memory": {"limit": 33554432}}"#);
    let tight = plan(r#"{"memory": {"limit": 4096, "checkBeforeUpdate": true}}"#);
    let mut group = Cgroup::create(&roomy, claimant(unique("check")), &hierarchies).unwrap();
    let mut eater = Subject::new("cat /dev/null; read stay").enter(&group);
    std::io::Write::write_all(eater.0.stdin.as_mut().unwrap(), b"go\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while group.stats(&hierarchies).unwrap().memory.usage.usage <= 4096 {
        assert!(Instant::now() < deadline, "nothing was charged");
        std::thread::sleep(Duration::from_millis(1));
    }

    let error = group.update(&tight, &hierarchies).unwrap_err();

    assert!(
        error
            .to_string()
            .starts_with("/linux/resources/memory/limit: rejecting memory limit 4096 <="),
        "{error}"
    );
    group.kill_all().unwrap();
    eater.0.wait().unwrap();
    group.remove(&hierarchies).unwrap();
}

#[test]
fn with_v1_a_process_is_in_every_hierarchy_and_in_a_cpuset_only_if_asked() {
    let hierarchies = Hierarchies::open().unwrap();
    if !hierarchies.has_v1() {
        eprintln!("skipped, because this host has no v1 hierarchies");
        return;
    }
    let id = unique("every");
    let mut group = Cgroup::create(&plan("{}"), claimant(&id), &hierarchies).unwrap();
    let subject = Subject::new("true").enter(&group);
    let elsewhere = || {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", subject.pid())).unwrap();
        let lines = groups.lines().filter(|line| !line.ends_with(&format!("/casemate-{id}.scope")));
        lines.map(|line| line.split(':').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let asks = if has_v1(&hierarchies, "cpuset") { vec!["cpuset".to_owned()] } else { Vec::new() };
    assert_eq!(elsewhere(), asks);

    group.update(&plan(r#"{"cpu": {"cpus": "0"}}"#), &hierarchies).unwrap();

    assert_eq!(elsewhere(), [""; 0]);
    subject.finish();
    group.remove(&hierarchies).unwrap();
}

#[test]
fn a_delegated_group_belongs_to_its_user_but_for_the_limits() {
    let hierarchies = Hierarchies::open().unwrap();
    let group = Cgroup::create(&plan("{}"), claimant(unique("own")), &hierarchies).unwrap();

    group.delegate(231_072).unwrap();

    let directory = &group.paths(&hierarchies)[0];
    let owner = |file: &str| {
        let metadata = std::fs::metadata(directory.join(file)).unwrap();
        (
            std::os::unix::fs::MetadataExt::uid(&metadata),
            std::os::unix::fs::MetadataExt::gid(&metadata),
        )
    };
    assert_eq!(owner(""), (231_072, 0));
    assert_eq!(owner("cgroup.procs"), (231_072, 0));
    assert_eq!(owner("cgroup.max.depth"), (0, 0));
    group.remove(&hierarchies).unwrap();
}
