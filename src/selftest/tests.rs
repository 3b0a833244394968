//! Each check can fail: fed with a bad outcome here, and with no box around it below.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::answers::{self, Answers};
use super::outside::{self, Host};
use super::report::{Detail, Paint};
use super::*;
use crate::sys::Errno;
use crate::sys::attempt::Signal;

fn denied(promise: Promise, id: &str, errno: Errno) -> Finding {
    let expect = Expect::Refused(&[Errno::EPERM, Errno::ENOSYS]);
    Finding::new(promise, id, "mount a tmpfs", expect, Outcome::Denied(errno))
}

/// What would come of each attempt in a perfect box.
fn good(expect: Expect) -> Outcome {
    match expect {
        Expect::Refused(errors) | Expect::NoAbi(errors) => Outcome::Denied(errors[0]),
        Expect::Held => Outcome::Held("fine".to_owned()),
        Expect::Works => Outcome::Succeeded("fine".to_owned()),
    }
}

fn bad(expect: Expect) -> Outcome {
    match expect {
        Expect::Works => Outcome::Denied(Errno::EPERM),
        Expect::Refused(_) | Expect::NoAbi(_) | Expect::Held => {
            Outcome::Succeeded("gained".to_owned())
        }
    }
}

fn absent() -> Vec<(Promise, String)> {
    let why = |promise| (promise, "asked of the caller".to_owned());
    [Promise::P6, Promise::P7, Promise::P8].map(why).to_vec()
}

/// A report in which every attempt went well except the one named.
fn report_with(broken: Option<&str>) -> Report {
    let findings = attempts::all()
        .map(|attempt| {
            let is_broken = broken == Some(attempt.id);
            attempt.finding(if is_broken { bad(attempt.expect) } else { good(attempt.expect) })
        })
        .collect();
    Report::new(findings, absent())
}

#[test]
fn ids_and_descriptions_are_there_and_unique() {
    let all: Vec<_> = attempts::all().collect();

    let ids: BTreeSet<_> = all.iter().map(|attempt| attempt.id).collect();

    assert_eq!(ids.len(), all.len());
    for attempt in &all {
        assert!(!attempt.what().is_empty() && !attempt.what().ends_with('.'), "{}", attempt.id);
    }
    for promise in [Promise::P1, Promise::P2, Promise::P3, Promise::P4, Promise::P5] {
        assert!(all.iter().any(|attempt| attempt.promise == promise), "{promise:?}");
    }
}

#[test]
fn all_is_well_when_every_attempt_is_denied() {
    let report = report_with(None);

    assert_eq!(report.overall(), Verdict::Holds);
    assert_eq!(report.exit_status(), 0);
    assert!(!report.table(Detail::Promises, Paint::Plain).contains("BROKEN"));
}

#[test]
fn each_attempt_can_turn_its_promise_red() {
    for attempt in attempts::all() {
        let report = report_with(Some(attempt.id));

        assert_eq!(report.verdict(attempt.promise), Verdict::Broken, "{}", attempt.id);
        assert_eq!(report.exit_status(), 1, "{}", attempt.id);
        let table = report.table(Detail::Promises, Paint::Colour);
        let red: Vec<_> = table.lines().filter(|line| line.contains("\x1b[31mBROKEN")).collect();
        assert!(red[0].starts_with(attempt.promise.name()), "{}: {table}", attempt.id);
        assert!(red[1].contains(attempt.id), "{table}");
    }
}

#[test]
fn an_error_from_behind_the_check_is_not_a_refusal() {
    let expect = Expect::Refused(&[Errno::EPERM]);

    assert_eq!(expect.judge(&Outcome::Denied(Errno::EINVAL)), Verdict::Broken);
    assert_eq!(expect.judge(&Outcome::Killed(Signal::SIGSYS)), Verdict::Holds);
    assert_eq!(expect.judge(&Outcome::Killed(Signal::SIGSEGV)), Verdict::Broken);
    assert_eq!(Expect::NoAbi(&[]).judge(&Outcome::Killed(Signal::SIGSEGV)), Verdict::Holds);
    assert_eq!(Expect::Held.judge(&Outcome::Denied(Errno::ENOENT)), Verdict::Broken);
    assert_eq!(Expect::Works.judge(&Outcome::Held(String::new())), Verdict::Broken);
}

#[test]
fn answers_survive_the_way_out() {
    let outcomes = [
        Outcome::Denied(Errno::EROFS),
        Outcome::Killed(Signal::SIGSYS),
        Outcome::Held("a \"b\"\n".to_owned()),
        Outcome::Succeeded(String::new()),
        Outcome::Inconclusive("no disk".to_owned()),
        Outcome::Lost("killed".to_owned()),
    ];

    for outcome in outcomes {
        assert_eq!(answers::from_bytes(&answers::to_bytes(&outcome)), Some(outcome));
    }
    assert_eq!(answers::from_bytes(b"{\"outcome\": \"denied\"}"), None);
}

#[test]
fn silence_and_strange_answers_are_failures() {
    let mut text = b"a banner\n".to_vec();
    answers::write(&mut text, "mount.tmpfs", &Outcome::Denied(Errno::EPERM)).unwrap();
    answers::write(&mut text, "mount.nowhere", &Outcome::Denied(Errno::EPERM)).unwrap();

    let answers = Answers::parse(&String::from_utf8(text).unwrap());

    assert!(!answers.complete);
    let findings = answers.findings();
    let broken = findings.iter().filter(|finding| finding.verdict() == Verdict::Broken).count();
    assert_eq!(broken, attempts::all().count(), "all but one, and the strange one");
    assert_eq!(Report::new(findings, absent()).exit_status(), 1);
}

#[test]
fn reading_stops_at_the_end_mark_and_at_the_deadline() {
    let (from, mut to) = std::io::pipe().unwrap();
    answers::write_end(&mut to).unwrap();

    let done = answers::read(from.as_fd(), Duration::from_secs(20)).unwrap();
    let silent = answers::read(from.as_fd(), Duration::from_millis(5)).unwrap();

    assert!(done.complete);
    assert_eq!(silent, Answers::default());
}

#[test]
fn a_report_reads_like_this() {
    let findings = vec![
        denied(Promise::P2, "mount.tmpfs", Errno::EPERM),
        denied(Promise::P2, "mount.fsopen", Errno::ENOSYS),
        denied(Promise::P2, "mount.late", Errno::EINVAL),
        Finding::seen(Promise::P1, "ids.users", "be the host's root", &[], "0 524288 65536"),
        Finding::new(
            Promise::P3,
            "root.create",
            "make a file",
            Expect::Refused(&[Errno::EROFS]),
            Outcome::Inconclusive("no root".to_owned()),
        ),
    ];
    let absent = vec![(Promise::P6, "there is no `exec`".to_owned())];

    let report = Report::new(findings, absent);

    let expected = fs::read_to_string("src/selftest/golden/report.txt").unwrap();
    assert_eq!(report.table(Detail::Promises, Paint::Plain), expected);
    assert!(report.table(Detail::Attempts, Paint::Plain).contains("holds mount.tmpfs: mount"));
}

#[test]
fn the_json_form_says_the_same() {
    let json = report_with(Some("mount.bind")).json();

    assert_eq!(json["verdict"], "BROKEN");
    assert_eq!(json["promises"][1]["promise"], "P2");
    assert_eq!(json["promises"][1]["verdict"], "BROKEN");
    let attempts = json["promises"][1]["attempts"].as_array().unwrap();
    let bind = attempts.iter().find(|attempt| attempt["id"] == "mount.bind").unwrap();
    assert_eq!(bind["happened"], "succeeded");
    assert_eq!(bind["detail"], "gained");
}

#[test]
fn a_writable_mount_must_be_nosuid_and_nodev() {
    let table = "1 0 8:0 / / ro,relatime - ext4 /dev/sda rw\n\
                 2 1 0:5 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw\n\
                 3 1 0:6 / /dev/pts rw,nosuid,noexec - devpts devpts rw\n\
                 4 1 0:7 / /data rw,nosuid shared:1 - ext4 /dev/sdb rw\n\
                 5 1 0:8 /null /dev/null rw - devtmpfs none rw\n";

    let (loose, all) = mounts::writable(table, |point| point == "/dev/null");

    assert_eq!(loose, ["/data lacks nodev"]);
    assert_eq!(all, ["/tmp", "/dev/pts", "/data"]);
}

#[test]
fn an_ordinary_process_of_the_host_is_no_container() {
    let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();

    let findings = outside::observe(i32::try_from(child.id()).unwrap(), 65_536);
    child.kill().unwrap();
    child.wait().unwrap();

    for finding in findings.iter().filter(|finding| finding.id != "host.mount-owner") {
        assert_eq!(finding.verdict(), Verdict::Broken, "{finding:?}");
    }
}

#[test]
fn a_process_is_in_the_same_box_as_itself_and_not_as_another() {
    let own = i32::try_from(std::process::id()).unwrap();
    let mut other = Command::new("unshare").args(["--uts", "sleep", "60"]).spawn().unwrap();
    let pid = i32::try_from(other.id()).unwrap();
    while fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| !exe.ends_with("sleep")) {
        std::thread::sleep(Duration::from_millis(2));
    }

    let (same, different) = (outside::same_box(own, own), outside::same_box(own, pid));
    other.kill().unwrap();
    other.wait().unwrap();

    assert_eq!(same[0].verdict(), Verdict::Holds, "{same:?}");
    assert_eq!(different[0].outcome, Outcome::Succeeded("ns/uts differs".to_owned()));
}

#[test]
fn digests_must_be_there_and_equal() {
    assert_eq!(outside::digests("ab", "ab").verdict(), Verdict::Holds);
    assert_eq!(outside::digests("ab", "cd").verdict(), Verdict::Broken);
    assert_eq!(outside::digests("", "").verdict(), Verdict::Broken);
}

#[test]
fn what_is_left_behind_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let before = Host::observe(&[dir.path()], "casemate-trace").unwrap();
    fs::write(dir.path().join("524288"), "owner casemate-trace\n").unwrap();
    fs::create_dir(dir.path().join("casemate-trace-1")).unwrap();

    let findings = before.compare(&Host::observe(&[dir.path()], "casemate-trace").unwrap());

    let traces = findings.iter().find(|finding| finding.id == "after.traces").unwrap();
    assert_eq!(traces.verdict(), Verdict::Broken);
    assert!(traces.outcome.detail().contains("524288"), "{traces:?}");
    assert!(traces.outcome.detail().contains("casemate-trace-1"), "{traces:?}");
}

/// Not a test of its own: the program that the test below runs as the first process.
#[test]
#[ignore = "run by `unboxed_the_attempts_succeed` in namespaces of its own"]
fn the_half_inside() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let address = SocketAddr::from_abstract_name("casemate-try").unwrap();
    let _neighbour = UnixListener::bind_addr(&address);
    // The test harness has begun a line.
    println!();
    assert_eq!(inside(), std::process::ExitCode::SUCCESS);
}

/// Without a box: a root of its own, but the host's /sys and /dev, a neighbour in /proc, an open
/// descriptor, a working directory outside. Nothing done there outlives the namespaces.
const UNBOXED: &str = r#"
    set -e
    mount --bind "$1" "$1"
    mount -t proc none "$1/proc"
    mount --rbind /sys "$1/sys"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs none "$1/dev/shm"
    ip link set lo up
    chown 1000 "$1/bin/casemate"
    exec 7</etc/passwd
    cd /etc
    pivot_root "$1" "$1/var/tmp"
    umount -l /var/tmp
    sleep 1000 &
    exec /bin/casemate selftest::tests::the_half_inside \
        --exact --ignored --nocapture --test-threads=1
"#;

/// Attempts that a kernel may deny to root itself, because it was built or started without what
/// they ask for. Where they are denied here they prove nothing.
const MAY_BE_ABSENT: &[&str] = &[
    // No magic SysRq, modules, kexec, AF_ALG, I/O ports, x32.
    "kernel.sysrq",
    "kernel.helpers",
    "sys.init-module",
    "sys.finit-module",
    "sys.delete-module",
    "sys.kexec-load",
    "socket.alg",
    "sys.iopl",
    "sys.ioperm",
    "filter.x32",
    "filter.x32-unshare",
    // No open_tree_attr before 6.15, no listmount before 6.8.
    "mount.open-tree-attr",
    "sys.listmount",
    // Root without CAP_SYS_RESOURCE.
    "ns.raise-limit",
    "priv.oom-score",
    "priv.rlimit",
    // The first process is ours, so its root is too.
    "outside.root",
];

#[test]
fn unboxed_the_attempts_succeed() {
    let dir = tempfile::tempdir().unwrap();
    bundle::build(dir.path(), None).unwrap();
    let busybox = dir.path().join("rootfs/bin/busybox");
    // By another process: see `support::program` of the integration tests.
    let copied = Command::new("cp").args(["/bin/busybox", busybox.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());

    let ran = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--net", "--ipc", "--uts", "--cgroup"])
        .args(["/bin/busybox", "sh", "-c", UNBOXED, "sh"])
        .arg(dir.path().join("rootfs"))
        .stdin(Stdio::null())
        .output()
        .unwrap();

    let text = String::from_utf8_lossy(&ran.stdout);
    let answers = Answers::parse(&text);
    assert!(answers.complete, "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
    let findings = answers.findings();
    for finding in &findings {
        let must = if finding.expect == Expect::Works { Verdict::Holds } else { Verdict::Broken };
        let is_excused = MAY_BE_ABSENT.contains(&finding.id.as_str());
        assert!(finding.verdict() == must || is_excused, "{finding:?}");
        if finding.verdict() != must {
            println!("not proven to be able to fail here: {}: {:?}", finding.id, finding.outcome);
        }
    }
}
