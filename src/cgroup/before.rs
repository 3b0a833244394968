//! What limits were before an update, to set them back when it fails half-way.

use std::path::PathBuf;

use super::directory::Directory;
use super::{Cgroup, Hierarchies};
use crate::plan::cgroup::{CgroupPlan, Chosen, IfAbsent, Write, choose};

/// Lines that were in force.
#[derive(Debug, Default)]
pub(super) struct Before {
    lines: Vec<Line>,
}

/// One line of one file.
#[derive(Debug)]
struct Line {
    /// The mount point of its v1 hierarchy; `None` for v2.
    mount: Option<PathBuf>,
    file: String,
    value: String,
}

impl Before {
    /// Reads what the plan is going to write over. What cannot be read is not noted.
    pub(super) fn note(group: &Cgroup, plan: &CgroupPlan, hierarchies: &Hierarchies) -> Self {
        let mut before = Self::default();
        for setting in &plan.settings {
            let (write, mount) = match choose(setting, hierarchies.facts()) {
                Some(Chosen::V2(write)) => (write, None),
                Some(Chosen::V1 { write, mount }) => (write, Some(mount.to_owned())),
                None => continue,
            };
            let Some(directory) = directory(group, mount.as_ref()) else { continue };
            let other = match &write.if_absent {
                IfAbsent::Use { file, .. } => Some(file.as_ref()),
                IfAbsent::Fail | IfAbsent::Skip | IfAbsent::SkipWithoutSwap => None,
            };
            for file in std::iter::once(write.file.as_ref()).chain(other) {
                let found = directory.read(file).ok();
                if let Some(value) = found.and_then(|text| line_before(&text, write)) {
                    let file = file.to_owned();
                    before.lines.push(Line { mount: mount.clone(), file, value });
                }
            }
        }
        before
    }

    /// Writes the lines back, the last one first; twice, for some depend on each other.
    pub(super) fn set_back(&self, group: &Cgroup) {
        for line in self.lines.iter().rev().chain(self.lines.iter().rev()) {
            if let Some(directory) = directory(group, line.mount.as_ref()) {
                // The first error is the one that the caller hears of.
                let _ = directory.write(&line.file, &line.value);
            }
        }
    }
}

fn directory<'a>(group: &'a Cgroup, mount: Option<&PathBuf>) -> Option<&'a Directory> {
    match mount {
        None => Some(&group.leaf),
        Some(mount) => group.v1.iter().find(|v1| v1.mount == *mount).map(|v1| &v1.leaf),
    }
}

/// The line that stood where `write` will write, in a form that can be written back.
fn line_before(text: &str, write: &Write) -> Option<String> {
    let Some(key) = write.key() else {
        // One line, empty or not: an empty write would be no write.
        return Some(format!("{}\n", text.trim()));
    };
    // Files with a line for each device or interface.
    let found = text.lines().find(|line| line.split(' ').next() == Some(key));
    match found {
        Some(line) => Some(line.to_owned()),
        None if write.file == "io.max" => {
            Some(format!("{key} rbps=max wbps=max riops=max wiops=max"))
        }
        None if write.file.starts_with("blkio.throttle.") => Some(format!("{key} 0")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &'static str, value: &str) -> Write {
        Write {
            controller: "io".into(),
            file: file.into(),
            value: value.to_owned(),
            if_absent: IfAbsent::Fail,
        }
    }

    #[test]
    fn a_whole_file_is_set_back_whole_and_one_of_devices_by_its_line() {
        let max = write("io.max", "8:0 rbps=1");
        let table =
            "8:1 rbps=7 wbps=max riops=max wiops=max\n8:0 rbps=5 wbps=max riops=max wiops=max\n";

        let line = |text: &str, write: &Write| line_before(text, write).unwrap();
        assert_eq!(line("max 100000\n", &write("cpu.max", "5000 100000")), "max 100000\n");
        assert_eq!(line("\n", &write("cpuset.cpus", "0")), "\n");
        assert_eq!(line(table, &max), "8:0 rbps=5 wbps=max riops=max wiops=max");
        assert_eq!(line("", &max), "8:0 rbps=max wbps=max riops=max wiops=max");
        assert_eq!(line("", &write("blkio.throttle.read_bps_device", "8:0 9")), "8:0 0");
    }
}
