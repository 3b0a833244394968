//! Makes a group's directories, and claims the last one for a container.

use std::path::Path;

use super::CgroupError;
use super::directory::Directory;
use super::saved::{Claimant, CreatedDirectory, Mark, Marked, mark};
use crate::plan::cgroup::RelativePath;
use crate::sys::Errno;

/// How often a path is made anew when another container's removal takes a parent away.
const ATTEMPTS: u32 = 5;

/// Makes a path, checks that its last directory is free, and marks that as the container's.
pub(super) fn place(
    root: &Directory,
    mount: Option<&Path>,
    path: &RelativePath,
    claimant: &Claimant,
    created: &mut Vec<CreatedDirectory>,
) -> Result<Directory, CgroupError> {
    let mut attempt = 1;
    let (leaf, made) = loop {
        let result = make_path(root, mount, path, created);
        match result {
            Err(Errno::ENOENT | Errno::ENODEV) if attempt < ATTEMPTS => attempt += 1,
            other => break other.map_err(CgroupError::system("make", path.as_str()))?,
        }
    };
    if !made || path.as_str().contains('/') {
        check_free(&leaf, mount.is_some(), path)?;
    }
    let ours = Mark { made, claimant: claimant.clone() };
    let what = CgroupError::system("mark", path.as_str());
    match mark(&leaf, &ours).map_err(what)? {
        Marked::Ours => {}
        Marked::Was(mark) if mark.claimant == *claimant => {
            // A creation under this id was killed here; what it made is ours to remove.
            if mark.made && !made {
                created.push(CreatedDirectory {
                    mount: mount.map(Path::to_owned),
                    path: path.clone(),
                });
            }
        }
        Marked::Was(mark) => {
            return Err(CgroupError::Claimed {
                path: path.as_str().to_owned(),
                owner: mark.claimant.id,
            });
        }
    }
    Ok(leaf)
}

/// Makes what is missing of a path; says whether the last directory is new.
fn make_path(
    root: &Directory,
    mount: Option<&Path>,
    path: &RelativePath,
    created: &mut Vec<CreatedDirectory>,
) -> Result<(Directory, bool), Errno> {
    let (parent, name) = path.split_leaf();
    let mut make = |directory: &Directory, path: &str, name: &str| {
        let made = directory.make(name)?;
        if made {
            let path = RelativePath::parse(path).map_err(|_| Errno::EINVAL)?;
            created.push(CreatedDirectory { mount: mount.map(Path::to_owned), path });
        }
        Ok(made)
    };
    let above = match root.open(parent) {
        Err(Errno::ENOENT) => {
            let mut above = root.open("")?;
            let mut walked = String::new();
            for component in parent.split('/') {
                walked.push_str(component);
                make(&above, &walked, component)?;
                above = above.open(component)?;
                walked.push('/');
            }
            above
        }
        other => other?,
    };
    let made = make(&above, path.as_str(), name)?;
    above.open(name).map(|leaf| (leaf, made))
}

/// Refuses a group that has processes, or in which none would run.
fn check_free(leaf: &Directory, is_v1: bool, path: &RelativePath) -> Result<(), CgroupError> {
    let path = path.as_str();
    let read = |file: &str| leaf.read(file).map_err(CgroupError::system("read", path));
    if is_v1 {
        if !read("cgroup.procs")?.is_empty() {
            return Err(CgroupError::Occupied { path: path.to_owned() });
        }
        // The file is in one of the hierarchies.
        return match leaf.read("freezer.state") {
            Ok(state) if state.trim() != "THAWED" => {
                Err(CgroupError::Frozen { path: path.to_owned() })
            }
            Ok(_) | Err(Errno::ENOENT) => Ok(()),
            Err(source) => Err(CgroupError::system("read", path)(source)),
        };
    }
    let events = read("cgroup.events")?;
    if events.lines().any(|line| line == "populated 1") {
        return Err(CgroupError::Occupied { path: path.to_owned() });
    }
    let is_frozen = events.lines().any(|line| line == "frozen 1");
    if is_frozen || read("cgroup.freeze")?.trim() == "1" {
        return Err(CgroupError::Frozen { path: path.to_owned() });
    }
    Ok(())
}
