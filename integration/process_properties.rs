//! What the kernel is told about the process: each property seen by its effect.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime};

fn sleeper() -> Bundle {
    Bundle::new().args(["/bin/sleep", "60"])
}

/// What a program of the host says of a process.
fn asked(program: &str, args: &[&str], pid: i64) -> String {
    let output = Command::new(program).args(args).arg(pid.to_string()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Where control groups of version 1 ration real time, a container has none unless it is given
/// some, and what is left to give depends on everyone else.
fn without_rations(runtime: Runtime) -> Runtime {
    runtime.with_private_cgroup2()
}

fn scheduled(runtime: &Runtime, scheduler: &Value) -> String {
    let bundle =
        sleeper().set("/process/scheduler", scheduler.clone()).unset("/linux/resources/pids");
    asked("chrt", &["-p"], runtime.started(&bundle))
}

/// The refusal of a bundle with `value` at `at`, by the rule that must stand in it.
#[track_caller]
fn refused(at: &str, value: Value, rule: &str) -> String {
    let said = Runtime::new().create(&sleeper().set(at, value)).failed(3);
    assert!(said.contains(&format!("refused by rule `{rule}`")), "{said}");
    said
}

// rows: process.scheduler.policy, process.scheduler.priority, process.scheduler.flags
#[test]
fn a_real_time_policy_is_set_where_the_host_is_given_away() {
    let allowed = Runtime::under("level = \"hardened\"\nhost.realtime = true\n");
    for runtime in [Runtime::audit(), allowed].map(without_rations) {
        for (policy, priority) in [("SCHED_FIFO", 7), ("SCHED_RR", 8)] {
            let flags = json!(["SCHED_FLAG_RESET_ON_FORK"]);
            let said = scheduled(
                &runtime,
                &json!({"policy": policy, "priority": priority, "flags": flags}),
            );

            assert!(said.contains(&format!("{policy}|SCHED_RESET_ON_FORK")), "{said}");
            assert!(said.contains(&format!("priority: {priority}")), "{said}");
        }
    }
}

// rows: process.scheduler.runtime, process.scheduler.deadline, process.scheduler.period
#[test]
fn a_deadline_is_set() {
    let scheduler = json!({
        "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 20_000_000,
        "period": 30_000_000, "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"],
    });

    let said = scheduled(&without_rations(Runtime::audit()), &scheduler);

    assert!(said.contains("SCHED_DEADLINE"), "{said}");
    assert!(said.contains("1000000/20000000/30000000"), "{said}");
}

// rows: process.scheduler.policy, process.scheduler.nice
#[test]
fn a_modest_policy_is_set_at_every_level() {
    for runtime in [Runtime::new(), Runtime::audit()] {
        for policy in ["SCHED_OTHER", "SCHED_BATCH"] {
            let bundle = sleeper().set("/process/scheduler", json!({"policy": policy, "nice": 7}));
            let pid = runtime.started(&bundle);

            assert!(asked("chrt", &["-p"], pid).contains(policy));
            assert_eq!(nice_of(pid), "7", "{policy}");
        }
        assert!(scheduled(&runtime, &json!({"policy": "SCHED_IDLE"})).contains("SCHED_IDLE"));
    }
}

fn nice_of(pid: i64) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1.to_owned();
    after_name.split_whitespace().nth(16).unwrap().to_owned()
}

// rows: process.scheduler.nice, process.ioPriority.class
#[test]
fn a_container_does_not_run_before_everyone_else() {
    for policy in ["SCHED_FIFO", "SCHED_RR"] {
        let scheduler = json!({"policy": policy, "priority": 1});
        let said = refused("/process/scheduler", scheduler, "task.no-realtime");
        assert!(said.contains(&format!("/process/scheduler/policy is {policy}")), "{said}");
    }
    let deadline = json!({"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 2});
    refused("/process/scheduler", deadline, "task.no-realtime");
    let nice = json!({"policy": "SCHED_OTHER", "nice": -1});
    refused("/process/scheduler", nice, "task.no-realtime");
    let class = json!({"class": "IOPRIO_CLASS_RT", "priority": 0});
    refused("/process/ioPriority", class, "task.no-realtime");
    // With these it could do so by itself.
    for (limit, hard) in [("RLIMIT_RTPRIO", 1), ("RLIMIT_NICE", 21)] {
        let limits = json!([{"type": limit, "hard": hard, "soft": 0}]);
        let said = refused("/process/rlimits", limits, "task.no-realtime");
        assert!(said.contains(&format!("/process/rlimits/0/hard is {hard} of {limit}")), "{said}");
    }

    let bundle = sleeper().set("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": -5}));
    assert_eq!(nice_of(Runtime::audit().started(&bundle)), "-5");
}

// rows: process.scheduler
#[test]
fn a_policy_that_the_kernel_does_not_have_fails_the_launch_by_name() {
    let bundle = sleeper().set("/process/scheduler", json!({"policy": "SCHED_ISO"}));

    let said = Runtime::new().create(&bundle).failed(1);

    assert!(said.contains("`process.set-scheduler` failed: SCHED_ISO: EINVAL"), "{said}");
    assert!(said.contains("config.json /process/scheduler"), "{said}");
}

// rows: process.scheduler
#[test]
fn what_makes_no_sense_in_a_scheduler_is_named() {
    for (scheduler, words) in [
        (json!({"policy": "SCHED_FIFO"}), "/process/scheduler/priority: not from 1 to 99: 0"),
        (json!({"policy": "SCHED_OTHER", "nice": 20}), "nice: not from -20 to 19: 20"),
        (json!({"policy": "SCHED_IDLE", "nice": -21}), "nice: not from -20 to 19: -21"),
        (json!({"policy": "SCHED_OTHER", "priority": 1}), "has no meaning with SCHED_OTHER"),
        (json!({"policy": "SCHED_RR", "priority": 1, "period": 1}), "only with SCHED_DEADLINE"),
        (json!({"policy": "SCHED_NONE"}), "/process/scheduler/policy"),
        (json!({"policy": "SCHED_OTHER", "flags": ["X"]}), "/process/scheduler/flags/0"),
    ] {
        let said = Runtime::audit().create(&sleeper().set("/process/scheduler", scheduler));
        let said = said.failed(1);
        assert!(said.contains(words), "{said}");
    }
}

// rows: process.ioPriority.class, process.ioPriority.priority
#[test]
fn an_io_priority_is_set() {
    let set = |runtime: &Runtime, class: &str, priority: u8| {
        let priority = json!({"class": class, "priority": priority});
        let bundle = sleeper().set("/process/ioPriority", priority);
        asked("ionice", &["-p"], runtime.started(&bundle))
    };
    assert_eq!(set(&Runtime::new(), "IOPRIO_CLASS_BE", 6), "best-effort: prio 6\n");
    assert_eq!(set(&Runtime::new(), "IOPRIO_CLASS_IDLE", 0), "idle\n");
    assert_eq!(set(&Runtime::audit(), "IOPRIO_CLASS_RT", 1), "realtime: prio 1\n");
    let bundle =
        sleeper().set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8}));
    let said = Runtime::new().create(&bundle).failed(1);
    assert!(said.contains("/process/ioPriority/priority: not from 0 to 7: 8"), "{said}");
}

/// Whether the kernel knows `MPOL_WEIGHTED_INTERLEAVE`, as it does since 6.9; asked of the kernel.
fn weighs_nodes() -> bool {
    // The policy of a thread goes with it.
    std::thread::spawn(|| casemate::sys::task::set_memory_policy(6, &[1])).join().unwrap().is_ok()
}

// rows: linux.memoryPolicy.mode, linux.memoryPolicy.nodes, linux.memoryPolicy.flags
#[test]
fn memory_is_taken_by_the_policy_of_the_bundle() {
    for (mode, nodes, flags, shown) in [
        ("MPOL_BIND", "0", json!([]), "bind:0"),
        ("MPOL_BIND", "0", json!(["MPOL_F_STATIC_NODES"]), "bind=static:0"),
        ("MPOL_INTERLEAVE", "0", json!(["MPOL_F_RELATIVE_NODES"]), "interleave=relative:0"),
        ("MPOL_WEIGHTED_INTERLEAVE", "0", json!([]), "weighted interleave:0"),
        ("MPOL_PREFERRED", "0", json!([]), "prefer:0"),
        ("MPOL_PREFERRED_MANY", "0", json!([]), "prefer (many):0"),
        ("MPOL_BIND", "0", json!(["MPOL_F_NUMA_BALANCING"]), "bind"),
        ("MPOL_LOCAL", "", json!([]), "local"),
        ("MPOL_DEFAULT", "", json!([]), "default"),
    ] {
        if mode == "MPOL_WEIGHTED_INTERLEAVE" && !weighs_nodes() {
            let policy = json!({"mode": mode, "nodes": nodes});
            let said = Runtime::new().run(&Bundle::new().set("/linux/memoryPolicy", policy));
            let said = said.failed(1);
            assert!(said.contains("MPOL_WEIGHTED_INTERLEAVE: EINVAL"), "{said}");
            assert!(said.contains("MPOL_WEIGHTED_INTERLEAVE 6.9"), "{said}");
            println!("{mode} is refused, because the kernel is older than it");
            continue;
        }
        let policy = json!({"mode": mode, "nodes": nodes, "flags": flags});
        let bundle = Bundle::new()
            .args(["/bin/cat", "/proc/self/numa_maps"])
            .set("/linux/memoryPolicy", policy);

        for runtime in [Runtime::new(), Runtime::audit()] {
            let said = runtime.run(&bundle).ok();

            let is_it = said.lines().any(|line| line.contains(&format!(" {shown}")));
            assert!(is_it, "{mode} {flags}: {said}");
        }
    }
}

// rows: linux.memoryPolicy.mode, linux.memoryPolicy.nodes
#[test]
fn nodes_that_there_are_not_fail_the_start_and_nonsense_the_create() {
    let with = |policy: Value| Bundle::new().set("/linux/memoryPolicy", policy);
    let runtime = Runtime::new();
    let said = runtime.run(&with(json!({"mode": "MPOL_BIND", "nodes": "900"}))).failed(1);
    assert!(said.contains("`process.set-memory-policy` failed: MPOL_BIND: EINVAL"), "{said}");
    let said = runtime.run(&with(json!({"mode": "MPOL_BIND", "nodes": "3-1"}))).failed(1);
    let why = "/linux/memoryPolicy/nodes: invalid memory policy node: `3-1` ends before it begins";
    assert!(said.contains(why), "{said}");
    let said = runtime.run(&with(json!({"mode": "MPOL_NEAR"}))).failed(1);
    assert!(said.contains("/linux/memoryPolicy/mode"), "{said}");
}

// rows: linux.personality.domain, linux.personality.flags
#[test]
fn the_execution_domain_is_set() {
    let machine = |runtime: &Runtime, domain: &str| {
        let bundle = Bundle::new()
            .args(["/bin/uname", "-m"])
            .set("/linux/personality", json!({"domain": domain}));
        runtime.run(&bundle).ok()
    };
    for runtime in [Runtime::new(), Runtime::audit()] {
        let native = machine(&runtime, "LINUX");
        assert_eq!(native.trim(), std::env::consts::ARCH);
        let other = if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" };
        assert_eq!(machine(&runtime, "LINUX32").trim(), other);
    }
    let flags = json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]});
    let said = Runtime::audit().run(&Bundle::new().set("/linux/personality", flags)).failed(1);
    assert!(said.contains("/linux/personality/flags/0: `ADDR_NO_RANDOMIZE`"), "{said}");
}

// rows: process.user.umask
#[test]
fn the_mask_of_permissions_is_the_bundles_or_the_callers() {
    for runtime in [Runtime::new(), Runtime::audit()] {
        let bundle = Bundle::new().shell("umask");
        let run = |bundle: &Bundle| {
            let inner = runtime.command(["run", "--bundle", bundle.dir().to_str().unwrap()]);
            let mut command = Command::new("sh");
            command.args(["-c", "umask 0027; exec \"$@\"", "sh"]).arg(inner.get_program());
            command.args(inner.get_args()).arg(bundle.id());
            runtime.finish(command).ok()
        };
        assert_eq!(run(&bundle), "0027\n");
        let bundle = bundle.set("/process/user/umask", json!(0o77));
        assert_eq!(run(&bundle), "0077\n");
    }
}

// rows: process.capabilities
#[test]
fn a_capability_that_nobody_knows_is_warned_of_and_left_out() {
    let warning = "ignoring unknown or unavailable capabilities: [CAP_BOGUS CAP_FUTURE]";
    let sets = json!({"bounding": ["CAP_KILL", "CAP_BOGUS"], "permitted": ["CAP_FUTURE"]});
    for runtime in [Runtime::new(), Runtime::audit()] {
        let bundle = Bundle::new().set("/process/capabilities", sets.clone()).args([
            "/bin/grep",
            "CapBnd",
            "/proc/self/status",
        ]);

        let ran = runtime.run(&bundle);
        assert_eq!((ran.status, ran.stdout.trim()), (Some(0), "CapBnd:\t0000000000000020"));
        assert!(ran.stderr.contains(warning), "{ran:?}");

        let created = runtime.create(&bundle);
        assert_eq!(created.status, Some(0), "{created:?}");
        assert!(created.stderr.contains(warning), "{created:?}");
    }
    // Where something else is wrong, too.
    let sets = json!({
        "bounding": ["CAP_BOGUS", "CAP_FUTURE"], "permitted": ["CAP_KILL"],
        "inheritable": ["CAP_KILL"],
    });
    let bundle = sleeper().set("/process/capabilities", sets);
    let said = Runtime::audit().create(&bundle).failed(1);
    assert!(said.contains(warning), "{said}");
    assert!(said.contains("has what the bounding set lacks"), "{said}");
}

// rows: process.capabilities
#[test]
fn a_capability_that_cannot_be_given_is_warned_of() {
    // Where this process has the one that is missing here, it is taken away.
    let runtime = Runtime::audit();
    let run = |bundle: &Bundle| {
        let mut command = Command::new("setpriv");
        command.arg("--bounding-set=-sys_resource");
        let inner = runtime.command(["run", "--bundle", bundle.dir().to_str().unwrap()]);
        command.arg(inner.get_program()).args(inner.get_args()).arg(bundle.id());
        runtime.finish(command)
    };
    let sets = json!({
        "bounding": ["CAP_KILL", "CAP_BOGUS"], "permitted": ["CAP_KILL", "CAP_SYS_RESOURCE"],
        "effective": ["CAP_KILL", "CAP_SYS_RESOURCE", "CAP_CHOWN"],
    });
    let bundle = Bundle::new().set("/process/capabilities", sets).args([
        "/bin/grep",
        "CapEff",
        "/proc/self/status",
    ]);

    let ran = run(&bundle);

    assert_eq!(ran.stdout.trim(), "CapEff:\t0000000000000020", "{ran:?}");
    let lost = "ignoring unknown or unavailable capabilities: [CAP_BOGUS CAP_SYS_RESOURCE]";
    assert!(ran.stderr.contains(lost), "{}", ran.stderr);
    let idle = "can't make capabilities effective that are not permitted: CAP_CHOWN";
    assert!(ran.stderr.contains(idle), "{}", ran.stderr);
}

// rows: process.capabilities
#[test]
fn what_cannot_be_ambient_is_warned_of_and_what_need_not_be_permitted_is_inheritable() {
    let bundle = Bundle::new()
        .set(
            "/process/capabilities",
            json!({
                "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SYSLOG"], "permitted": ["CAP_KILL"],
                "inheritable": ["CAP_KILL", "CAP_SYSLOG"], "ambient": ["CAP_KILL", "CAP_CHOWN"],
            }),
        )
        .args(["/bin/grep", "Cap", "/proc/self/status"]);

    let ran = Runtime::audit().run(&bundle);

    let warning = "can't raise ambient capability CAP_CHOWN: it is not permitted and inheritable";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert!(!ran.stderr.contains("CAP_KILL"), "{}", ran.stderr);
    let said = ran.ok();
    assert!(said.contains("CapInh:\t0000000400000020"), "{said}");
    assert!(said.contains("CapAmb:\t0000000000000020"), "{said}");
}
