//! `/sys/fs/cgroup` on a host that has hierarchies of version 1: a directory for each, as programs
//! expect it there, and in it the container's own group, bound from the host.
//!
//! A bind of that group shows nothing above it, with a control group namespace or without one:
//! not the root of a hierarchy, where the host keeps what it runs (`release_agent`).

use super::Wanted;
use crate::plan::cgroup::HierarchyView;
use crate::plan::mount::{Filesystem, FsOption, GroupsTree, MountAttributes};
use crate::plan::text::{RootedPath, Text};
use crate::sys::flags::mount_attr;

/// What the hierarchies are mounted in.
pub(super) fn tree(
    source: Text,
    mut options: Vec<FsOption>,
    hierarchies: &[HierarchyView],
) -> Result<GroupsTree, String> {
    let text = |name: &str| Text::new(name).map_err(|error| error.to_string());
    if !options.iter().any(|(key, _)| key.as_str() == "mode") {
        options.push((text("mode")?, Some(text("755")?)));
    }
    let (mut directories, mut links) = (Vec::new(), Vec::new());
    for hierarchy in hierarchies {
        directories.push(text(&hierarchy.directory)?);
        for link in &hierarchy.links {
            links.push((text(link)?, text(&hierarchy.directory)?));
        }
    }
    Ok(GroupsTree { source, options, directories, links })
}

/// What is mounted below such a place: the container's group in each hierarchy, with the flags
/// of the place.
pub(super) fn below(place: &Wanted, hierarchies: &[HierarchyView]) -> Vec<Wanted> {
    if !matches!(place.filesystem, Filesystem::Groups(_)) {
        return Vec::new();
    }
    let group = |hierarchy: &HierarchyView| {
        let at = format!("{}/{}", place.at.as_str().trim_end_matches('/'), hierarchy.directory);
        Some(Wanted {
            pointer: place.pointer.clone(),
            at: RootedPath::new(&at).ok()?,
            filesystem: Filesystem::Group { hierarchy: Text::new(&*hierarchy.directory).ok()? },
            attributes: MountAttributes { propagation: mount_attr::MS_PRIVATE, ..place.attributes },
            notes: Vec::new(),
        })
    };
    hierarchies.iter().filter_map(group).collect()
}
