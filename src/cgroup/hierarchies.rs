//! Finds the host's hierarchies and says what they can do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rustix::fs::fstatfs;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::CgroupError;
use super::directory::Directory;
use crate::plan::cgroup::{CgroupFacts, HierarchyView};
use crate::sys::{Errno, Result, errno};

/// The host's control group hierarchies: v2 open, v1 by their mount points.
#[derive(Debug)]
pub struct Hierarchies {
    pub(super) v2: Directory,
    v2_mount: Option<PathBuf>,
    facts: CgroupFacts,
    /// v1 hierarchies without controllers, which only keep track: by name, as in `name=systemd`.
    named: BTreeMap<String, PathBuf>,
}

/// Where every distribution mounts its hierarchies.
const BASE: &str = "/sys/fs/cgroup";
/// Where a host with v1 hierarchies has v2.
const HYBRID: &str = "/sys/fs/cgroup/unified";

/// `CGROUP2_SUPER_MAGIC`, `CGROUP_SUPER_MAGIC`: statfs(2).
const V2_MAGIC: u64 = 0x6367_7270;
const V1_MAGIC: u64 = 0x0027_e0eb;

impl Hierarchies {
    /// Opens v2, at `/sys/fs/cgroup`, at `/sys/fs/cgroup/unified`, or as a mount of our own
    /// that nobody else sees; and looks for v1 hierarchies below `/sys/fs/cgroup`.
    ///
    /// # Errors
    /// [`CgroupError::NoHierarchy`] when v2 is nowhere and cannot be mounted.
    pub fn open() -> std::result::Result<Self, CgroupError> {
        let pure = open_as(Path::new(BASE), V2_MAGIC).ok();
        let is_pure = pure.is_some();
        let (v2, v2_mount) = match pure {
            Some(v2) => (v2, Some(PathBuf::from(BASE))),
            None => match open_as(Path::new(HYBRID), V2_MAGIC) {
                Ok(v2) => (v2, Some(PathBuf::from(HYBRID))),
                Err(_) => (mount_detached()?, None),
            },
        };
        let no_hierarchy = |source| CgroupError::NoHierarchy { source };
        let controllers = v2.read("cgroup.controllers").map_err(no_hierarchy)?;
        // With v2 at the usual place, v1 has none: spare the search.
        let (v1, named) = if is_pure { Default::default() } else { find_v1() };
        let v2_controllers = controllers.split_whitespace().map(str::to_owned).collect();
        Ok(Self { v2, v2_mount, facts: CgroupFacts { v2: v2_controllers, v1 }, named })
    }

    /// The same host for a caller that v1 hierarchies cannot be delegated to: any without root.
    #[must_use]
    pub fn without_v1(mut self) -> Self {
        self.facts.v1.clear();
        self.named.clear();
        self
    }

    /// Which controllers there are, for the plan.
    #[must_use]
    pub fn facts(&self) -> &CgroupFacts {
        &self.facts
    }

    /// Whether there are v1 hierarchies. A container is then in all of them, as with other
    /// runtimes: engines count there, and systemd keeps track in one of them.
    #[must_use]
    pub fn has_v1(&self) -> bool {
        !self.facts.v1.is_empty() || !self.named.is_empty()
    }

    /// What a container is shown of all hierarchies; nothing where none is of version 1.
    #[must_use]
    pub fn views(&self) -> Vec<HierarchyView> {
        let name = |mount: &Path| mount.strip_prefix(BASE).ok()?.to_str().map(str::to_owned);
        let view = |mount: &Path| {
            let directory = name(mount)?;
            let controllers = self.facts.v1.iter().filter(|(_, at)| *at == mount);
            let others = controllers.map(|(name, _)| name).filter(|name| **name != directory);
            Some(HierarchyView { links: others.cloned().collect(), directory })
        };
        let mut views: Vec<_> = self.v1_mounts().into_iter().filter_map(view).collect();
        if !views.is_empty() && self.v2_mount() == Some(Path::new(HYBRID)) {
            views.extend(view(Path::new(HYBRID)));
        }
        views
    }

    /// Where the hierarchy is mounted that has this directory.
    pub(super) fn view_mount(directory: &str) -> PathBuf {
        Path::new(BASE).join(directory)
    }

    /// Where v1 hierarchies are mounted.
    pub(super) fn v1_mounts(&self) -> BTreeSet<&Path> {
        self.facts.v1.values().chain(self.named.values()).map(PathBuf::as_path).collect()
    }

    /// Where the v1 hierarchy is that /proc calls by these names.
    pub(super) fn v1_mount(&self, names: &str) -> Option<&Path> {
        let first = names.split(',').next().unwrap_or_default();
        self.named.get(names).or_else(|| self.facts.v1.get(first)).map(PathBuf::as_path)
    }

    /// Whether a controller is on a v1 hierarchy.
    pub(super) fn is_v1(&self, controller: &str) -> bool {
        self.facts.v1.contains_key(controller)
    }

    /// Whether a v1 hierarchy is that of processor sets, and nothing besides.
    pub(super) fn is_cpuset(&self, mount: &Path) -> bool {
        let mut controllers = self.facts.v1.iter().filter(|(_, other)| *other == mount);
        controllers.next().is_some_and(|(name, _)| name == "cpuset") && controllers.next().is_none()
    }

    /// Where v2 is mounted; `None` for the mount of our own.
    #[must_use]
    pub fn v2_mount(&self) -> Option<&Path> {
        self.v2_mount.as_deref()
    }
}

/// Opens the root of a v1 hierarchy.
pub(super) fn open_v1(mount: &Path) -> Result<Directory> {
    open_as(mount, V1_MAGIC)
}

/// Opens a directory that must be on a file system of this type.
fn open_as(path: &Path, magic: u64) -> Result<Directory> {
    let directory = Directory::open_root(path)?;
    let found = fstatfs(directory.as_fd()).map_err(errno)?.f_type;
    if u64::try_from(found).is_ok_and(|found| found == magic) {
        Ok(directory)
    } else {
        Err(Errno::EMEDIUMTYPE)
    }
}

/// Mounts cgroup2 without attaching it anywhere; it goes with the descriptor.
fn mount_detached() -> std::result::Result<Directory, CgroupError> {
    let mounted = || {
        let context = rustix::mount::fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        // What fsmount gives is O_PATH; files are read and marked through a real one.
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::openat(&mount, ".", flags, rustix::fs::Mode::empty())
    };
    let source = |error| CgroupError::NoHierarchy { source: errno(error) };
    mounted().map(Directory::new).map_err(source)
}

/// The v1 hierarchies of this process that are mounted where distributions mount them: in a
/// directory named after all their controllers, or after one.
fn find_v1() -> (BTreeMap<String, PathBuf>, BTreeMap<String, PathBuf>) {
    let (mut found, mut named) = (BTreeMap::new(), BTreeMap::new());
    let own = Directory::open_root(Path::new("/proc/self"));
    let own = own.and_then(|own| own.read("cgroup")).unwrap_or_default();
    for line in own.lines() {
        let Some(names) = line.split(':').nth(1).filter(|names| !names.is_empty()) else {
            continue;
        };
        if let Some(name) = names.strip_prefix("name=") {
            let mount = Path::new(BASE).join(name);
            if open_v1(&mount).is_ok() {
                named.insert(names.to_owned(), mount);
            }
            continue;
        }
        let candidates = std::iter::once(names).chain(names.split(','));
        let mut mounts = candidates.map(|name| Path::new(BASE).join(name));
        if let Some(mount) = mounts.find(|mount| open_v1(mount).is_ok()) {
            found.extend(names.split(',').map(|name| (name.to_owned(), mount.clone())));
        }
    }
    (found, named)
}
