//! The control groups of a container, wherever this host has the controller.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Bundle, Runtime, TAG};

/// A file of the group that a process is in: `v2` of the v2 hierarchy, or else `v1` of the
/// hierarchy that has the controller. `None`, with a note, where neither has it.
pub(crate) fn group_file(pid: i64, controller: &str, v1: &str, v2: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next().unwrap(), fields.next().unwrap());
        let roots = if names.is_empty() {
            ["/sys/fs/cgroup".to_owned(), "/sys/fs/cgroup/unified".to_owned()].to_vec()
        } else if names.split(',').any(|name| name == controller) {
            [format!("/sys/fs/cgroup/{names}"), format!("/sys/fs/cgroup/{controller}")].to_vec()
        } else {
            continue;
        };
        let file = if names.is_empty() { v2 } else { v1 };
        let found = roots.iter().map(|root| PathBuf::from(format!("{root}{path}/{file}")));
        if let Some(found) = found.into_iter().find(|found| found.exists()) {
            return Some(found);
        }
    }
    println!("skipped, because the container has no controller `{controller}` to look at");
    None
}

/// The lines of proc_pid_cgroup(5), without the hierarchies that tests mount for a while.
pub(crate) fn groups_of(pid: impl Display) -> Vec<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let lasting = groups.lines().filter(|line| !line.contains(&format!(":name={TAG}")));
    lasting.map(str::to_owned).collect()
}

/// The directory of a process's group in the v2 hierarchy.
pub(crate) fn v2_group(pid: i64) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let hybrid = PathBuf::from("/sys/fs/cgroup/unified").join(path);
    if hybrid.exists() { hybrid } else { PathBuf::from("/sys/fs/cgroup").join(path) }
}

/// What stands in a file of a container's group.
pub(crate) fn group_value(
    runtime: &Runtime,
    bundle: &Bundle,
    (controller, v1, v2): (&str, &str, &str),
) -> Option<String> {
    let pid = runtime.state(bundle)["pid"].as_i64().unwrap();
    let file = group_file(pid, controller, v1, v2)?;
    Some(fs::read_to_string(file).unwrap().trim().to_owned())
}

/// Whether the host has a controller at all, in either version; says so if not.
pub(crate) fn has_controller(controller: &str) -> bool {
    let v2_name = if controller == "blkio" { "io" } else { controller };
    let v1 = fs::read_to_string("/proc/self/cgroup").unwrap();
    let in_v1 = v1.lines().any(|line| {
        let names = line.split(':').nth(1).unwrap_or_default();
        let mounted = |name: &str| Path::new("/sys/fs/cgroup").join(name).join("tasks").exists();
        names.split(',').any(|name| name == controller) && (mounted(names) || mounted(controller))
    });
    let in_v2 = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].iter().any(|root| {
        let list = fs::read_to_string(format!("{root}/cgroup.controllers")).unwrap_or_default();
        list.split_whitespace().any(|name| name == v2_name)
    });
    if !in_v1 && !in_v2 {
        println!("skipped, because this host has no controller `{controller}`");
    }
    in_v1 || in_v2
}
