//! What the tests stand on: bundles, root file systems, calls of the binary, the host before and
//! after. Everything is unique to a test, lies in a temporary directory and goes away with it.

mod bundle;
mod groups;
mod kernel;
mod program;
mod roots;
mod runtime;
mod snapshot;

pub(crate) use bundle::Bundle;
pub(crate) use groups::{group_file, group_value, groups_of, has_controller, v2_group};
pub(crate) use kernel::{
    has_layers_of_data, has_layers_one_by_one, has_translated_tmpfs, is_linux,
};
pub(crate) use program::{copy_program, make_program};
pub(crate) use roots::{Overlay, busybox_root, debian_root, services_root, software_root};
pub(crate) use runtime::{Ran, Runtime};
pub(crate) use snapshot::Snapshot;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How the words begin that [`unique_tag`] makes.
pub(crate) const TAG: &str = "cmt-";

/// A word that is in no other test's paths, ids or control groups, nor in an earlier run's.
pub(crate) fn unique_tag() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{TAG}{}-{}-{count}", std::process::id(), now.subsec_micros())
}

/// The lines of proc_pid_status(5) that tell of a process's privileges.
pub(crate) const PRIVILEGES: [&str; 12] = [
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Umask",
];

/// How long something may take on this machine that takes so long on one at rest.
///
/// Others work on it, too, and who waits for what comes loses nothing by a late end: it is four
/// times as long. One that emulates its processor (hack/vm.sh) says in `CASEMATE_TEST_SLOW` how
/// many times slower it is.
pub(crate) fn patience(limit: Duration) -> Duration {
    const BUSY: u32 = 4;
    let slow = std::env::var("CASEMATE_TEST_SLOW").ok();
    let slow = slow.map_or(1, |times| times.parse().expect("CASEMATE_TEST_SLOW is a number"));
    limit * BUSY * slow
}

/// Waits until something is so, on a machine at rest for up to ten seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Where this host has cgroup v2.
pub(crate) fn cgroup2() -> &'static std::path::Path {
    let hybrid = std::path::Path::new("/sys/fs/cgroup/unified");
    if hybrid.exists() { hybrid } else { std::path::Path::new("/sys/fs/cgroup") }
}

/// A temporary directory with the tag in its name.
pub(crate) fn tagged_dir(tag: &str) -> tempfile::TempDir {
    tempfile::Builder::new().prefix(&format!("{tag}.")).tempdir().unwrap()
}

/// Whether the machine has another runtime, which stands in for ours in the tests of this module.
fn has_runc() -> bool {
    let found = std::path::Path::new("/usr/sbin/runc").exists();
    if !found {
        println!("skipped, because there is no runc to try the test support with");
    }
    found
}
