//! Many processes, kills at every step, other people's ids.

mod pods;

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::foreign::tests::narrow;
use super::*;
use crate::spec::id::ContainerId;

const WORKER: &str = "store::ranges::tests::worker";
const BLOCKS: u32 = 4;
/// So many processes must have been killed before the outcome says anything.
const ENOUGH: u32 = 20;

/// A registry, and state directories of containers beside it.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for name in ["state", "witness"] {
            std::fs::create_dir(host.at(name)).unwrap();
        }
        host
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn ranges(&self) -> Ranges {
        Ranges::open(&self.at("ranges")).unwrap()
    }

    /// An owner whose state directory exists.
    fn owner(&self, id: &str) -> Owner {
        std::fs::create_dir_all(self.at("state").join(id)).unwrap();
        owner(&self.at("state"), id)
    }

    fn forget(&self, owner: &Owner) {
        std::fs::remove_dir(self.at("state").join(owner.id.as_str())).unwrap();
    }

    fn blocks(&self) -> usize {
        self.ranges().taken().unwrap().len()
    }

    fn worker(&self, name: &str, crash: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", WORKER, "--nocapture", "--test-threads=1"])
            .env("CASEMATE_TEST_HOST", self.0.path())
            .env("CASEMATE_TEST_WORKER", name)
            .env("CASEMATE_TEST_CRASH", crash)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

fn owner(root: &Path, id: &str) -> Owner {
    Owner { root: root.to_str().unwrap().to_owned(), id: ContainerId::parse(id).unwrap() }
}

/// Has no effect unless the environment names a moment, or asks for chance.
pub(super) fn crash_point(registry: &OwnedFd, name: &str, point: Crash) {
    let Ok(wanted) = std::env::var("CASEMATE_TEST_CRASH") else { return };
    let chance = wanted == "Chance" && rand_below(40) == 0;
    if wanted == "InCreate" && point == Crash::BeforeCreate
        || chance && point == Crash::BeforeCreate && rand_below(2) == 0
    {
        // Killed between open and write, or in the middle of a write.
        let part: &[u8] = if rand_below(2) == 0 { b"" } else { b"{\"version\":1,\"owners\":[{" };
        let created = dir::create_file(registry, name, part);
        if created == Err(Errno::EEXIST) {
            return;
        }
        kill_self();
    }
    if chance || wanted == format!("{point:?}") {
        kill_self();
    }
}

fn kill_self() {
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
}

fn rand_below(limit: u32) -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    u32::try_from(RandomState::new().build_hasher().finish() % u64::from(limit)).unwrap()
}

/// Not a test by itself: the program of the processes that the tests below start.
#[test]
fn worker() {
    let Ok(host) = std::env::var("CASEMATE_TEST_HOST") else { return };
    let (host, name) = (PathBuf::from(host), std::env::var("CASEMATE_TEST_WORKER").unwrap());
    let ranges = Ranges::open(&host.join("ranges")).unwrap();
    for round in 0..40 {
        let owner = owner(&host.join("state"), &format!("{name}.{round}"));
        let state = host.join("state").join(owner.id.as_str());
        std::fs::create_dir(&state).unwrap();
        let range = match ranges.take(&owner) {
            Ok(range) => range,
            Err(RangeError::Exhausted) => {
                std::fs::remove_dir(&state).unwrap();
                continue;
            }
            Err(error) => panic!("{error}: {error:?}"),
        };
        let witness = host.join("witness").join(range.file_name());
        symlink(&name, &witness).expect("two owners of one block");
        std::thread::sleep(Duration::from_micros(rand_below(300).into()));
        std::fs::remove_file(&witness).unwrap();
        ranges.release(range, &owner).unwrap();
        std::fs::remove_dir(&state).unwrap();
    }
}

/// What `delete --force` does for a create that was killed, without knowing the range.
fn clean_up(host: &Host, name: &str) {
    for entry in std::fs::read_dir(host.at("witness")).unwrap() {
        let path = entry.unwrap().path();
        // Another worker may take its own away under our eyes.
        if std::fs::read_link(&path).is_ok_and(|of| of == Path::new(name)) {
            std::fs::remove_file(path).unwrap();
        }
    }
    for entry in std::fs::read_dir(host.at("state")).unwrap() {
        let entry = entry.unwrap();
        let of = entry.file_name().into_string().unwrap();
        if of.rsplit_once('.').is_some_and(|(of, _)| of == name) {
            std::fs::remove_dir(entry.path()).unwrap();
        }
    }
}

#[test]
fn no_two_owners_have_a_block_in_common_however_they_are_killed() {
    let host = Host::new();
    narrow(&host.ranges().dir, Range::from_base(1_000_013_824).unwrap(), BLOCKS);
    let kinds = ["Chance", "", "Chance", "", "Chance", ""];
    let start = |n: usize| host.worker(&n.to_string(), kinds[n]);
    let mut workers: Vec<_> = (0..kinds.len()).map(|n| (n, start(n))).collect();
    let deadline = Instant::now() + Duration::from_secs(600);
    let mut kills: u32 = 0;

    while let Some((n, mut child)) = workers.pop() {
        if kinds[n].is_empty() && kills < 60 {
            // At any instant, and not only where it hurts.
            std::thread::sleep(Duration::from_micros(rand_below(20_000).into()));
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        if status.signal() == Some(9) {
            kills += 1;
            clean_up(&host, &n.to_string());
            let next = if kills < 60 { start(n) } else { host.worker(&n.to_string(), "") };
            workers.insert(0, (n, next));
        } else {
            assert!(status.success(), "worker {n}: {status}");
            // On a quick machine they may all be through before chance strikes often enough.
            if kills < ENOUGH {
                workers.insert(0, (n, start(n)));
            }
        }
        assert!(Instant::now() < deadline, "too slow: {kills} kills");
    }

    host.ranges().reclaim().unwrap();
    assert_eq!(host.blocks(), 0, "a block was lost");
}

#[test]
fn a_kill_at_any_step_of_taking_loses_no_block() {
    for crash in ["BeforeCreate", "InCreate", "AfterCreate"] {
        let host = Host::new();
        narrow(&host.ranges().dir, Range::from_base(1_000_013_824).unwrap(), 1);
        let status = host.worker("w", crash).wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{crash}");
        clean_up(&host, "w");

        let taken = host.ranges().take(&host.owner("next"));

        assert_eq!(taken.unwrap().base(), 1_000_013_824, "{crash}");
    }
}

#[test]
fn a_kill_in_the_middle_of_giving_back_loses_no_block() {
    let host = Host::new();
    narrow(&host.ranges().dir, Range::from_base(1_000_013_824).unwrap(), 1);

    let status = host.worker("w", "AfterUnlink").wait().unwrap();

    assert_eq!(status.signal(), Some(9));
    assert_eq!(host.blocks(), 0);
}

#[test]
fn a_range_is_kept_until_it_is_given_back_and_then_given_again() {
    let host = Host::new();
    let (ranges, owner) = (host.ranges(), host.owner("web-1"));

    let first = ranges.take(&owner).unwrap();
    let other = ranges.take(&host.owner("web-2")).unwrap();
    ranges.release(first, &host.owner("web-2")).unwrap();
    assert_eq!(host.blocks(), 2, "only its owner gives a range back");
    ranges.release(first, &owner).unwrap();
    ranges.release(first, &owner).unwrap();

    assert_ne!(first, other);
    assert_eq!(host.blocks(), 1);
    assert_eq!(ranges.take(&owner).unwrap(), first);
}

#[test]
fn a_creation_cut_short_gets_its_own_range_back() {
    let host = Host::new();
    let (ranges, owner) = (host.ranges(), host.owner("web-1"));

    let first = ranges.take(&owner).unwrap();

    assert_eq!(ranges.take(&owner).unwrap(), first);
    assert_eq!(host.blocks(), 1);
}

#[test]
fn when_all_is_taken_the_error_says_so() {
    let host = Host::new();
    let ranges = host.ranges();
    narrow(&ranges.dir, Range::from_base(1_000_013_824).unwrap(), 1);
    ranges.take(&host.owner("a")).unwrap();

    let error = ranges.take(&host.owner("b")).unwrap_err();

    assert_eq!(
        error.to_string(),
        "no block of 65536 host ids is free between 524288 and 1878982656"
    );
}

#[test]
fn what_a_process_maps_is_neither_freed_nor_taken() {
    let host = Host::new();
    let ranges = host.ranges();
    let owner = host.owner("gone");
    let range = ranges.take(&owner).unwrap();
    host.forget(&owner);
    as_if_taker_ended(&host, range);
    let mut child = in_namespace(range);

    assert_eq!(ranges.reclaim().unwrap(), 0, "a process still maps it");
    std::fs::remove_file(host.at("ranges").join(range.file_name())).unwrap();
    ranges.reclaim().unwrap();
    let next = ranges.take(&host.owner("gone")).unwrap();
    assert_ne!(next, range, "it looked free, and somebody maps it");

    end(&mut child);
}

#[test]
fn a_deserted_range_is_freed_once_nobody_maps_it() {
    let host = Host::new();
    let ranges = host.ranges();
    let owner = host.owner("gone");
    let range = ranges.take(&owner).unwrap();
    host.forget(&owner);

    assert_eq!(ranges.reclaim().unwrap(), 0, "its taker lives: it may be about to map it");
    as_if_taker_ended(&host, range);
    assert_eq!(ranges.reclaim().unwrap(), 1);
    assert_eq!(host.blocks(), 0);
}

#[test]
fn a_container_that_began_since_the_list_was_read_is_seen_by_its_users() {
    let host = Host::new();
    let (ranges, owner) = (host.ranges(), host.owner("web-1"));
    let range = ranges.take(&owner).unwrap();
    ranges.release(range, &owner).unwrap();
    for id in [0, 33, 1000, 65_534] {
        let mut child = Command::new("sleep")
            .arg("60")
            .uid(range.base() + id)
            .current_dir("/")
            .spawn()
            .unwrap();

        let taken = ranges.take(&owner).unwrap();

        end(&mut child);
        assert_ne!(taken, range, "uid {id} of it is in use");
        ranges.release(taken, &owner).unwrap();
    }
}

#[test]
fn a_file_of_another_casemate_is_left_alone() {
    let host = Host::new();
    let (ranges, owner) = (host.ranges(), host.owner("web-1"));
    let range = ranges.take(&owner).unwrap();
    std::fs::write(host.at("ranges").join(range.file_name()), r#"{"version":2}"#).unwrap();

    ranges.release(range, &owner).unwrap();
    ranges.reclaim().unwrap();

    assert_ne!(ranges.take(&owner).unwrap(), range);
    assert_eq!(host.blocks(), 2);
}

/// Cost of the usual case: `cargo test --release -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "measures"]
fn cost_of_take_and_release() {
    let host = Host::new();
    let ranges = host.ranges();
    let owners: Vec<_> = (0..1000).map(|n| host.owner(&format!("c{n}"))).collect();
    ranges.take(&host.owner("warm")).unwrap();
    let mut taken = Vec::new();

    let start = Instant::now();
    taken.extend(owners.iter().map(|owner| ranges.take(owner).unwrap()));
    let take = start.elapsed() / 1000;
    let start = Instant::now();
    for (owner, range) in owners.iter().zip(taken) {
        ranges.release(range, owner).unwrap();
    }
    let release = start.elapsed() / 1000;
    let start = Instant::now();
    ranges.reclaim().unwrap();
    println!("take {take:?} release {release:?} reclaim {:?}", start.elapsed());
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(!foreign::has_live_user(Range::from_base(1_000_013_824).unwrap()));
    }
    println!("of take: has_live_user {:?}", start.elapsed() / 1000);
}

fn as_if_taker_ended(host: &Host, range: Range) {
    let path = host.at("ranges").join(range.file_name());
    let text = std::fs::read_to_string(&path).unwrap();
    let mut block: serde_json::Value = serde_json::from_str(&text).unwrap();
    block["taker"]["start_time"] = 1.into();
    std::fs::write(&path, block.to_string()).unwrap();
}

/// A process in a user namespace of its own that maps the range, and runs as no id of it.
fn in_namespace(range: Range) -> Child {
    let child = Command::new("unshare").args(["-U", "--", "sleep", "60"]).spawn().unwrap();
    let ours = std::fs::read_link("/proc/self/ns/user").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_link(format!("/proc/{}/ns/user", child.id())).unwrap() == ours {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
    let map = format!("0 {} 65536\n", range.base());
    std::fs::write(format!("/proc/{}/uid_map", child.id()), map).unwrap();
    child
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
