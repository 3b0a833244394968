//! Limits by their effect, under either driver: what is above one is not to be had, whether the
//! group was made through files or is a scope of systemd's. The machines of `hack/vm.sh` have every
//! controller, a real disk and systemd; elsewhere, what is missing is said.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, eventually, has_controller, patience};

const MIB: u64 = 1 << 20;

/// Who makes the group.
struct Driver {
    runtime: Runtime,
    is_systemd: bool,
}

/// The driver that writes files; none, with a note, where the host lacks the controller.
fn cgroupfs(controller: &str) -> Option<Driver> {
    has_controller(controller).then(|| Driver { runtime: Runtime::new(), is_systemd: false })
}

/// The driver that asks systemd; none, with a note, where that or the controller is missing.
fn systemd(controller: &str) -> Option<Driver> {
    if !Path::new("/run/systemd/system").is_dir() {
        println!("skipped, because systemd is not this machine's init: try hack/vm.sh");
        return None;
    }
    let runtime = Runtime::new().with_global("--systemd-cgroup");
    has_controller(controller).then_some(Driver { runtime, is_systemd: true })
}

impl Driver {
    /// A bundle without limits, whose group has a name that this driver alone understands.
    fn bundle(&self) -> Bundle {
        let bundle = Bundle::new().unset("/linux/resources/pids");
        if !self.is_systemd {
            return bundle;
        }
        let slice = bundle.id().replace('-', "_");
        let path = format!("{slice}.slice:box:{}", bundle.id());
        bundle.set("/linux/cgroupsPath", json!(path))
    }

    /// Creates and starts a container, and looks whether it is where this driver puts it.
    fn start(&self, bundle: &Bundle) {
        let pid = self.runtime.started(bundle);
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let scope = format!("/box-{}.scope", bundle.id());
        assert_eq!(groups.contains(&scope), self.is_systemd, "{groups}");
    }

    fn processes(&self, bundle: &Bundle) -> usize {
        let said = self.runtime.call(["ps", "--format", "json", bundle.id()]).ok();
        serde_json::from_str::<Vec<i64>>(&said).unwrap().len()
    }

    fn stats(&self, bundle: &Bundle) -> Value {
        let said = self.runtime.call(["events", "--stats", bundle.id()]).ok();
        serde_json::from_str::<Value>(&said).unwrap()["data"].clone()
    }

    fn cpu_time(&self, bundle: &Bundle) -> Duration {
        let used = &self.stats(bundle)["cpu"]["usage"]["total"];
        Duration::from_nanos(used.as_u64().unwrap())
    }
}

/// Who takes more memory than the limit is killed, and nobody beside it.
fn memory(driver: &Driver) {
    let take = |mib: u64| {
        let line = format!(
            "dd if=/dev/zero of=/dev/null bs={mib}M count=1 2>/dev/null; echo $?; sleep 1; echo on"
        );
        let limits = json!({"limit": 32 * MIB, "swap": 32 * MIB});
        driver.bundle().set("/linux/resources/memory", limits).shell(&line)
    };

    assert_eq!(driver.runtime.run(&take(8)).ok(), "0\non\n");
    assert_eq!(driver.runtime.run(&take(64)).ok(), "137\non\n");
}

// rows: linux.resources.memory
#[test]
fn with_cgroupfs_who_takes_more_memory_than_the_limit_is_killed() {
    if let Some(driver) = cgroupfs("memory") {
        memory(&driver);
    }
}

// rows: linux.resources.memory
#[test]
fn with_systemd_who_takes_more_memory_than_the_limit_is_killed() {
    if let Some(driver) = systemd("memory") {
        memory(&driver);
    }
}

/// The most processes that a fork bomb was seen to have, which goes on for this long and until it
/// has `enough`, or has had plenty of time.
fn most_processes(driver: &Driver, limit: usize, least: Duration, enough: usize) -> usize {
    let bundle = driver
        .bundle()
        .set("/linux/resources/pids", json!({"limit": limit}))
        // Each shell goes on until it cannot fork; what it has started stays.
        .shell("b() { b & sleep 60 & b; }; (b); (b); exec sleep 600");
    driver.start(&bundle);
    let mut most = 0;
    let begun = Instant::now();
    let is_over = |most| begun.elapsed() > least && most >= enough;
    while !is_over(most) && begun.elapsed() < patience(Duration::from_secs(10)) {
        most = most.max(driver.processes(&bundle));
    }
    driver.runtime.call(["delete", "--force", bundle.id()]).ok();
    most
}

/// A fork bomb stops at its limit, and would have gone on.
fn pids(driver: &Driver) {
    let held = most_processes(driver, 20, Duration::from_secs(3), 6);
    assert!((6..=20).contains(&held), "{held} processes");

    // With more room it takes more, so that it was the limit that held it.
    let freer = most_processes(driver, 80, Duration::ZERO, 21);
    assert!((21..=80).contains(&freer), "{freer} processes");
}

// rows: linux.resources.pids
#[test]
fn with_cgroupfs_a_fork_bomb_stops_at_its_limit() {
    if let Some(driver) = cgroupfs("pids") {
        pids(&driver);
    }
}

// rows: linux.resources.pids
#[test]
fn with_systemd_a_fork_bomb_stops_at_its_limit() {
    if let Some(driver) = systemd("pids") {
        pids(&driver);
    }
}

/// Who is always busy gets the part of a processor that its quota is, and waits for the rest.
fn cpu(driver: &Driver) {
    let bundle = driver
        .bundle()
        .set("/linux/resources/cpu", json!({"quota": 10_000, "period": 50_000}))
        .shell("while :; do :; done");
    driver.start(&bundle);

    let before = driver.cpu_time(&bundle);
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    let throttled = || {
        let throttling = driver.stats(&bundle)["cpu"]["throttling"].clone();
        throttling["throttledPeriods"].as_u64().unwrap()
    };
    // Where others are busy, too, it does not have its part of every period.
    eventually("it was not held", || throttled() > 5);
    let used = driver.cpu_time(&bundle) - before;
    let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();

    assert!(share < 0.27, "a fifth of a processor was to be had, and {share:.2} was used");
    assert!(share > 0.02, "{share:.2}: was it busy?");
}

// rows: linux.resources.cpu
#[test]
fn with_cgroupfs_processor_time_stays_under_the_quota() {
    if let Some(driver) = cgroupfs("cpu") {
        cpu(&driver);
    }
}

// rows: linux.resources.cpu
#[test]
fn with_systemd_processor_time_stays_under_the_quota() {
    if let Some(driver) = systemd("cpu") {
        cpu(&driver);
    }
}

/// The whole device that a directory lies on, if it is one whose speed can be limited.
fn device_of(directory: &Path) -> Option<(u64, u64)> {
    let device = fs::metadata(directory).unwrap().dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let at = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let whole = if at.join("partition").exists() { at.parent()?.to_owned() } else { at };
    let text = fs::read_to_string(whole.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Writes three megabytes past every cache, reads them again, and says how long each took.
const COPY: &str = "t='time -f took=%e'; \
                    $t dd if=/dev/zero of=/volume/x bs=256k count=12 oflag=direct || exit 9; \
                    $t dd if=/volume/x of=/dev/null bs=256k iflag=direct";

fn seconds(said: &str) -> Vec<f64> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("took="));
    lines.map(|seconds| seconds.parse().unwrap()).collect()
}

/// Three megabytes take three seconds at one a second, each way by its own limit.
fn io(driver: &Driver) {
    // One at a time: what a slow group writes holds up the journal, and with it who is free.
    static DISK: Mutex<()> = Mutex::new(());
    let _disk = DISK.lock().unwrap_or_else(PoisonError::into_inner);
    let bundle = driver.bundle();
    let volume = bundle.dir().join("volume");
    fs::create_dir(&volume).unwrap();
    let mut bundle =
        bundle.mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"]).shell(COPY);
    let Some((major, minor)) = device_of(&volume) else {
        return println!("skipped, because {} is on no block device", volume.display());
    };
    let free = driver.runtime.run(&bundle);
    if free.status == Some(9) {
        return println!("skipped, because the file system takes no direct writing");
    }
    let mut free = seconds(&free.stderr);
    // The disk is busy with others now and then.
    for _ in 0..10 {
        if free.iter().all(|took| *took < 1.5) {
            break;
        }
        let again = seconds(&driver.runtime.run(&bundle).stderr);
        free = free.iter().zip(again).map(|(took, again)| took.min(again)).collect();
    }

    let rate = json!([{"major": major, "minor": minor, "rate": MIB}]);
    for (at, name) in ["throttleWriteBpsDevice", "throttleReadBpsDevice"].into_iter().enumerate() {
        let key = format!("/linux/resources/blockIO/{name}");
        bundle = bundle.set(&key, rate.clone());
        let limited = seconds(&driver.runtime.run(&bundle).stderr);
        assert!(limited[at] > 2.2, "{name}: {limited:?}, and {free:?} without");
        // What emulates its disk is slow by itself, but not as slow.
        assert!(limited[at] > free[at] + 1.0, "{name}: {limited:?}, and {free:?} without");
        bundle = bundle.unset(&key);
    }
}

// rows: linux.resources.blockIO
#[test]
fn with_cgroupfs_a_device_is_as_slow_as_asked() {
    if let Some(driver) = cgroupfs("blkio") {
        io(&driver);
    }
}

// rows: linux.resources.blockIO
#[test]
fn with_systemd_a_device_is_as_slow_as_asked() {
    if let Some(driver) = systemd("blkio") {
        io(&driver);
    }
}
