//! Writes limits: enables what controllers they need, and copes with their order.

use std::collections::BTreeSet;

use super::CgroupError;
use super::directory::Directory;
use crate::plan::cgroup::{CORE, IfAbsent, Write};
use crate::sys::{Errno, Result};

/// One write, and who asked for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit<'a> {
    pub(super) at: &'a str,
    pub(super) write: &'a Write,
    /// It only takes a limit away: where the file is missing there is none.
    pub(super) is_default: bool,
}

/// Makes the limits' controllers available in a v2 group. Nothing is written where they are
/// already, and nothing is enabled that nobody asked for.
pub(super) fn enable(
    root: &Directory,
    path: &str,
    leaf: &Directory,
    limits: &[Limit<'_>],
) -> std::result::Result<(), CgroupError> {
    let asked = limits.iter().filter(|limit| !limit.is_default);
    let needed: BTreeSet<&str> = asked.map(|limit| limit.write.controller.as_ref()).collect();
    let needed: Vec<&str> = needed.into_iter().filter(|name| *name != CORE).collect();
    if needed.is_empty() {
        return Ok(());
    }
    let read = |directory: &Directory, file: &str| {
        directory.read(file).map_err(CgroupError::system("read controllers of", path))
    };
    if missing(&needed, &read(leaf, "cgroup.controllers")?).is_empty() {
        return Ok(());
    }
    let mut walked = String::new();
    let mut directory = root.open("").map_err(CgroupError::system("open", ""))?;
    for component in path.split('/') {
        let controllers = missing(&needed, &read(&directory, "cgroup.subtree_control")?);
        if !controllers.is_empty() {
            directory.write("cgroup.subtree_control", &controllers).map_err(|source| {
                CgroupError::Enable { path: walked.clone(), controllers, source }
            })?;
        }
        directory = directory.open(component).map_err(CgroupError::system("open", path))?;
        if !walked.is_empty() {
            walked.push('/');
        }
        walked.push_str(component);
    }
    Ok(())
}

/// The controllers that a list lacks, as `+memory +pids`.
fn missing(needed: &[&str], list: &str) -> String {
    let lacking = needed.iter().filter(|name| !list.split_whitespace().any(|has| has == **name));
    lacking.map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ")
}

/// Writes limits to one group.
///
/// Some depend on each other (memory below memory and swap, burst below quota), and which
/// order is right depends on what was there before. So what the kernel calls invalid is tried
/// once more after the others.
pub(super) fn write_all(
    group: &Directory,
    path: &str,
    limits: &[Limit<'_>],
) -> std::result::Result<(), CgroupError> {
    let mut again = Vec::new();
    for limit in limits {
        match write_one(group, limit) {
            Err(Errno::EINVAL | Errno::EBUSY) if limits.len() > 1 => again.push(limit),
            other => other.map_err(|source| refused(*limit, path, source))?,
        }
    }
    for limit in again {
        write_one(group, limit).map_err(|source| refused(*limit, path, source))?;
    }
    Ok(())
}

fn refused(limit: Limit<'_>, path: &str, source: Errno) -> CgroupError {
    CgroupError::Limit {
        at: limit.at.to_owned(),
        file: limit.write.file.to_string(),
        value: limit.write.value.clone(),
        path: path.to_owned(),
        source,
    }
}

fn write_one(group: &Directory, limit: &Limit<'_>) -> Result<()> {
    let write = limit.write;
    let refused = match group.write(&write.file, &write.value) {
        Err(Errno::ENOENT) => Errno::ENOENT,
        other => return other,
    };
    match &write.if_absent {
        IfAbsent::Fail if limit.is_default => Ok(()),
        IfAbsent::Fail => Err(refused),
        IfAbsent::Skip => Ok(()),
        IfAbsent::SkipWithoutSwap if host_has_swap() => Err(refused),
        IfAbsent::SkipWithoutSwap => Ok(()),
        IfAbsent::Use { file, value } => group.write(file, value),
    }
}

/// Whether anything could be swapped out; yes when that cannot be read.
fn host_has_swap() -> bool {
    let swaps = Directory::open_root(std::path::Path::new("/proc"));
    // The first line is the table's head. A kernel without swap has no such file.
    match swaps.and_then(|proc| proc.read("swaps")) {
        Ok(table) => table.lines().count() > 1,
        Err(errno) => errno != Errno::ENOENT,
    }
}

/// Gives new groups of a v1 cpuset hierarchy what their parents have: they start with no
/// processor and no memory node, and would take no process.
pub(super) fn seed_cpuset(root: &Directory, path: &str) -> Result<()> {
    let mut above = root.open("")?;
    for component in path.split('/') {
        let group = above.open(component)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if group.read(file)?.trim().is_empty() {
                group.write(file, above.read(file)?.trim())?;
            }
        }
        above = group;
    }
    Ok(())
}
