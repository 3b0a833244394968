//! The store on a real file system, with several processes.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::spec::id::ContainerId;
mod cost;

const WORKER: &str = "store::tests::worker";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("a/root")
    }

    fn store(&self) -> Store {
        Store::open(&self.root()).unwrap()
    }

    /// Reserves an id and closes the command that did.
    fn container(&self, name: &str) -> PathBuf {
        let entry = self.store().reserve(&id(name)).unwrap();
        entry.write_state(&record(name)).unwrap();
        self.root().join(name)
    }
}

fn id(text: &str) -> ContainerId {
    ContainerId::parse(text).unwrap()
}

fn record(name: &str) -> Record {
    Record {
        oci_version: "1.2.1".to_owned(),
        id: id(name),
        bundle: "/bundle".into(),
        rootfs: "/bundle/rootfs".into(),
        process: Some(ProcessId::observe_self().unwrap()),
        created: rfc3339(std::time::SystemTime::now()),
        owner: 0,
        annotations: BTreeMap::from([("a".to_owned(), "b\n\"é".to_owned())]),
        level: "hardened".to_owned(),
        plan_digest: "ab".repeat(32),
        cgroup: serde_json::json!({"path": "/x", "driver": "cgroupfs"}),
        range: ranges::Range::from_base(524_288),
        shares_pids: false,
        has_poststop: true,
        resctrl: Vec::new(),
        shown: Some(Shown { at: "/bundle/rootfs".into(), mount: 7 }),
        phase: Phase::Created,
        watcher: None,
        limits: None,
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Not a test by itself: the commands that the tests below start.
#[test]
fn worker() {
    let Ok(task) = std::env::var("CASEMATE_TEST_STORE") else { return };
    let (task, root) = task.split_once(' ').unwrap();
    let store = Store::open(Path::new(root)).unwrap();
    match task {
        "umask" => {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0));
            store.reserve(&id("open")).unwrap().write_state(&record("open")).unwrap();
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o777));
            let entry = store.reserve(&id("closed")).unwrap();
            entry.write_state(&record("closed")).unwrap();
            entry.write_plan(b"{}").unwrap();
        }
        "reserve" => {
            if let Ok(entry) = store.reserve(&id("x")) {
                entry.write_state(&record("x")).unwrap();
                std::fs::write(format!("{root}/.won.{}", std::process::id()), "").unwrap();
            }
        }
        "churn" => {
            for _ in 0..200 {
                match store.reserve(&id("x")) {
                    Ok(entry) => {
                        entry.write_state(&record("x")).unwrap();
                        entry.remove().unwrap();
                    }
                    Err(StoreError::AlreadyExists { .. }) => match store.lock(&id("x")) {
                        Ok(entry) => entry.remove().unwrap(),
                        Err(StoreError::DoesNotExist { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    },
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        "hold" => {
            let _entry = store.lock(&id("x")).unwrap();
            std::fs::write(Path::new(root).join(".held"), "").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("{other}"),
    }
}

fn start(task: &str, root: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", WORKER])
        .env("CASEMATE_TEST_STORE", format!("{task} {}", root.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_missing_root_has_no_containers_and_is_made_by_the_first() {
    let place = Place::new();
    let store = place.store();

    assert!(store.list().unwrap().is_empty());
    let missing = store.lock(&id("web-1")).unwrap_err();
    assert_eq!(missing.to_string(), "container `web-1` does not exist");
    assert!(matches!(store.read(&id("x")), Err(StoreError::DoesNotExist { .. })));
    assert!(!place.root().exists());
    store.reserve(&id("web-1")).unwrap();

    assert_eq!(mode(&place.root()), 0o700);
    assert_eq!(mode(place.root().parent().unwrap()), 0o700);
    assert_eq!(mode(&place.root().join("web-1")), 0o700);
}

#[test]
fn modes_are_the_same_whatever_the_umask() {
    let place = Place::new();

    assert!(start("umask", &place.root()).wait().unwrap().success());

    for name in ["open", "closed"] {
        assert_eq!(mode(&place.root().join(name)), 0o700, "{name}");
        assert_eq!(mode(&place.root().join(name).join(STATE_FILE)), 0o600, "{name}");
    }
    assert_eq!(mode(&place.root().join("closed").join(PLAN_FILE)), 0o600);
}

#[test]
fn what_is_written_is_read() {
    let place = Place::new();
    let entry = place.store().reserve(&id("web-1")).unwrap();

    entry.write_state(&record("web-1")).unwrap();
    let again = Record { owner: 1, ..record("web-1") };
    entry.write_state(&again).unwrap();
    entry.write_plan(b"plan").unwrap();
    assert_eq!(entry.read_state().unwrap(), again);
    assert_eq!(entry.read_plan().unwrap(), b"plan");
    assert_eq!(place.store().read(&id("web-1")).unwrap().record, Some(again));
    assert_eq!(std::fs::read_dir(place.root().join("web-1")).unwrap().count(), 2);
    assert!(entry.write_state(&record("other")).is_err());
}

#[test]
fn an_id_is_taken_once() {
    let place = Place::new();
    let first = place.store().reserve(&id("web-1")).unwrap();

    let second = place.store().reserve(&id("web-1")).unwrap_err();

    assert_eq!(second.to_string(), "container `web-1` already exists");
    assert!(second.hint().unwrap().contains("casemate delete web-1"));
    first.remove().unwrap();
    assert!(place.store().reserve(&id("web-1")).is_ok());
}

#[test]
fn of_eight_creates_one_wins() {
    for _ in 0..3 {
        let place = Place::new();
        let mut all: Vec<_> = (0..8).map(|_| start("reserve", &place.root())).collect();

        for child in &mut all {
            assert!(child.wait().unwrap().success());
        }

        assert_eq!(std::fs::read_dir(place.root()).unwrap().count(), 2, "`x` and one winner");
    }
}

#[test]
fn creates_and_forced_deletes_of_one_id_never_meet_in_the_middle() {
    let place = Place::new();
    let mut all: Vec<_> = (0..4).map(|_| start("churn", &place.root())).collect();

    for child in &mut all {
        assert!(child.wait().unwrap().success());
    }

    assert_eq!(std::fs::read_dir(place.root()).unwrap().count(), 0);
}

#[test]
fn a_busy_container_names_its_holder() {
    let place = Place::new();
    place.container("x");
    let mut holder = start("hold", &place.root());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.root().join(".held").exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }

    let store = place.store().with_lock_wait(Duration::from_millis(50));
    let busy = store.lock(&id("x")).unwrap_err().to_string();
    assert!(place.store().read(&id("x")).is_ok(), "reading waits for nobody");
    holder.kill().unwrap();
    holder.wait().unwrap();

    assert!(busy.starts_with("container `x` is busy: locked by \""), "{busy}");
    assert!(busy.contains(&format!("(pid {})", holder.id())), "{busy}");
    assert!(store.lock(&id("x")).is_ok());
}

#[test]
fn dropping_an_entry_gives_the_lock_back_though_a_child_has_a_copy() {
    let place = Place::new();
    place.container("x");
    let entry = place.store().lock(&id("x")).unwrap();
    let copy = rustix::io::dup(entry.dir()).unwrap();

    drop(entry);

    let store = place.store().with_lock_wait(Duration::ZERO);
    assert!(store.lock(&id("x")).is_ok(), "descriptor {}", copy.as_raw_fd());
}

#[test]
fn the_status_follows_from_record_socket_and_process() {
    let place = Place::new();
    let entry = place.store().reserve(&id("x")).unwrap();
    let status_now = || place.store().read(&id("x")).unwrap().status;

    assert_eq!(status_now(), Status::Creating, "no record yet");
    let early = Record { phase: Phase::Creating, ..record("x") };
    entry.write_state(&early).unwrap();
    assert_eq!(status_now(), Status::Creating);
    entry.write_state(&record("x")).unwrap();
    let address = format!("/proc/self/fd/{}/{START_SOCKET}", entry.dir().as_raw_fd());
    let _socket = UnixListener::bind(address).unwrap();
    assert!(entry.start_socket_exists());
    assert_eq!(status_now(), Status::Created);
    entry.unlink_start_socket().unwrap();
    entry.unlink_start_socket().unwrap();
    assert_eq!(status_now(), Status::Running);
    assert_eq!(entry.status(Some(&record("x"))), Status::Running);
    let dead = serde_json::from_str(r#"{"pid":1,"start_time":18446744073709551615}"#).unwrap();
    entry.write_state(&Record { process: Some(dead), ..record("x") }).unwrap();
    assert_eq!(status_now(), Status::Stopped);
    entry.write_state(&Record { process: Some(dead), ..early }).unwrap();
    assert_eq!(status_now(), Status::Creating, "its creator holds the lock");
    drop(entry);
    assert_eq!(status_now(), Status::Stopped, "its creator is gone");
    assert_eq!(Status::Stopped.to_string(), "stopped");
}

#[test]
fn a_broken_record_is_an_error_value_and_can_be_removed() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let good = String::from_utf8(record("x").to_json().unwrap()).unwrap();
    let cases: [(&str, String, &str); 10] = [
        ("garbage", "\0\u{1}{{{".to_owned(), "state.json is not a record"),
        ("empty", String::new(), "state.json is not a record"),
        ("deep", deep, "state.json is not a record"),
        (
            "newer",
            r#"{"version":2,"x":[]}"#.to_owned(),
            "format 2, and this casemate reads format 1",
        ),
        ("same, newer", good.replacen("version\":1", "version\":2", 1), "reads format 1"),
        ("other", good.replacen("\"id\":\"x\"", "\"id\":\"y\"", 1), "`id` is not that of its dir"),
        ("path", good.replacen("\"/bundle\"", "\"bundle\"", 1), "`bundle` is not an absolute path"),
        ("unknown", good.replacen("\"level\"", "\"levle\"", 1), "state.json is not a record"),
        ("range", good.replacen("524288", "1", 1), "state.json is not a record"),
        ("huge", " ".repeat((4 << 20) + 1), "state.json has more than 4194304 bytes"),
    ];
    for (name, text, expected) in cases {
        let place = Place::new();
        let path = place.container("x");
        std::fs::write(path.join(STATE_FILE), text).unwrap();

        let error = place.store().read(&id("x")).unwrap_err();

        assert_eq!(error.to_string(), "the state of container `x` is unusable", "{name}");
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.contains(expected), "{name}: {why}");
        assert!(error.hint().unwrap().contains("delete --force x"));
        assert!(place.store().list().unwrap()[0].1.is_err(), "{name}");
        let entry = place.store().lock(&id("x")).unwrap();
        assert!(entry.read_state().is_err(), "{name}");
        entry.remove().unwrap();
        assert!(!path.exists(), "{name}");
    }
}

#[test]
fn no_record_is_a_wreck_that_can_be_removed() {
    let place = Place::new();
    drop(place.store().reserve(&id("x")).unwrap());

    let state = place.store().read(&id("x")).unwrap();

    assert_eq!(state, StoredState { record: None, status: Status::Stopped });
    let entry = place.store().lock(&id("x")).unwrap();
    assert_eq!(entry.status(None), Status::Stopped);
    assert!(entry.read_plan().is_err());
    entry.remove().unwrap();
    assert!(matches!(place.store().lock(&id("x")), Err(StoreError::DoesNotExist { .. })));
}

#[test]
fn what_was_planted_is_neither_followed_nor_waited_for() {
    let place = Place::new();
    let path = place.container("x");
    let victim = place.0.path().join("victim");
    std::fs::write(&victim, record("x").to_json().unwrap()).unwrap();
    let why = || {
        let error = place.store().read(&id("x")).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };

    std::fs::remove_file(path.join(STATE_FILE)).unwrap();
    symlink(&victim, path.join(STATE_FILE)).unwrap();
    symlink(&victim, path.join(".state.json.new")).unwrap();
    assert_eq!(why(), "state.json is not a regular file");
    place.store().lock(&id("x")).unwrap().write_state(&record("x")).unwrap();
    assert!(!path.join(STATE_FILE).is_symlink(), "the link was replaced");
    std::fs::remove_file(path.join(STATE_FILE)).unwrap();
    assert!(Command::new("mkfifo").arg(path.join(STATE_FILE)).status().unwrap().success());
    assert_eq!(why(), "state.json is not a regular file");
    symlink(&victim, path.join(PLAN_FILE)).unwrap();
    place.store().lock(&id("x")).unwrap().remove().unwrap();

    assert!(victim.exists() && !path.exists());
    symlink(place.0.path(), place.root().join("y")).unwrap();
    assert!(matches!(place.store().lock(&id("y")), Err(StoreError::Io { .. })));
}

#[test]
fn a_directory_with_things_not_ours_is_left_as_it_is() {
    let place = Place::new();
    let path = place.container("x");
    std::fs::write(path.join("precious"), "").unwrap();

    let error = place.store().lock(&id("x")).unwrap().remove().unwrap_err();

    assert!(error.to_string().ends_with("x holds \"precious\", which is not ours to remove"));
    assert!(path.join(STATE_FILE).exists() && path.join("precious").exists());
    std::fs::remove_file(path.join("precious")).unwrap();
    place.store().lock(&id("x")).unwrap().remove().unwrap();
}

#[test]
fn the_list_has_ids_only_and_in_order() {
    let place = Place::new();
    for name in ["b", "a"] {
        place.container(name);
    }
    drop(place.store().reserve(&id("c")).unwrap());
    std::fs::create_dir(place.root().join(".ranges")).unwrap();
    std::fs::create_dir(place.root().join("no id")).unwrap();
    std::fs::write(place.root().join("file"), "").unwrap();

    let list = place.store().list().unwrap();

    let ids: Vec<_> = list.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(list.iter().all(|(_, state)| state.is_ok()));
}

#[test]
fn an_owner_is_told_by_the_real_path_of_its_root() {
    let place = Place::new();
    let link = place.0.path().join("link");
    symlink("a/root", &link).unwrap();
    place.container("x");

    let owner = Store::open(&link).unwrap().lock(&id("x")).unwrap().owner().unwrap();

    assert_eq!((owner.root.as_str(), owner.id), (place.root().to_str().unwrap(), id("x")));
}
