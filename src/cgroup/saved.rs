//! What is kept of a control group between commands, and the mark on the group itself.

use std::path::PathBuf;

use rustix::fs::XattrFlags;
use rustix::io;
use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::systemd::SavedUnit;
use crate::plan::cgroup::RelativePath;
use crate::sys::{Result, errno};

/// A control group in the form of the state file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCgroup {
    /// The container, as it stands in the marks.
    #[serde(flatten)]
    pub claimant: Claimant,
    /// The group, below the root of every hierarchy.
    pub path: RelativePath,
    /// The mount points of the v1 hierarchies that init has joined.
    pub v1: Vec<PathBuf>,
    /// The directories that were made, in the order of making.
    pub created: Vec<CreatedDirectory>,
    /// Device programs in a group that was there before: they outlive the container otherwise.
    pub programs: Vec<u32>,
    /// The scope that it is, where systemd made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<SavedUnit>,
}

/// Whose a group is: a container, known by its id among those of one state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// The container's id.
    pub id: String,
    /// The directory that its state lies in, absolute.
    #[serde(default)]
    pub root: String,
}

/// A directory that this container's creation made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedDirectory {
    /// The mount point of its v1 hierarchy; `None` for v2.
    pub mount: Option<PathBuf>,
    /// The directory, below the hierarchy's root.
    pub path: RelativePath,
}

/// Who owns a group, as an extended attribute of its directory says.
///
/// A runtime that was killed half-way leaves no other trace of what it had made, and without
/// one nobody could tell its group from a neighbour's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Whether the container's creation made the directory.
    pub(super) made: bool,
    /// The container.
    pub(super) claimant: Claimant,
}

/// The second one is for a caller without privilege on the host, who may not write the first.
const NAMES: [&str; 2] = ["trusted.casemate", "user.casemate"];

/// What became of an attempt to mark.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marked {
    /// The mark is set; or the file system has no attributes, and nobody can know.
    Ours,
    /// There was a mark already.
    Was(Mark),
}

/// Marks a group, unless it has a mark. Atomic: of two callers one succeeds.
pub(super) fn mark(group: &Directory, mark: &Mark) -> Result<Marked> {
    let how = if mark.made { "made" } else { "used" };
    let value = format!("{how}:{}:{}", mark.claimant.id, mark.claimant.root);
    for name in NAMES {
        match rustix::fs::fsetxattr(group.as_fd(), name, value.as_bytes(), XattrFlags::CREATE) {
            Ok(()) => return Ok(Marked::Ours),
            Err(io::Errno::EXIST) => return Ok(read_mark(group).map_or(Marked::Ours, Marked::Was)),
            Err(io::Errno::PERM | io::Errno::ACCESS | io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(errno(error)),
        }
    }
    Ok(Marked::Ours)
}

/// Reads a group's mark.
pub(super) fn read_mark(group: &Directory) -> Option<Mark> {
    let mut buffer = [0; 8192];
    let text = NAMES.iter().find_map(|name| {
        let length = rustix::fs::fgetxattr(group.as_fd(), *name, &mut buffer).ok()?;
        std::str::from_utf8(buffer.get(..length)?).ok().map(str::to_owned)
    })?;
    let (how, container) = text.split_once(':')?;
    // No id has a colon in it.
    let (id, root) = container.split_once(':').unwrap_or((container, ""));
    let claimant = Claimant { id: id.to_owned(), root: root.to_owned() };
    Some(Mark { made: how == "made", claimant })
}

/// Takes the mark off a group that stays.
pub(super) fn unmark(group: &Directory) {
    for name in NAMES {
        // Not there, or gone with the group: both are what was wanted.
        let _ = rustix::fs::fremovexattr(group.as_fd(), name);
    }
}
