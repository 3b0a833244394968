//! The file as later readers find it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::spec::id::ContainerId;

const WORKER: &str = "audit::tests::worker";

fn event(id: &str) -> Event {
    Event {
        time: "2026-08-01T09:30:00.000000001Z".to_owned(),
        event: EventKind::Created,
        id: ContainerId::parse(id).unwrap(),
        level: "hardened".to_owned(),
        policy: "builtin".to_owned(),
        plan_digest: Some("ab".repeat(32)),
        reason: None,
        change_count: 1,
        waived: Vec::new(),
        changes: vec![Change { at: "/mounts/3".to_owned(), rule: "mount.force-nosuid".to_owned() }],
        limits: Vec::new(),
        actor: Actor { uid: 0, parent_pid: 7, ..Actor::default() },
    }
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log/audit.jsonl");
    (dir, file)
}

fn append(file: &std::path::Path, id: &str) {
    Sink::open(file).unwrap().append(&event(id)).unwrap();
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_record_is_one_line_that_says_who_what_and_why() {
    let (_dir, file) = temporary();

    append(&file, "web-1");

    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        format!(
            "{{\"time\":\"2026-08-01T09:30:00.000000001Z\",\"event\":\"created\",\"id\":\"web-1\",\
             \"level\":\"hardened\",\"policy\":\"builtin\",\"plan_digest\":\"{}\",\
             \"change_count\":1,\"changes\":[{{\"at\":\"/mounts/3\",\
             \"rule\":\"mount.force-nosuid\"}}],\"actor\":{{\"uid\":0,\"parent_pid\":7}},\
             \"prev\":\"\"}}\n",
            "ab".repeat(32)
        )
    );
}

#[test]
fn the_file_and_its_directory_are_closed_to_others() {
    let (_dir, file) = temporary();

    append(&file, "web-1");

    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
}

#[test]
fn an_edit_and_a_deletion_break_the_chain() {
    let (_dir, file) = temporary();
    for id in ["a", "b", "c", "d"] {
        append(&file, id);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(check_chain(text.as_bytes()).is_ok());

    let edited = text.replacen("\"b\"", "\"x\"", 1);
    assert_eq!(check_chain(edited.as_bytes()), Err(ChainError::Unlinked { line: 3 }));
    let shorter = [lines[0], lines[2], lines[3], ""].join("\n");
    assert_eq!(check_chain(shorter.as_bytes()), Err(ChainError::Unlinked { line: 2 }));
    let garbage = text.replacen('{', "", 1);
    assert!(check_chain(garbage.as_bytes()).is_err());
    let cut = [lines[0], lines[1], ""].join("\n");
    assert_ne!(check_chain(cut.as_bytes()), check_chain(text.as_bytes()), "the head tells");
    assert_eq!(check_chain(b""), Ok(String::new()));
}

#[test]
fn a_torn_tail_is_closed_marked_and_part_of_the_chain() {
    let (_dir, file) = temporary();
    append(&file, "a");
    append(&file, "b");
    let whole = std::fs::read(&file).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;

    // Every length at which a write may have been cut; the last loses only the line's end.
    for length in first + 1..whole.len() {
        std::fs::write(&file, &whole[..length]).unwrap();
        append(&file, "c");
        append(&file, "d");

        let text = std::fs::read_to_string(&file).unwrap();
        assert!(check_chain(text.as_bytes()).is_ok(), "cut at {length}: {text}");
        assert_eq!(text.matches("\"torn_tail\":true").count(), 1);
        assert_eq!(text.lines().count(), 4);
    }
}

#[test]
fn a_long_record_loses_its_list_but_not_its_count() {
    let (_dir, file) = temporary();
    let changes = vec![Change { at: "/x".repeat(50), rule: "r".repeat(50) }; 500];
    let long = Event { change_count: 500, changes, reason: Some("é".repeat(9000)), ..event("a") };
    let sink = Sink::open(&file).unwrap();

    sink.append(&long).unwrap();
    sink.append(&event("b")).unwrap();

    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"change_count\":500") && !text.contains("/x/x"));
    assert!(check_chain(text.as_bytes()).is_ok());
    let hopeless = Event { level: "l".repeat(20_000), ..event("c") };
    assert!(matches!(sink.append(&hopeless), Err(AuditError::Record)));
}

#[test]
fn lines_longer_than_the_first_look_are_found() {
    let (_dir, file) = temporary();
    let sink = Sink::open(&file).unwrap();
    for length in [1, 2000, 3000, 9000, 16_000, 10] {
        sink.append(&Event { reason: Some("r".repeat(length)), ..event("a") }).unwrap();
    }

    assert!(check_chain(&std::fs::read(&file).unwrap()).is_ok());
}

#[test]
fn a_file_that_others_could_write_or_point_elsewhere_is_refused() {
    let (_dir, file) = temporary();
    append(&file, "a");
    let said = || Sink::open(&file).unwrap_err().to_string();
    let parent = file.parent().unwrap();

    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o620)).unwrap();
    assert!(said().ends_with("audit.jsonl: it can be written by other users"));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::set_permissions(parent, PermissionsExt::from_mode(0o1777)).unwrap();
    assert!(said().ends_with("log: it can be written by other users"));
    std::fs::set_permissions(parent, PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
    assert!(said().ends_with("it belongs to another user"));

    std::fs::rename(&file, parent.join("other")).unwrap();
    symlink(parent.join("other"), &file).unwrap();
    assert!(said().ends_with("it is a symbolic link"));
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert!(said().ends_with("it is not a regular file"), "and it does not hang");
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let error = Sink::open(std::path::Path::new("/proc/casemate/audit.jsonl")).unwrap_err();
    assert!(error.to_string().starts_with("open the directory of the audit file /proc/casemate"));
}

#[test]
fn the_actor_is_us() {
    let actor = Actor::observe(Some("podman".to_owned()));

    assert_eq!(actor.uid, rustix::process::getuid().as_raw());
    assert!(actor.parent_pid > 0 && actor.parent_exe.is_some());
    assert_ne!(actor.login_uid, Some(u32::MAX));
}

/// Not a test by itself: the writer that the test below starts, many at a time.
#[test]
fn worker() {
    let Ok(file) = std::env::var("CASEMATE_TEST_AUDIT") else { return };
    for _ in 0..100 {
        append(std::path::Path::new(&file), "w");
    }
}

#[test]
fn eight_writers_make_one_chain() {
    let (_dir, file) = temporary();
    let mut writers: Vec<_> = (0..8)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", WORKER])
                .env("CASEMATE_TEST_AUDIT", &file)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for writer in &mut writers {
        assert!(writer.wait().unwrap().success());
    }

    let text = std::fs::read(&file).unwrap();
    assert_eq!(text.split(|&byte| byte == b'\n').count(), 801);
    assert!(check_chain(&text).is_ok());
}

/// Cost of a record: `cargo test --release -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "measures"]
fn cost_of_a_record() {
    let (_dir, file) = temporary();
    append(&file, "warm");
    let sink = Sink::open(&file).unwrap();
    let event = event("web-1");

    let start = std::time::Instant::now();
    for _ in 0..1000 {
        sink.append(&event).unwrap();
    }
    println!("append {:?}", start.elapsed() / 1000);
    let start = std::time::Instant::now();
    for _ in 0..1000 {
        Sink::open(&file).unwrap();
    }
    println!("open {:?}", start.elapsed() / 1000);
    let start = std::time::Instant::now();
    for _ in 0..1000 {
        assert!(Actor::observe(None).parent_pid > 0);
    }
    println!("actor {:?}", start.elapsed() / 1000);
}
