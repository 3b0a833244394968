//! Init and a process that entered, compared line by line as the host sees them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{exec, init, sleeper, started, stay};
use crate::support::{Bundle, PRIVILEGES, Runtime, groups_of, unique_tag};

/// Everything about a process that holds it back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Box {
    lines: Vec<(String, String)>,
}

/// Lines of the status that a program may change for itself, beside its privileges.
const SIGNALS: [&str; 2] = ["SigBlk", "SigIgn"];

const FILES: [&str; 9] = [
    "uid_map",
    "gid_map",
    "setgroups",
    "projid_map",
    "limits",
    "oom_score_adj",
    "personality",
    "coredump_filter",
    "timerslack_ns",
];

const NAMESPACES: [&str; 8] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];

impl Box {
    pub(super) fn of(pid: i32) -> Self {
        let dir = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(dir.join("status")).unwrap();
        let mut lines = Vec::new();
        for name in PRIVILEGES.into_iter().chain(SIGNALS) {
            let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
            lines.push((name.to_owned(), line.unwrap_or_default().trim().to_owned()));
        }
        for name in FILES {
            lines.push((name.to_owned(), fs::read_to_string(dir.join(name)).unwrap_or_default()));
        }
        lines.push(("cgroup".to_owned(), groups_of(pid).join("\n")));
        for name in NAMESPACES.map(|kind| format!("ns/{kind}")).iter().chain(&["root".to_owned()]) {
            let link = fs::read_link(dir.join(name)).unwrap();
            lines.push((name.clone(), link.display().to_string()));
        }
        lines.push(("filter".to_owned(), filters(pid).unwrap_or_default()));
        let stat = fs::read_to_string(dir.join("stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // proc_pid_stat(5), counted from the third field.
        for (name, field) in [("nice", 19), ("scheduling policy", 41)] {
            lines.push((name.to_owned(), fields[field - 3].to_owned()));
        }
        let shown = Command::new("ionice").args(["-p", &pid.to_string()]).output().unwrap();
        lines.push(("ionice".to_owned(), String::from_utf8(shown.stdout).unwrap()));
        Self { lines }
    }

    /// The names of the lines that differ.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.lines.iter().zip(&other.lines);
        pairs.filter(|(one, two)| one != two).map(|((name, _), _)| name.clone()).collect()
    }

    pub(super) fn line(&self, name: &str) -> &str {
        &self.lines.iter().find(|(known, _)| known == name).unwrap().1
    }
}

/// The seccomp filters of a process, instruction by instruction.
fn filters(pid: i32) -> Option<String> {
    let dir = std::env::temp_dir().join(unique_tag());
    fs::create_dir(&dir).unwrap();
    let program = dir.join("filters");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/exec/filters.c");
    let built = Command::new("cc").arg(source).arg("-o").arg(&program).status();
    let is_built = built.is_ok_and(|status| status.success());
    let shown = is_built.then(|| Command::new(&program).arg(pid.to_string()).output().unwrap());
    fs::remove_dir_all(&dir).unwrap();
    match shown {
        None => println!("the filter is not compared, because there is no C compiler"),
        Some(shown) if shown.status.code() == Some(77) => {
            println!("the filter is not compared, because the kernel does not show it");
        }
        Some(shown) => {
            assert!(shown.status.success(), "{shown:?}");
            return Some(String::from_utf8(shown.stdout).unwrap());
        }
    }
    None
}

/// A bundle that asks for as much as engines do, and some more.
fn rich() -> Bundle {
    let profile = include_str!("../golden/seccomp/podman-4.3.json");
    Bundle::new()
        .set("/linux/seccomp", serde_json::from_str(profile).unwrap())
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]))
        .set("/process/oomScoreAdj", json!(300))
        .set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 5}))
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 7}))
        .set("/linux/personality", json!({"domain": "LINUX32"}))
        .set("/linux/namespaces/-", json!({"type": "time"}))
        .set("/linux/timeOffsets", json!({"boottime": {"secs": 1_000_000, "nanosecs": 0}}))
        .set("/process/user", json!({"uid": 0, "gid": 0, "umask": 23, "additionalGids": [7, 9]}))
}

// rows: exec, process.oomScoreAdj, process.scheduler, process.ioPriority, linux.personality
#[test]
fn what_enters_differs_from_init_in_nothing() {
    let runtime = Runtime::new();
    for bundle in [Bundle::new(), rich()] {
        let bundle = started(&runtime, bundle);

        let entered = stay(&runtime, &bundle, &[], &["/bin/sleep", "1000"]);

        let (first, second) = (Box::of(init(&runtime, &bundle)), Box::of(entered));
        assert_eq!(first.differences(&second), [""; 0], "{first:#?}\n{second:#?}");
        assert_eq!(first.line("Seccomp_filters"), "1");
        assert_eq!(first.line("NoNewPrivs"), "1");
        assert!(first.line("filter").len() > 100 || first.line("filter").is_empty());
    }
    let bundle = started(&runtime, rich());
    let said = exec(&runtime, &bundle, &[], &["sh", "-c", "uname -m; cat /proc/uptime"]).ok();
    assert!(said.starts_with("i686\n1"), "{said}");
}

#[test]
fn a_created_container_can_be_entered_too() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "1000"]);
    runtime.create(&bundle).ok();
    let entered = stay(&runtime, &bundle, &[], &["/bin/sleep", "1000"]);
    runtime.start(&bundle).ok();

    let (first, second) = (Box::of(init(&runtime, &bundle)), Box::of(entered));

    assert_eq!(first.differences(&second), [""; 0], "{first:#?}\n{second:#?}");
}

// rows: exec.--user
#[test]
fn another_user_has_the_same_box() {
    let runtime = Runtime::new();
    let bundle = started(&runtime, rich());

    let entered = stay(&runtime, &bundle, &["--user", "1000:1000"], &["/bin/sleep", "1000"]);

    let (first, second) = (Box::of(init(&runtime, &bundle)), Box::of(entered));
    // A user who is not root has no capabilities in force; what could ever be is the same.
    let differences = first.differences(&second);
    assert_eq!(differences, ["Uid", "Gid", "CapPrm", "CapEff"], "{second:#?}");
    assert_eq!(second.line("CapEff"), "0000000000000000");
}

// rows: exec.--process, exec.--cap, process.capabilities, process.noNewPrivileges
// rows: exec.--cap
#[test]
fn no_document_and_no_option_lifts_the_ceiling() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let all: Vec<_> = casemate::spec::features::CAPABILITIES.to_vec();
    let document = json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/sleep", "1000"],
        "noNewPrivileges": false,
        "capabilities": {"bounding": all, "effective": all, "permitted": all,
            "inheritable": all, "ambient": all},
    });
    let file = bundle.dir().join("process.json");
    fs::write(&file, document.to_string()).unwrap();
    let options = ["--process", file.to_str().unwrap(), "--cap", "CAP_SYS_ADMIN"];

    let entered = stay(&runtime, &bundle, &options, &[]);

    let (first, second) = (Box::of(init(&runtime, &bundle)), Box::of(entered));
    assert_eq!(first.differences(&second), [""; 0], "{first:#?}\n{second:#?}");
}

// rows: process.rlimits
#[test]
fn a_limit_above_inits_is_cut_and_one_of_another_kind_is_not() {
    let runtime = Runtime::new();
    let bundle = started(&runtime, rich());
    let document = json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/sleep", "1000"], "oomScoreAdj": 0,
        "rlimits": [
            {"type": "RLIMIT_NOFILE", "soft": 256, "hard": 512},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ],
    });
    let file = bundle.dir().join("process.json");
    fs::write(&file, document.to_string()).unwrap();

    let entered = Box::of(stay(&runtime, &bundle, &["-p", file.to_str().unwrap()], &[]));

    let limit = |name: &str| {
        let line = entered.line("limits").lines().find(|line| line.starts_with(name)).unwrap();
        line[26..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limit("Max open files"), ["128", "128"]);
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(entered.line("oom_score_adj").trim(), "300");
}

#[test]
fn an_audited_container_gives_what_is_asked_for() {
    let policy = std::env::temp_dir().join(unique_tag());
    fs::write(&policy, "level = \"audit\"\n").unwrap();
    let runtime = Runtime::new().with_global("--policy").with_global(&policy);
    let bundle = sleeper(&runtime);

    let said = exec(&runtime, &bundle, &["--cap", "CAP_SYS_ADMIN"], &["cat", "/proc/self/status"]);
    let same = stay(&runtime, &bundle, &[], &["/bin/sleep", "1000"]);

    let said = said.ok();
    let line = said.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    assert_ne!(u64::from_str_radix(line, 16).unwrap() & 1 << 21, 0, "{said}");
    let (first, second) = (Box::of(init(&runtime, &bundle)), Box::of(same));
    assert_eq!(first.differences(&second), [""; 0], "{first:#?}\n{second:#?}");
    fs::remove_file(policy).unwrap();
}
