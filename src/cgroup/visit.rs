//! A process of the host's that enters a container's group for a while, so that what it makes is
//! born there, and leaves it again.

use std::path::PathBuf;

use super::directory::{Directory, read_to_end};
use super::hierarchies::open_v1;
use super::{Cgroup, CgroupError, Hierarchies};
use crate::sys::{Errno, Result, errno};

/// The groups that this process was in, in every hierarchy that containers may be in.
#[derive(Debug)]
pub struct HomeGroups {
    v2: Directory,
    v1: Vec<(PathBuf, Directory)>,
}

impl HomeGroups {
    /// Finds them.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn find(hierarchies: &Hierarchies) -> std::result::Result<Self, CgroupError> {
        find(hierarchies).map_err(CgroupError::system("find", "the own groups"))
    }
}

fn find(hierarchies: &Hierarchies) -> Result<HomeGroups> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open("/proc/self/cgroup", flags, rustix::fs::Mode::empty());
    let text = read_to_end(&file.map_err(errno)?)?;
    // Number, controllers, path.
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(":/"));
    let (_, path) = lines().find(|(names, _)| names.is_empty()).ok_or(Errno::ENOENT)?;
    let v2 = hierarchies.v2.open(path)?;
    let mut v1 = Vec::new();
    for (names, path) in lines() {
        if let Some(mount) = hierarchies.v1_mount(names) {
            v1.push((mount.to_owned(), open_v1(mount)?.open(path)?));
        }
    }
    Ok(HomeGroups { v2, v1 })
}

impl Cgroup {
    /// Puts a process of the host's into the group, in every hierarchy that the container is in. 0
    /// means this process.
    ///
    /// # Errors
    /// [`CgroupError::System`]; `ESRCH` when the process is gone.
    pub fn enter(&self, pid: i32) -> std::result::Result<(), CgroupError> {
        self.join_v1(pid)?;
        let what = CgroupError::system("join", self.path.as_str());
        self.leaf.write("cgroup.procs", &pid.to_string()).map_err(what)
    }

    /// Takes such a process out of the v2 group again: what happens to the group from then on
    /// does not happen to it.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn leave_v2(&self, pid: i32, home: &HomeGroups) -> std::result::Result<(), CgroupError> {
        let what = CgroupError::system("leave", self.path.as_str());
        home.v2.write("cgroup.procs", &pid.to_string()).map_err(what)
    }

    /// Takes such a process out of the group in every hierarchy.
    ///
    /// # Errors
    /// [`CgroupError::System`].
    pub fn leave(&self, pid: i32, home: &HomeGroups) -> std::result::Result<(), CgroupError> {
        // First the one whose processes are killed when something goes wrong.
        self.leave_v2(pid, home)?;
        for group in &self.v1 {
            let what = CgroupError::system("leave v1", self.path.as_str());
            let own = home.v1.iter().find(|(mount, _)| *mount == group.mount);
            let left = own.ok_or(Errno::ENOENT);
            left.and_then(|(_, own)| own.write("cgroup.procs", &pid.to_string())).map_err(what)?;
        }
        Ok(())
    }
}
