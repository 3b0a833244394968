//! Where a process enters the control groups of a container that exists.

use std::os::fd::BorrowedFd;

use super::directory::Directory;
use super::{Cgroup, CgroupError, Hierarchies};
use crate::plan::GroupBelow;
use crate::sys::Errno;

/// One group in each hierarchy that the container is in: its own, or one below.
#[derive(Debug)]
pub struct Entrance {
    path: String,
    leaf: Directory,
    v1: Vec<Directory>,
}

impl Cgroup {
    /// Opens the groups that a further process enters. A hierarchy that `below` says nothing of
    /// is entered at the container's own group; where that has given its controllers to groups
    /// below it, and can hold no process any more, at the group of `init`.
    ///
    /// # Errors
    /// [`CgroupError::Below`] for a group that is not there or not the container's,
    /// [`CgroupError::System`].
    pub fn entrance(
        &self,
        below: &[GroupBelow],
        init: i32,
        hierarchies: &Hierarchies,
    ) -> Result<Entrance, CgroupError> {
        for group in below {
            self.check(group, hierarchies)?;
        }
        let path = self.path.as_str();
        let of_v2 = |group: &&GroupBelow| names_v2(group);
        let leaf = match below.iter().rev().find(of_v2) {
            Some(group) => open_below(&self.leaf, group)?,
            None if is_divided(&self.leaf) => self.group_of(init)?,
            None => self.leaf.open("").map_err(CgroupError::system("open", path))?,
        };
        let mut v1 = Vec::with_capacity(self.v1.len());
        for group in &self.v1 {
            let mount = group.mount.as_path();
            let asked = below.iter().rev().find(|below| match &below.hierarchy {
                None => true,
                Some(names) => {
                    names.split(',').any(|name| hierarchies.v1_mount(name) == Some(mount))
                }
            });
            v1.push(match asked {
                Some(asked) => open_below(&group.leaf, asked)?,
                None => group.leaf.open("").map_err(CgroupError::system("open v1", path))?,
            });
        }
        Ok(Entrance { path: path.to_owned(), leaf, v1 })
    }

    /// Refuses a hierarchy that the container is not in.
    fn check(&self, group: &GroupBelow, hierarchies: &Hierarchies) -> Result<(), CgroupError> {
        let names = group.hierarchy.iter().flat_map(|names| names.split(','));
        for name in names.filter(|name| *name != GroupBelow::V2) {
            let why = match hierarchies.v1_mount(name) {
                Some(mount) if self.v1.iter().any(|group| group.mount == mount) => continue,
                Some(_) => "the container has no limit in that hierarchy, and is not in it",
                None => "unknown controller on this host: it has no such hierarchy of cgroup v1",
            };
            return Err(CgroupError::Below { group: group.to_string(), why });
        }
        Ok(())
    }

    /// The group that init moved to, below the container's own.
    fn group_of(&self, init: i32) -> Result<Directory, CgroupError> {
        let what = CgroupError::system("find init's group below", self.path.as_str());
        let own = Directory::open_root(std::path::Path::new(&format!("/proc/{init}")))
            .and_then(|process| process.read("cgroup"))
            .map_err(what)?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let below = path.strip_prefix(self.path.as_str());
        match below.filter(|below| below.is_empty() || below.starts_with('/')) {
            Some(below) => self
                .leaf
                .open(below.trim_start_matches('/'))
                .map_err(CgroupError::system("open init's group below", self.path.as_str())),
            None => Err(CgroupError::Below {
                group: format!("/{path}"),
                why: "init has left the container's own group",
            }),
        }
    }
}

impl Entrance {
    /// The v2 directory, for `clone3` with `CLONE_INTO_CGROUP`. Close-on-exec.
    #[must_use]
    pub fn leaf_fd(&self) -> BorrowedFd<'_> {
        self.leaf.as_fd()
    }

    /// Puts a process into the v1 hierarchies. Each takes some milliseconds.
    ///
    /// # Errors
    /// [`CgroupError::System`]; `ESRCH` when the process is gone.
    pub fn join_v1(&self, pid: i32) -> Result<(), CgroupError> {
        for group in &self.v1 {
            let what = CgroupError::system("join v1", &self.path);
            group.write("cgroup.procs", &pid.to_string()).map_err(what)?;
        }
        Ok(())
    }
}

fn names_v2(group: &GroupBelow) -> bool {
    let is_v2 = |names: &str| names.split(',').any(|name| name == GroupBelow::V2);
    group.hierarchy.as_deref().is_none_or(is_v2)
}

/// Opens a group below one of the container's: by descriptor, so that no link or `..` leads out.
fn open_below(own: &Directory, group: &GroupBelow) -> Result<Directory, CgroupError> {
    let why = match own.open(&group.path) {
        Ok(directory) => return Ok(directory),
        Err(Errno::ENOENT) => "no such file or directory: it must exist",
        Err(Errno::ENOTDIR) => "not a directory",
        Err(_) => "it cannot be opened as a group of the container",
    };
    Err(CgroupError::Below { group: group.to_string(), why })
}

/// Whether a group has given controllers to groups below it: then it can hold no process.
fn is_divided(group: &Directory) -> bool {
    group.read("cgroup.subtree_control").is_ok_and(|controllers| !controllers.trim().is_empty())
}
