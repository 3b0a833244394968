//! Looks at the boxes that other processes are in: their user namespaces and id maps.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open, stat};

use crate::plan::action::IdMapping;
use crate::plan::text::HostPath;
use crate::sys::placeholder::Placeholder;
use crate::sys::{Errno, Result, errno};

/// The inode number of the user namespace that process `pid` is in; `None` if that is our own,
/// or the process is gone.
#[must_use]
pub fn user_namespace_of(pid: i32) -> Option<u64> {
    let own = stat(c"/proc/self/ns/user").ok()?.st_ino;
    let found = stat(format!("/proc/{pid}/ns/user")).ok()?.st_ino;
    (found != own).then_some(found)
}

/// Opens the user namespace of process `pid`, if its inode number is `inode`.
///
/// # Errors
/// `ESTALE` if it is another one by now, or what opening it gave.
pub fn open_user_namespace(pid: i32, inode: u64) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = open(format!("/proc/{pid}/ns/user"), flags, Mode::empty()).map_err(errno)?;
    let found = rustix::fs::fstat(&namespace).map_err(errno)?.st_ino;
    if found == inode { Ok(namespace) } else { Err(Errno::ESTALE) }
}

/// How the users and the groups of process `pid` are mapped, as this process counts.
///
/// # Errors
/// What reading `/proc` gave.
pub fn maps_of(pid: i32) -> Result<(Vec<IdMapping>, Vec<IdMapping>)> {
    let pid = pid.to_string();
    Ok((read_map_of(&pid, "uid_map")?, read_map_of(&pid, "gid_map")?))
}

/// The same of a user namespace that is known by a path alone. A process goes in for a moment.
///
/// # Errors
/// What opening and joining it gave.
pub fn maps_in(path: &HostPath) -> Result<(Vec<IdMapping>, Vec<IdMapping>)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = open(path.as_c_str(), flags, Mode::empty()).map_err(errno)?;
    let inside = Placeholder::start_in(namespace.as_fd())?;
    maps_of(inside.pid())
}

/// One map of a process: its number, or `self`.
pub(super) fn read_map_of(process: &str, name: &str) -> Result<Vec<IdMapping>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/{name}"))
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    text.lines().map(|line| parse_line(line).ok_or(Errno::EIO)).collect()
}

/// A line of user_namespaces(7), "User and group ID mappings".
fn parse_line(line: &str) -> Option<IdMapping> {
    let mut numbers = line.split_ascii_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(IdMapping { inside: next()?, outside: next()?, size: next()? })
}

/// The processes that are in the mount namespace of process `init`, in the order of their numbers;
/// only `init` if that is this process's own. Every container has one of its own.
///
/// Reads all of `/proc`: only where no control group tells.
#[must_use]
pub fn processes_beside(init: i32) -> Vec<i32> {
    let of = |pid: &str| stat(format!("/proc/{pid}/ns/mnt")).ok().map(|stat| stat.st_ino);
    let home = of(&init.to_string());
    if home.is_none() || home == of("self") {
        return home.map(|_| init).into_iter().collect();
    }
    let Ok(processes) = std::fs::read_dir("/proc") else { return vec![init] };
    let names = processes.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut pids: Vec<i32> =
        names.filter(|name| of(name) == home).filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Who is in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inhabitants {
    /// No process, or only such as cannot be looked at any more.
    Nobody,
    /// Processes of one box, by the inode number of its user namespace.
    OneBox(u64),
    /// Processes of our own user namespace, or of several boxes; or nobody knows.
    Others,
}

/// Who is in the namespace with this inode number; `link` is its kind's name in `/proc/PID/ns`.
///
/// Reads all of `/proc`: only for a namespace that an engine made beforehand.
#[must_use]
pub fn inhabitants(link: &str, inode: u64) -> Inhabitants {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Inhabitants::Others };
    let mut found = Inhabitants::Nobody;
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if !stat(format!("/proc/{pid}/ns/{link}")).is_ok_and(|stat| stat.st_ino == inode) {
            continue;
        }
        let lives_in = user_namespace_of(pid);
        found = match (found, lives_in) {
            (Inhabitants::Nobody, Some(inode)) => Inhabitants::OneBox(inode),
            (Inhabitants::OneBox(before), Some(inode)) if before == inode => found,
            _ => return Inhabitants::Others,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_map_has_three_numbers() {
        let map = parse_line("         0     524288      65536");

        assert_eq!(map, Some(IdMapping { inside: 0, outside: 524_288, size: 65_536 }));
        assert_eq!(parse_line("0 1"), None);
    }

    #[test]
    fn our_own_user_namespace_is_no_box_and_not_empty() {
        let own = i32::try_from(std::process::id()).unwrap();
        let inode = stat("/proc/self/ns/user").unwrap().st_ino;

        assert_eq!(user_namespace_of(own), None);
        assert_eq!(inhabitants("user", inode), Inhabitants::Others);
        assert_eq!(inhabitants("user", 1), Inhabitants::Nobody);
        assert!(maps_of(own).unwrap().0.len() == 1);
        assert!(open_user_namespace(own, inode).is_ok());
        assert_eq!(open_user_namespace(own, 1).err(), Some(Errno::ESTALE));
    }
}
