//! The container's group in resctrl: made, given its share, joined, and removed.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};

use super::mount_point::Made;
use crate::engine::cause::Cause;
use crate::plan::resctrl::{Group, Resctrl, holds};
use crate::sys::{Errno, errno, fd};

/// `RDTGROUP_SUPER_MAGIC` of `linux/magic.h`.
const RESCTRL_MAGIC: rustix::fs::FsWord = 0x0765_5821;

fn text(name: &str) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::EINVAL)
}

/// Opens the root of resctrl, which must be one.
fn open_root(plan: &Resctrl) -> Result<OwnedFd, Cause> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(plan.root.as_c_str(), flags, Mode::empty()).map_err(errno)?;
    let kind = rustix::fs::fstatfs(&root).map_err(errno)?.f_type;
    if kind != RESCTRL_MAGIC && !crate::engine::stands_in_for_resctrl(plan.root.as_str()) {
        let what = "it is no longer a resctrl file system".to_owned();
        return Err(Cause::with_detail(Errno::ENODEV, what));
    }
    Ok(root)
}

/// Makes the group if it is to be made, and sees that it has its schemata.
pub(in crate::engine) fn make(plan: &Resctrl, id: &str, made: &mut Vec<Made>) -> Result<(), Cause> {
    let root = open_root(plan)?;
    let name = plan.group.name(id);
    let existed = match &plan.group {
        Group::Default => true,
        Group::ById => {
            let there = "a group of the container\u{2019}s name is there already";
            make_group(root.as_fd(), name, made)?
                .then_some(())
                .ok_or_else(|| Cause::with_detail(Errno::EEXIST, there.to_owned()))?;
            false
        }
        Group::Named(_) if plan.schemata.is_empty() => {
            let missing = "the group must be made beforehand, or the bundle give its schemata";
            let with = |error: Errno| Cause::with_detail(error, missing.to_owned());
            open_group(root.as_fd(), name).map_err(with)?;
            true
        }
        Group::Named(_) => !make_group(root.as_fd(), name, made)?,
    };
    let group = open_group(root.as_fd(), name)?;
    if existed {
        return compare(plan, group.as_fd());
    }
    for line in &plan.schemata {
        write(group.as_fd(), "schemata", &format!("{line}\n"))
            .map_err(|error| status(root.as_fd(), error))?;
    }
    Ok(())
}

/// `false` if it is there already.
fn make_group(root: BorrowedFd<'_>, name: &str, made: &mut Vec<Made>) -> Result<bool, Cause> {
    let name = text(name)?;
    match rustix::fs::mkdirat(root, &name, Mode::from_raw_mode(0o755)) {
        Ok(()) => {
            let parent = fd::duplicate_above(root, 3)?;
            made.push(Made::directory(parent, name));
            Ok(true)
        }
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(error) => Err(status(root, errno(error))),
    }
}

fn open_group(root: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let name = text(if name.is_empty() { "." } else { name })?;
    fd::open_beneath(root, &name, OFlags::PATH | OFlags::DIRECTORY)
}

/// A group that others made, or are in, keeps its schemata; they must be what is asked for.
fn compare(plan: &Resctrl, group: BorrowedFd<'_>) -> Result<(), Cause> {
    if plan.schemata.is_empty() {
        return Ok(());
    }
    let file = fd::open_beneath(group, &text("schemata")?, OFlags::RDONLY)?;
    let mut found = vec![0; 64 << 10];
    let got = rustix::io::read(&file, found.as_mut_slice()).map_err(errno)?;
    let found = String::from_utf8_lossy(found.get(..got).unwrap_or_default()).into_owned();
    match plan.schemata.iter().find(|line| !holds(&found, line.as_str())) {
        None => Ok(()),
        Some(line) => {
            let what = format!("the group exists, and its schemata are not `{line}`");
            Err(Cause::said(what))
        }
    }
}

/// Puts a process into the group, and into its monitoring group, which is made if it is missing.
pub(in crate::engine) fn join(
    plan: &Resctrl,
    id: &str,
    pid: i32,
    made: &mut Vec<Made>,
) -> Result<(), Cause> {
    let root = open_root(plan)?;
    let group = open_group(root.as_fd(), plan.group.name(id))?;
    let said = |error| status(root.as_fd(), error);
    write(group.as_fd(), "tasks", &pid.to_string()).map_err(said)?;
    if plan.monitored {
        let below = open_group(group.as_fd(), "mon_groups")?;
        make_group(below.as_fd(), id, made)?;
        let monitor = open_group(below.as_fd(), id)?;
        write(monitor.as_fd(), "tasks", &pid.to_string()).map_err(said)?;
    }
    Ok(())
}

fn write(dir: BorrowedFd<'_>, name: &str, value: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let mode = Mode::from_raw_mode(0o644);
    let file = rustix::fs::openat2(dir, text(name)?, flags, mode, resolve).map_err(errno)?;
    rustix::io::write(&file, value.as_bytes()).map(drop).map_err(errno)
}

/// The error, with what resctrl itself says about it.
fn status(root: BorrowedFd<'_>, error: Errno) -> Cause {
    let said = || -> Option<String> {
        let file = fd::open_beneath(root, c"info/last_cmd_status", OFlags::RDONLY).ok()?;
        let mut buffer = [0; 256];
        let got = rustix::io::read(&file, &mut buffer).ok()?;
        let said = String::from_utf8_lossy(buffer.get(..got)?).trim().to_owned();
        (!said.is_empty() && said != "ok").then_some(said)
    };
    match said() {
        Some(said) => Cause::with_detail(error, said),
        None => error.into(),
    }
}

/// Writes these lines into the schemata of a container's group, unless it is that of everyone.
///
/// # Errors
/// What was refused, as a clause.
pub fn update(plan: &Resctrl, id: &str, lines: &[String]) -> Result<(), String> {
    if plan.group == Group::Default {
        return Err("the container's group is that of everyone".to_owned());
    }
    let told = |cause: Cause| {
        let number = cause.errno.map(|errno| format!("{errno:?}"));
        number.into_iter().chain(cause.detail).collect::<Vec<_>>().join(": ")
    };
    let root = open_root(plan).map_err(told)?;
    let group = open_group(root.as_fd(), plan.group.name(id)).map_err(|e| told(e.into()))?;
    for line in lines {
        write(group.as_fd(), "schemata", &format!("{line}\n"))
            .map_err(|error| told(status(root.as_fd(), error)))?;
    }
    Ok(())
}

/// The directories of resctrl that go with the container, innermost first.
#[must_use]
pub fn directories(plan: &Resctrl, id: &str) -> Vec<PathBuf> {
    let group = Path::new(plan.root.as_str()).join(plan.group.name(id));
    let monitor = plan.monitored.then(|| group.join("mon_groups").join(id));
    let own = (plan.group == Group::ById).then_some(group);
    monitor.into_iter().chain(own).collect()
}

/// Removes directories of resctrl. Whatever is still in such a group falls to the one above.
pub fn remove(directories: &[PathBuf]) {
    for directory in directories {
        let kind = rustix::fs::statfs(directory).map(|found| found.f_type);
        let stand_in = directory.to_str().is_some_and(crate::engine::stands_in_for_resctrl);
        if kind != Ok(RESCTRL_MAGIC) && !stand_in {
            continue;
        }
        // Gone already, or never made: as good.
        let _ = rustix::fs::unlinkat(rustix::fs::CWD, directory, AtFlags::REMOVEDIR);
    }
}
