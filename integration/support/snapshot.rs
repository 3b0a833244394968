//! The host, before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Runtime, patience};

/// Where ranges of ids are registered for the whole host.
const RANGES: &str = "/run/casemate/.ranges";

/// What the line of a process begins with.
const PROCESS: &str = "process ";

/// What a container could leave behind, as far as it carries one of the tags: tests run at the
/// same time, and what belongs to others comes and goes.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    tags: Vec<String>,
    root: PathBuf,
    lines: BTreeSet<String>,
}

impl Snapshot {
    /// Looks for traces of the tags, and for everything in the runtime's state directory.
    pub(crate) fn take(runtime: &Runtime, tags: &[&str]) -> Self {
        let tags: Vec<_> = tags.iter().map(ToString::to_string).collect();
        let root = runtime.root();
        let lines = observe(&tags, &root);
        Self { tags, root, lines }
    }

    /// Looks again, and fails with what is new and what is gone. A process that ends has left its
    /// group a moment before it is seen to have ended; that moment is waited for.
    #[track_caller]
    pub(crate) fn assert_unchanged(&self) {
        let deadline = Instant::now() + patience(Duration::from_millis(500));
        let mut now = observe(&self.tags, &self.root);
        while now.difference(&self.lines).any(|line| line.starts_with(PROCESS))
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(2));
            now = observe(&self.tags, &self.root);
        }
        let new: Vec<_> = now.difference(&self.lines).collect();
        let gone: Vec<_> = self.lines.difference(&now).collect();
        assert!(new.is_empty() && gone.is_empty(), "left: {new:#?}\ngone: {gone:#?}");
    }

    /// What there is, a line for each thing.
    pub(crate) fn lines(&self) -> &BTreeSet<String> {
        &self.lines
    }
}

fn observe(tags: &[String], root: &Path) -> BTreeSet<String> {
    let is_ours = |text: &str| tags.iter().any(|tag| text.contains(tag.as_str()));
    let mut lines = BTreeSet::new();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    lines.extend(table.lines().filter(|line| is_ours(line)).map(|line| format!("mount {line}")));
    control_groups(Path::new("/sys/fs/cgroup"), &is_ours, &mut lines);
    for entry in entries(Path::new(RANGES)) {
        let text = fs::read(&entry).unwrap_or_default();
        if is_ours(&entry.to_string_lossy()) || is_ours(&String::from_utf8_lossy(&text)) {
            lines.insert(format!("range {}", entry.display()));
        }
    }
    lines.extend(entries(root).map(|entry| format!("state {}", entry.display())));
    for dir in entries(Path::new("/proc")) {
        let own = dir.ends_with(std::process::id().to_string());
        let read = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
        let link = |name: &str| fs::read_link(dir.join(name)).unwrap_or_default();
        let texts = [read("cmdline"), read("cgroup")];
        let in_text = texts.iter().any(|text| is_ours(&String::from_utf8_lossy(text)));
        let in_link = ["cwd", "root"].iter().any(|name| is_ours(&link(name).to_string_lossy()));
        if is_alive(&dir) && !own && (in_text || in_link) {
            lines.insert(format!("{PROCESS}{}", dir.display()));
        }
    }
    lines
}

/// A dead process that nobody has reaped yet is its parent's affair.
fn is_alive(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn control_groups(dir: &Path, is_ours: &impl Fn(&str) -> bool, lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if is_ours(&entry.file_name().to_string_lossy()) {
            lines.insert(format!("control group {}", entry.path().display()));
        }
        control_groups(&entry.path(), is_ours, lines);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use crate::support::{Bundle, Runtime, Snapshot, has_runc};

    #[test]
    fn a_created_container_is_seen_and_a_deleted_one_is_not() {
        if !has_runc() {
            return;
        }
        let runtime = Runtime::of(Path::new("/usr/sbin/runc"));
        let bundle = Bundle::new().args(["/bin/sleep", "60"]);
        let before = Snapshot::take(&runtime, &[bundle.id()]);
        assert!(before.lines().is_empty(), "{before:?}");

        runtime.create(&bundle);
        let during = Snapshot::take(&runtime, &[bundle.id()]);
        let complaint = catch_unwind(AssertUnwindSafe(|| before.assert_unchanged()));
        runtime.call(["delete", "--force", bundle.id()]);

        assert!(complaint.is_err());
        for kind in ["control group", "state", "process"] {
            assert!(during.lines().iter().any(|line| line.starts_with(kind)), "{during:?}");
        }
        before.assert_unchanged();
    }
}
