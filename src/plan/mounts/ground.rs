//! What a mount stands on: the image, or a mount that comes before it. It decides who makes its
//! mount point, and where.

use super::Wanted;
use crate::plan::action::Place;
use crate::plan::mount::{Filesystem, MountAttributes};
use crate::plan::text::{HostPath, RootedPath};
use crate::sys::flags::mount_attr;

/// What is below a place in the finished root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) enum Ground<'a> {
    /// The root file system.
    Image,
    /// A file system that begins empty, or that the container may write to as we may.
    Memory,
    /// A directory of the host, bound at this place; to be written to.
    Host {
        /// Which directory.
        source: &'a HostPath,
        /// Where it is bound.
        at: &'a RootedPath,
    },
    /// Something in which nothing can be made.
    Fixed,
}

/// The ground of a place, of the mounts that come before it. The last one that covers it counts.
pub(in crate::plan) fn of<'a>(
    at: &RootedPath,
    before: &'a [Wanted],
    scratch: &[String],
) -> Ground<'a> {
    let covers = |other: &&Wanted| other.at != *at && at.is_within(other.at.as_str());
    let is_mount = |other: &&Wanted| !matches!(other.filesystem, Filesystem::Present { .. });
    match before.iter().rev().filter(is_mount).find(covers) {
        Some(mount) => of_mount(mount),
        None if scratch.iter().any(|place| at.is_within(place)) => Ground::Memory,
        None => Ground::Image,
    }
}

fn of_mount(mount: &Wanted) -> Ground<'_> {
    match &mount.filesystem {
        Filesystem::Tmpfs { .. } | Filesystem::Other { .. } => Ground::Memory,
        Filesystem::Bind { .. } if is_read_only(mount.attributes) => Ground::Fixed,
        Filesystem::Bind { inside: Some(_), .. } => Ground::Memory,
        Filesystem::Bind { source, .. } => Ground::Host { source, at: &mount.at },
        // What is mounted below /dev finds its place there: it is made with it.
        Filesystem::Dev(_)
        | Filesystem::Proc { .. }
        | Filesystem::Sysfs { .. }
        | Filesystem::Mqueue { .. }
        | Filesystem::Cgroup { .. }
        | Filesystem::Groups(_)
        | Filesystem::Group { .. }
        | Filesystem::Devpts { .. }
        | Filesystem::Notify
        | Filesystem::Present { .. } => Ground::Fixed,
    }
}

fn is_read_only(attributes: MountAttributes) -> bool {
    (attributes.set | attributes.recursive_set) & mount_attr::RDONLY != 0
}

/// How the place of a mount is looked up.
pub(in crate::plan) fn place(mount: &Wanted, ground: Ground<'_>) -> Place {
    if ["/proc", "/sys", "/dev"].contains(&mount.at.as_str()) {
        return Place::Real;
    }
    let (bind, inside) = match &mount.filesystem {
        Filesystem::Bind { inside, .. } => (true, inside.is_some()),
        Filesystem::Proc { .. }
        | Filesystem::Sysfs { .. }
        | Filesystem::Mqueue { .. }
        | Filesystem::Cgroup { .. }
        | Filesystem::Groups(_)
        | Filesystem::Group { .. }
        | Filesystem::Devpts { .. }
        | Filesystem::Tmpfs { .. }
        | Filesystem::Dev(_)
        | Filesystem::Other { .. }
        | Filesystem::Notify
        | Filesystem::Present { .. } => (false, false),
    };
    match (ground, bind) {
        // Of what lies in the container itself, nobody knows beforehand what it is.
        (Ground::Image | Ground::Host { .. }, _) if inside => Place::MadeAsSource,
        (Ground::Memory, true) => Place::MadeAsSource,
        (Ground::Memory, false) => Place::Made,
        (Ground::Image | Ground::Host { .. } | Ground::Fixed, _) => Place::Existing,
    }
}

/// Where a place is inside the directory that is bound at `at`.
pub(in crate::plan) fn below(place: &RootedPath, at: &RootedPath) -> Option<RootedPath> {
    let rest = place.as_str().strip_prefix(at.as_str().trim_end_matches('/'))?;
    RootedPath::new(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mounts::{Setting, convert};

    fn wanted(mounts: &serde_json::Value) -> Vec<Wanted> {
        let mounts: Vec<oci_spec::runtime::Mount> = serde_json::from_value(mounts.clone()).unwrap();
        let mut errors = Vec::new();
        let wanted = convert(&mounts, Setting::plain(), &mut errors);
        assert_eq!(errors, []);
        wanted
    }

    #[test]
    fn the_last_mount_that_covers_a_place_is_its_ground() {
        let mounts = wanted(&serde_json::json!([
            {"destination": "/a/b", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/a", "source": "/srv", "options": ["rbind"]},
            {"destination": "/r", "source": "/srv", "options": ["rbind", "ro"]},
        ]));
        let ground = |path: &str| of(&RootedPath::new(path).unwrap(), &mounts, &["/tmp".into()]);

        assert!(matches!(ground("/a/b/c"), Ground::Host { .. }));
        assert_eq!(ground("/r/x"), Ground::Fixed);
        assert_eq!(ground("/tmp/x"), Ground::Memory);
        assert_eq!(ground("/x"), Ground::Image);
        // At the same place there is always something to mount on.
        assert_eq!(ground("/a"), Ground::Image);
    }

    #[test]
    fn a_place_in_a_bound_directory_has_a_path_in_it() {
        let path = |text: &str| RootedPath::new(text).unwrap();

        assert_eq!(below(&path("/a/b/c"), &path("/a")), Some(path("/b/c")));
        assert_eq!(below(&path("/a/b"), &path("/")), Some(path("/a/b")));
    }
}
