//! Makes a container's control group, limits it, and opens it again later.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::hierarchies::open_v1;
use super::limits::{self, Limit};
use super::saved::{CreatedDirectory, Mark, Marked, SavedCgroup, mark};
use super::{CgroupError, Hierarchies, ebpf};
use crate::plan::cgroup::{
    CgroupPlan, Chosen, DeviceRules, RelativePath, Setting, SettingOrigin, When, choose,
};
use crate::sys::{Errno, bpf};

/// A container's control group: one directory of the v2 hierarchy, and one of each v1
/// hierarchy that holds a limit of it.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) id: String,
    pub(super) path: RelativePath,
    pub(super) leaf: Directory,
    pub(super) v1: Vec<V1Group>,
    pub(super) created: Vec<CreatedDirectory>,
    pub(super) programs: Vec<u32>,
}

/// The group's directory in one v1 hierarchy.
#[derive(Debug)]
pub(super) struct V1Group {
    pub(super) mount: PathBuf,
    pub(super) leaf: Directory,
}

/// How often a path is made anew when another container's removal takes a parent away.
const ATTEMPTS: u32 = 5;

impl Cgroup {
    /// Makes the group, with every limit and the device program in place before any process
    /// enters. Directories that are there already are used and will be left; the last one must
    /// then be empty and not frozen.
    ///
    /// Controllers that were enabled for groups above stay enabled: others may have come to
    /// need them.
    ///
    /// # Errors
    /// Any [`CgroupError`]; whatever was made is taken back first.
    pub fn create(
        plan: &CgroupPlan,
        id: &str,
        hierarchies: &Hierarchies,
    ) -> Result<Self, CgroupError> {
        let path = plan.path.resolve(id).map_err(|source| CgroupError::Path { source })?;
        let mut created = Vec::new();
        let leaf = match place(&hierarchies.v2, None, &path, id, &mut created) {
            Ok(leaf) => leaf,
            Err(error) => {
                super::remove::take_back(hierarchies, &created);
                return Err(error);
            }
        };
        let id = id.to_owned();
        let mut group = Self { id, path, leaf, v1: Vec::new(), created, programs: Vec::new() };
        match group.furnish(plan, hierarchies) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.abandon(hierarchies);
                Err(error)
            }
        }
    }

    /// Opens the group of a container that was created by an earlier command.
    ///
    /// # Errors
    /// [`CgroupError::System`], with `ENOENT` when the group is gone.
    pub fn open(saved: &SavedCgroup, hierarchies: &Hierarchies) -> Result<Self, CgroupError> {
        let path = saved.path.as_str();
        let leaf = hierarchies.v2.open(path).map_err(CgroupError::system("open", path))?;
        let mut v1 = Vec::with_capacity(saved.v1.len());
        for mount in &saved.v1 {
            match open_v1(mount).and_then(|root| root.open(path)) {
                Ok(leaf) => v1.push(V1Group { mount: mount.clone(), leaf }),
                // Gone already: nothing to join, and nothing to remove.
                Err(Errno::ENOENT) => {}
                Err(source) => return Err(CgroupError::system("open v1", path)(source)),
            }
        }
        Ok(Self {
            id: saved.id.clone(),
            path: saved.path.clone(),
            leaf,
            v1,
            created: saved.created.clone(),
            programs: saved.programs.clone(),
        })
    }

    /// What the state file keeps.
    #[must_use]
    pub fn save(&self) -> SavedCgroup {
        SavedCgroup {
            id: self.id.clone(),
            path: self.path.clone(),
            v1: self.v1.iter().map(|group| group.mount.clone()).collect(),
            created: self.created.clone(),
            programs: self.programs.clone(),
        }
    }

    /// The v2 directory, for `clone3` with `CLONE_INTO_CGROUP`. Close-on-exec.
    #[must_use]
    pub fn leaf_fd(&self) -> BorrowedFd<'_> {
        self.leaf.as_fd()
    }

    /// The path below the root of every hierarchy.
    #[must_use]
    pub fn path(&self) -> &RelativePath {
        &self.path
    }

    /// The directories in the host's file system, v2 first. The v2 one is missing where the
    /// hierarchy is mounted nowhere.
    #[must_use]
    pub fn paths(&self, hierarchies: &Hierarchies) -> Vec<PathBuf> {
        let mounts = hierarchies.v2_mount().into_iter();
        let v1 = self.v1.iter().map(|group| group.mount.as_path());
        mounts.chain(v1).map(|mount| mount.join(self.path.as_str())).collect()
    }

    /// Whether a process must be written to v1 hierarchies ([`Cgroup::join_v1`]).
    #[must_use]
    pub fn needs_v1(&self) -> bool {
        !self.v1.is_empty()
    }

    /// Writes the limits that would have kept init out. Call once init is in the group and
    /// before the workload starts.
    ///
    /// # Errors
    /// [`CgroupError::Limit`].
    pub fn write_late(
        &mut self,
        plan: &CgroupPlan,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let late = plan.settings.iter().filter(|setting| setting.when == When::AfterInit);
        self.write_limits(late, hierarchies)
    }

    /// Changes limits of a container that runs, and its device rules if `devices` says so.
    /// Processes join the v1 hierarchies that are new to the group.
    ///
    /// # Errors
    /// Any [`CgroupError`]; limits that were written before it stay as they are now.
    pub fn update(
        &mut self,
        plan: &CgroupPlan,
        devices: Option<&DeviceRules>,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let before = self.v1.len();
        self.write_limits(plan.settings.iter(), hierarchies)?;
        if self.v1.len() > before {
            for pid in self.pids()? {
                self.join_v1(pid)?;
            }
        }
        let Some(devices) = devices else { return Ok(()) };
        let what = CgroupError::system("replace the device program of", self.path.as_str());
        let old = bpf::device_programs(self.leaf.as_fd()).map_err(what)?;
        self.attach(devices)?;
        let ours = |id: &u32| self.owns_leaf() || self.programs.contains(id);
        for id in old.into_iter().filter(ours) {
            let what = CgroupError::system("replace the device program of", self.path.as_str());
            bpf::detach_device_program(self.leaf.as_fd(), id).map_err(what)?;
        }
        Ok(())
    }

    /// Whether the v2 directory was made for this container.
    pub(super) fn owns_leaf(&self) -> bool {
        self.created.iter().any(|made| made.mount.is_none() && made.path == self.path)
    }

    fn furnish(&mut self, plan: &CgroupPlan, hierarchies: &Hierarchies) -> Result<(), CgroupError> {
        let is_new = self.owns_leaf();
        let early = plan.settings.iter().filter(|setting| {
            // A group that was there may have any value; a new one has the defaults.
            setting.when == When::BeforeInit && !(is_new && setting.is_default)
        });
        self.write_limits(early, hierarchies)?;
        if plan.devices.allows_everything() {
            return Ok(());
        }
        self.attach(&plan.devices)
    }

    /// Attaches a device program, and remembers it if the group will outlive the container.
    fn attach(&mut self, devices: &DeviceRules) -> Result<(), CgroupError> {
        let path = || self.path.as_str().to_owned();
        let program = bpf::load_device_program(&ebpf::compile(devices))
            .map_err(|source| CgroupError::DeviceProgram { path: path(), source })?;
        let what = || CgroupError::system("attach a device program to", self.path.as_str());
        let leaf = self.leaf.as_fd();
        if self.owns_leaf() {
            return bpf::attach_device_program(leaf, program.as_fd()).map_err(what());
        }
        let before = bpf::device_programs(leaf).map_err(what())?;
        bpf::attach_device_program(leaf, program.as_fd()).map_err(what())?;
        let after = bpf::device_programs(leaf).map_err(what())?;
        self.programs.extend(after.into_iter().filter(|id| !before.contains(id)));
        Ok(())
    }

    /// Writes each limit in the hierarchy that has its controller.
    fn write_limits<'a>(
        &mut self,
        settings: impl Iterator<Item = &'a Setting>,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let (mut v2, mut v1) = (Vec::new(), Vec::<(&Path, Vec<Limit<'_>>)>::new());
        for setting in settings {
            let at = setting.origin.at();
            match choose(setting, hierarchies.facts()) {
                Some(Chosen::V2(write)) => v2.push(Limit { at, write }),
                Some(Chosen::V1(write)) => {
                    let mount = hierarchies.facts().v1.get(write.controller.as_ref());
                    let mount = mount.map(PathBuf::as_path).unwrap_or(Path::new(""));
                    match v1.iter_mut().find(|(other, _)| *other == mount) {
                        Some((_, limits)) => limits.push(Limit { at, write }),
                        None => v1.push((mount, vec![Limit { at, write }])),
                    }
                }
                // The level's own limit degrades; `check_enforceable` has said so.
                None if setting.is_default || matches!(setting.origin, SettingOrigin::Level(_)) => {
                }
                None => return Err(CgroupError::Unenforceable { at: at.to_owned() }),
            }
        }
        let path = self.path.clone();
        limits::enable(&hierarchies.v2, path.as_str(), &self.leaf, &v2)?;
        limits::write_all(&self.leaf, path.as_str(), &v2)?;
        for (mount, limits) in v1 {
            self.enter_v1(mount)?;
            for group in self.v1.iter().filter(|group| group.mount == mount) {
                limits::write_all(&group.leaf, path.as_str(), &limits)?;
            }
        }
        Ok(())
    }

    /// Makes the group's directory in a v1 hierarchy, if this is the first limit there.
    fn enter_v1(&mut self, mount: &Path) -> Result<(), CgroupError> {
        if self.v1.iter().any(|group| group.mount == mount) {
            return Ok(());
        }
        let path = self.path.as_str();
        let root = open_v1(mount).map_err(CgroupError::system("open v1", path))?;
        let leaf = place(&root, Some(mount), &self.path, &self.id, &mut self.created)?;
        if leaf.open_file("cpuset.cpus", rustix::fs::OFlags::RDONLY).is_ok() {
            let what = CgroupError::system("give processors to v1", path);
            limits::seed_cpuset(&root, path).map_err(what)?;
        }
        self.v1.push(V1Group { mount: mount.to_owned(), leaf });
        Ok(())
    }
}

/// Makes a path, checks that its last directory is free, and marks that as the container's.
fn place(
    root: &Directory,
    mount: Option<&Path>,
    path: &RelativePath,
    id: &str,
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
    let ours = Mark { made, id: id.to_owned() };
    let what = CgroupError::system("mark", path.as_str());
    match mark(&leaf, &ours).map_err(what)? {
        Marked::Ours => {}
        Marked::Was(mark) if mark.id == id => {
            // A creation under this id was killed here; what it made is ours to remove.
            if mark.made && !made {
                created.push(CreatedDirectory {
                    mount: mount.map(Path::to_owned),
                    path: path.clone(),
                });
            }
        }
        Marked::Was(mark) => {
            return Err(CgroupError::Claimed { path: path.as_str().to_owned(), owner: mark.id });
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
        return if read("cgroup.procs")?.is_empty() {
            Ok(())
        } else {
            Err(CgroupError::Occupied { path: path.to_owned() })
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
