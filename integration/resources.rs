//! Limits, by what they do to what runs, and not by what a file says: the same tests on hosts with
//! cgroup v1, v2 or both. A test whose controller the host lacks says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Bundle, Runtime, group_file, group_value, has_controller, patience, v2_group,
};

const MIB: u64 = 1 << 20;

fn started(runtime: &Runtime, bundle: &Bundle) {
    runtime.create(bundle).ok();
    runtime.start(bundle).ok();
}

fn audit() -> (tempfile::TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.toml");
    fs::write(&file, "level = \"audit\"\n").unwrap();
    (dir, Runtime::new().with_global("--policy").with_global(&file))
}

/// A bundle with a directory of the host's, writable inside at `/volume`.
fn with_volume() -> (Bundle, PathBuf) {
    let bundle = Bundle::new();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = bundle.mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"]);
    (bundle, volume)
}

fn stats(runtime: &Runtime, bundle: &Bundle) -> Value {
    let said = runtime.call(["events", "--stats", bundle.id()]).ok();
    serde_json::from_str::<Value>(&said).unwrap()["data"].clone()
}

/// Processor time that the container has used.
fn cpu_time(runtime: &Runtime, bundle: &Bundle) -> Duration {
    Duration::from_nanos(stats(runtime, bundle)["cpu"]["usage"]["total"].as_u64().unwrap())
}

const BUSY: &str = "while :; do :; done";

#[test]
fn what_is_written_to_scratch_memory_counts_too() {
    if !has_controller("memory") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/root/readonly", json!(false))
        .set("/linux/resources/memory", json!({"limit": 32 * MIB, "swap": 32 * MIB}))
        .shell("dd if=/dev/zero of=/tmp/x bs=1M count=64 2>/dev/null; echo $?; ls -s /tmp/x");

    let ran = runtime.run(&bundle);

    // The writer is killed, or gets no more; in no case is there as much as it wanted.
    assert!(!ran.stdout.starts_with("0\n"), "{ran:?}");
}

#[test]
fn a_limit_of_no_processes_lets_init_run_and_fork_nothing() {
    if !has_controller("pids") {
        return;
    }
    let runtime = Runtime::new();
    for limit in [0, 1] {
        let bundle = Bundle::new()
            .set("/linux/resources/pids/limit", json!(limit))
            .shell("echo runs; sleep 0; echo forked");

        let ran = runtime.run(&bundle);

        assert_eq!(ran.stdout, "runs\n", "{ran:?}");
        assert!(ran.stderr.to_lowercase().contains("fork"), "{ran:?}");
    }
}

// rows: linux.resources.cpu
#[test]
fn who_has_more_shares_gets_more_of_one_processor() {
    if !has_controller("cpu") || !has_controller("cpuset") {
        return;
    }
    let runtime = Runtime::new();
    let busy = |shares: u64| {
        let bundle = Bundle::new()
            .set("/linux/resources/cpu", json!({"shares": shares, "cpus": "0"}))
            .shell(BUSY);
        started(&runtime, &bundle);
        bundle
    };
    let (many, few) = (busy(4096), busy(64));
    let before = [&many, &few].map(|bundle| cpu_time(&runtime, bundle));

    std::thread::sleep(Duration::from_secs(2));

    let after = [&many, &few].map(|bundle| cpu_time(&runtime, bundle));
    let (many, few) = (after[0] - before[0], after[1] - before[1]);
    assert!(many > few * 3, "{many:?} against {few:?}");
}

// rows: linux.resources.cpu
#[test]
fn a_container_runs_on_the_processors_it_was_given() {
    if !has_controller("cpuset") {
        return;
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"}))
        .shell("nproc; grep Cpus_allowed_list /proc/self/status");

    assert_eq!(runtime.run(&bundle).ok(), "1\nCpus_allowed_list:\t0\n");
}

// rows: linux.resources.unified
#[test]
fn files_of_cgroup_v2_are_set_by_name_or_refused_by_name() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .unset("/linux/resources/pids")
        .set("/linux/resources/unified", json!({"pids.max": "3"}))
        .shell("for i in 1 2 3 4 5 6; do sleep 1 & done; wait");
    let ran = runtime.run(&bundle);
    let is_in_v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .is_ok_and(|list| list.split_whitespace().any(|name| name == "pids"));
    if is_in_v2 {
        assert!(ran.stderr.to_lowercase().contains("fork"), "{ran:?}");
    } else {
        let said = ran.failed(1);
        assert!(
            said.contains("/linux/resources/unified/pids.max: this host cannot enforce"),
            "{said}"
        );
    }
    // No host has these.
    for (key, words) in [
        ("nosuch.max", "no controller `nosuch`"),
        ("memory/max", "is not the name of a file"),
        ("cgroup.freeze", "the runtime itself governs this file"),
    ] {
        let bundle = Bundle::new().set("/linux/resources/unified", json!({key: "1"}));
        let said = runtime.run(&bundle).failed(1);
        assert!(said.contains(words), "{key}: {said}");
    }
}

// rows: linux.resources.hugepageLimits
#[test]
fn huge_pages_above_the_limit_are_not_to_be_had() {
    const PAGE: u64 = 2 << 20;
    if !has_controller("hugetlb")
        || !Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists()
    {
        return println!("skipped, because there are no huge pages of 2 MB");
    }
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": PAGE}]))
        .args(["/bin/sleep", "60"]);
    runtime.create(&bundle).ok();
    let files = [
        ("hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.max"),
        ("hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"),
    ];
    let values = files.map(|file| group_value(&runtime, &bundle, file).unwrap());
    assert!(values.contains(&PAGE.to_string()), "{values:?}");

    let free = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if free.unwrap().trim().parse::<u32>().unwrap() < 2 {
        return println!("the limit was read back alone: this host has no two huge pages free");
    }
    // A process of the host that steps into the group gets one page, and no second.
    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    let file = group_file(pid, "hugetlb", "cgroup.procs", "cgroup.procs").unwrap();
    let script = format!(
        "import mmap, os\n\
         open('{}', 'w').write(str(os.getpid()))\n\
         kept = []\n\
         for i in range(2):\n    \
             m = mmap.mmap(-1, {PAGE}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)\n    \
             m[0] = 1\n    kept.append(m)\n    print('page', flush=True)",
        file.display()
    );
    let out = std::process::Command::new("python3").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "page\n", "{out:?}");
    assert!(!out.status.success(), "{out:?}");
}

// rows: linux.resources.network, linux.resources.rdma
#[test]
fn a_limit_that_no_hierarchy_can_hold_is_refused_before_anything_exists() {
    let runtime = Runtime::new();
    for (property, value, controller) in [
        ("rdma", json!({"mlx5_1": {"hcaHandles": 3}}), "rdma"),
        ("network", json!({"classID": 1_048_577}), "net_cls"),
        ("network", json!({"priorities": [{"name": "lo", "priority": 5}]}), "net_prio"),
    ] {
        if Path::new("/sys/fs/cgroup").join(controller).exists()
            || fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
                .is_ok_and(|list| list.contains(controller))
        {
            println!("`{controller}` is skipped, because this host has it");
            continue;
        }
        let bundle = Bundle::new().set(&format!("/linux/resources/{property}"), value);
        let said = runtime.create(&bundle).failed(1);
        assert!(said.contains("this host cannot enforce it"), "{said}");
        assert!(said.contains(controller), "{said}");
    }
}

#[test]
fn without_the_oom_killer_a_process_waits_for_memory() {
    if !Path::new("/sys/fs/cgroup/memory/memory.oom_control").exists() {
        return println!("skipped, because the memory controller is not in cgroup v1");
    }
    let runtime = Runtime::new();
    let (bundle, volume) = with_volume();
    let limits = json!({"limit": 16 * MIB, "swap": 16 * MIB, "disableOOMKiller": true});
    // By the program itself: a call that the kernel could not get memory for would fail instead.
    let bundle = bundle.set("/linux/resources/memory", limits).shell(
        "awk 'BEGIN { s = \"x\"; while (length(s) < 24000000) s = s s }'; \
         echo $? > /volume/.s; mv /volume/.s /volume/status",
    );
    started(&runtime, &bundle);
    std::thread::sleep(Duration::from_millis(700));
    let ended = fs::read_to_string(volume.join("status"));
    assert_eq!(runtime.state(&bundle)["status"], "running", "the program: {ended:?}");
    assert!(ended.is_err(), "{ended:?}");

    runtime.call(["update", "--memory", "128M", "--memory-swap", "128M", bundle.id()]).ok();

    runtime.wait_status(&bundle, "stopped");
    assert_eq!(fs::read_to_string(volume.join("status")).unwrap(), "0\n");
}

/// A bundle with users of its own and a writable view of its control group.
fn dividing() -> Bundle {
    let map = json!([{"containerID": 0, "hostID": 300_000, "size": 65536}]);
    let bundle = Bundle::new()
        .unset("/linux/resources/pids")
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .shell(
            "cd /sys/fs/cgroup && mkdir mine && echo 0 > mine/cgroup.procs && \
             cat /proc/self/cgroup; echo 5 > cgroup.max.depth",
        );
    let mounts = bundle.config()["mounts"].as_array().unwrap();
    let at = mounts.iter().position(|mount| mount["type"] == "cgroup").unwrap();
    bundle.set(&format!("/mounts/{at}/options"), json!(["nosuid", "noexec", "nodev", "rw"]))
}

#[test]
fn a_container_with_users_of_its_own_may_divide_a_group_that_it_can_write() {
    let (_dir, runtime) = audit();
    let runtime = runtime.with_private_cgroup2();
    let bundle = dividing();

    let ran = runtime.run(&bundle);

    assert!(ran.stdout.lines().any(|line| line.ends_with("0::/mine")), "{ran:?}");
    // The group is its own; the limits are not.
    assert!(ran.stderr.contains("cgroup.max.depth"), "{ran:?}");
}

#[cfg(feature = "fault")]
#[test]
fn without_the_step_that_gives_it_away_the_group_is_the_hosts() {
    let (_dir, runtime) = audit();
    let runtime = runtime.with_private_cgroup2();
    let bundle = dividing();
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    command.env("CASEMATE_SKIP", "cgroup.delegate");

    let ran = runtime.finish(command);

    assert!(!ran.stdout.contains("/mine") && ran.stderr.contains("mkdir"), "{ran:?}");
}

#[test]
fn where_the_policy_holds_nobody_divides_a_group() {
    let runtime = Runtime::new().with_private_cgroup2();

    let ran = runtime.run(&dividing());

    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
}

#[test]
fn groups_that_a_container_made_are_limited_with_it_and_go_with_it() {
    let (_dir, runtime) = audit();
    let runtime = runtime.with_private_cgroup2();
    let bundle = dividing().shell(
        "cd /sys/fs/cgroup && mkdir -p a/b/c && echo 0 > a/b/c/cgroup.procs && exec sleep 600",
    );
    let before = crate::support::Snapshot::take(&runtime, &[bundle.id()]);
    started(&runtime, &bundle);
    let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while !v2_group(pid).ends_with("a/b/c") {
        assert!(Instant::now() < deadline, "{}", v2_group(pid).display());
    }

    let said = runtime.call(["ps", "--format", "json", bundle.id()]).ok();
    assert_eq!(said, format!("[{pid}]\n"));
    runtime.call(["pause", bundle.id()]).ok();
    assert_eq!(runtime.state(&bundle)["status"], "paused");
    runtime.call(["delete", "--force", bundle.id()]).ok();

    before.assert_unchanged();
}
