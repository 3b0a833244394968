//! Removes what a container's creation made, and nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::hierarchies::open_v1;
use super::processes::{PATIENCE, kill_all, timeout, wait_for_event};
use super::saved::{Claimant, CreatedDirectory, SavedCgroup, read_mark, unmark};
use super::{Cgroup, CgroupError, Hierarchies, scoped, tree};
use crate::plan::cgroup::{CgroupPath, RelativePath};
use crate::sys::{Errno, Result, bpf};

impl Cgroup {
    /// Removes the directories that creation made, once their processes have ended (up to 2 s).
    /// Groups that the container itself made below go with them; a directory above that others
    /// use by now stays. From a group that was there before, only the device program and the
    /// mark are taken.
    ///
    /// # Errors
    /// [`CgroupError::Timeout`] when processes are left: call [`Cgroup::kill_all`] first.
    pub fn remove(&self, hierarchies: &Hierarchies) -> std::result::Result<(), CgroupError> {
        let path = self.path.as_str();
        if !wait_for_event(&self.leaf, "populated 0")
            .map_err(CgroupError::system("remove", path))?
        {
            return Err(timeout(path, "populated"));
        }
        self.release();
        self.stop_unit();
        for made in self.created.iter().rev() {
            let what = CgroupError::system("remove", made.path.as_str());
            let root = match &made.mount {
                None => hierarchies.v2.open(""),
                Some(mount) => open_v1(mount),
            };
            if made.path == self.path {
                root.and_then(|root| remove_tree(&root, &made.path)).map_err(what)?;
            } else {
                // Others may have moved in below it since: then it is theirs.
                let _ = root.and_then(|root| remove_empty(&root, &made.path));
            }
        }
        Ok(())
    }

    /// Undoes a creation that failed; no process has been inside.
    pub(super) fn abandon(&self, hierarchies: &Hierarchies) {
        self.release();
        // Its process is not a container's: no one waits for what it may still do.
        let _ = kill_all(&self.leaf);
        self.stop_unit();
        take_back(hierarchies, &self.created);
    }

    /// Leaves groups that were there before as they were found, limits aside.
    fn release(&self) {
        for id in &self.programs {
            let _ = bpf::detach_device_program(self.leaf.as_fd(), *id);
        }
        if !self.owns_leaf() {
            unmark(&self.leaf);
        }
        let is_made = |mount: &Path| {
            let mut leaves = self.created.iter().filter(|made| made.path == self.path);
            leaves.any(|made| made.mount.as_deref() == Some(mount))
        };
        for group in self.v1.iter().filter(|group| !is_made(&group.mount)) {
            unmark(&group.leaf);
        }
    }
}

/// Removes directories that were just made and are empty, the last one first.
pub(super) fn take_back(hierarchies: &Hierarchies, created: &[CreatedDirectory]) {
    for made in created.iter().rev() {
        let root = match &made.mount {
            None => hierarchies.v2.open(""),
            Some(mount) => open_v1(mount),
        };
        // Another container may have come to use a directory above: it stays then.
        let _ = root.and_then(|root| remove_empty(&root, &made.path));
    }
}

/// Removes what was saved of a container's group, whatever is left of it. Its processes are
/// killed.
///
/// # Errors
/// [`CgroupError::Timeout`] when killed processes do not end in 2 s.
pub fn remove_saved(
    saved: &SavedCgroup,
    hierarchies: &Hierarchies,
) -> std::result::Result<(), CgroupError> {
    let group = match Cgroup::open(saved, hierarchies) {
        Ok(group) => group,
        // Someone took the v2 group away: systemd does when its scope is empty. What is left
        // elsewhere is still ours.
        Err(CgroupError::System { source: Errno::ENOENT | Errno::ENODEV, .. }) => {
            if let Some(unit) = &saved.unit {
                scoped::stop(unit);
            }
            for made in saved.created.iter().rev() {
                let what = CgroupError::system("remove", made.path.as_str());
                match &made.mount {
                    None => {}
                    Some(mount) if made.path == saved.path => {
                        open_v1(mount)
                            .and_then(|root| remove_tree(&root, &made.path))
                            .map_err(what)?;
                    }
                    Some(mount) => {
                        let _ = open_v1(mount).and_then(|root| remove_empty(&root, &made.path));
                    }
                }
            }
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    group.kill_all()?;
    group.remove(hierarchies)
}

/// Removes what a creation left that was killed before it could save anything: only the
/// planned path is known.
///
/// Processes are killed only in a group that bears this container's mark. One without any
/// mark is removed if it is empty; one with another container's is left alone. Directories
/// above are left too.
///
/// # Errors
/// [`CgroupError::Timeout`] when killed processes do not end in 2 s.
pub fn remove_planned(
    path: &CgroupPath,
    claimant: &Claimant,
    hierarchies: &Hierarchies,
) -> std::result::Result<(), CgroupError> {
    let place = path.resolve(&claimant.id).map_err(|source| CgroupError::Path { source })?;
    if let CgroupPath::Scope(_) = path
        && !is_populated(&hierarchies.v2, &place)
    {
        // Begun and never marked; one with processes in it may be somebody else's.
        scoped::stop_at(&place);
    }
    let path = place;
    remove_if_marked(&hierarchies.v2, &path, claimant)?;
    for mount in hierarchies.v1_mounts() {
        let what = CgroupError::system("open v1", path.as_str());
        remove_if_marked(&open_v1(mount).map_err(what)?, &path, claimant)?;
    }
    Ok(())
}

fn is_populated(root: &Directory, path: &RelativePath) -> bool {
    let group = root.open(path.as_str());
    let events = group.and_then(|group| group.read("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

/// Removes every group that bears this container's mark, wherever it is: when nothing is left
/// that says where. Looks at every group of the host.
///
/// # Errors
/// As [`remove_planned`].
pub fn remove_marked(
    claimant: &Claimant,
    hierarchies: &Hierarchies,
) -> std::result::Result<(), CgroupError> {
    remove_below(&hierarchies.v2, claimant)?;
    for mount in hierarchies.v1_mounts() {
        let what = CgroupError::system("open v1", "");
        remove_below(&open_v1(mount).map_err(what)?, claimant)?;
    }
    Ok(())
}

fn remove_below(root: &Directory, claimant: &Claimant) -> std::result::Result<(), CgroupError> {
    let mut found = Vec::new();
    let mut look = |group: &Directory, way: &str| {
        if read_mark(group).is_some_and(|mark| mark.claimant == *claimant) {
            found.extend(RelativePath::parse(way));
        }
        Ok(())
    };
    let what = CgroupError::system("look through", "");
    tree::walk(root, &mut look, &mut |_, _| Ok(())).map_err(what)?;
    for path in found {
        remove_if_marked(root, &path, claimant)?;
    }
    Ok(())
}

fn remove_if_marked(
    root: &Directory,
    path: &RelativePath,
    claimant: &Claimant,
) -> std::result::Result<(), CgroupError> {
    let what = || CgroupError::system("remove", path.as_str());
    let group = match root.open(path.as_str()) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other.map_err(what())?,
    };
    let Some(mark) = read_mark(&group) else {
        // Killed between making and marking, perhaps. Or someone else's, and in use.
        let _ = remove_empty(root, path);
        return Ok(());
    };
    if mark.claimant != *claimant {
        return Ok(());
    }
    // A v1 group has no such files: its processes are in the v2 group, which came first.
    if group.open_file("cgroup.events", rustix::fs::OFlags::RDONLY).is_ok() {
        kill_all(&group).map_err(what())?;
        if !wait_for_event(&group, "populated 0").map_err(what())? {
            return Err(timeout(path.as_str(), "populated"));
        }
    }
    // systemd may not notice that the last process is gone, if the directory goes at once.
    scoped::stop_at(path);
    if mark.made {
        return remove_tree(root, path).map_err(what());
    }
    unmark(&group);
    Ok(())
}

/// Removes one directory below a hierarchy's root.
fn remove_empty(root: &Directory, path: &RelativePath) -> Result<()> {
    let (parent, name) = path.split_leaf();
    match root.open(parent) {
        Err(Errno::ENOENT) => Ok(()),
        other => other?.remove(name),
    }
}

/// Removes a directory with all below it. The kernel frees a group some time after its last
/// process has ended, v1 later than v2: `EBUSY` is tried again, at growing intervals.
fn remove_tree(root: &Directory, path: &RelativePath) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(100);
    loop {
        match remove_empty(root, path) {
            Err(Errno::EBUSY | Errno::ENOTEMPTY) if Instant::now() < deadline => {
                match root.open(path.as_str()) {
                    Err(Errno::ENOENT) => return Ok(()),
                    other => remove_children(&other?)?,
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

/// Removes the groups below one, deepest first, as far as they are free.
fn remove_children(group: &Directory) -> Result<()> {
    tree::walk(group, &mut |_, _| Ok(()), &mut |above, name| match above.remove(name) {
        Ok(()) | Err(Errno::EBUSY | Errno::ENOTEMPTY) => Ok(()),
        Err(errno) => Err(errno),
    })
}
