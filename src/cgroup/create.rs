//! Makes a container's control group, limits it, and opens it again later.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::hierarchies::open_v1;
use super::limits::{self, Limit};
use super::place::place;
use super::saved::{Claimant, CreatedDirectory, SavedCgroup};
use super::systemd::SavedUnit;
use super::{CgroupError, Hierarchies, devices_v1, ebpf};
use crate::plan::cgroup::{
    CgroupPath, CgroupPlan, Chosen, DeviceRules, RelativePath, Setting, SettingOrigin, choose,
};
use crate::sys::placeholder::Placeholder;
use crate::sys::{Errno, bpf};

/// A container's control group: one directory of the v2 hierarchy, and one of each v1
/// hierarchy that it is in.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) claimant: Claimant,
    pub(super) path: RelativePath,
    pub(super) leaf: Directory,
    pub(super) v1: Vec<V1Group>,
    pub(super) created: Vec<CreatedDirectory>,
    pub(super) programs: Vec<u32>,
    /// The scope that it is, where systemd made it.
    pub(super) unit: Option<SavedUnit>,
    /// What keeps that scope alive until init is in it.
    pub(super) placeholder: Option<Placeholder>,
}

/// The group's directory in one v1 hierarchy.
#[derive(Debug)]
pub(super) struct V1Group {
    pub(super) mount: PathBuf,
    pub(super) leaf: Directory,
}

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
        claimant: Claimant,
        hierarchies: &Hierarchies,
    ) -> Result<Self, CgroupError> {
        let mut group = match &plan.path {
            CgroupPath::Scope(scope) => Self::start_scope(plan, scope, claimant, hierarchies)?,
            CgroupPath::Given(_) | CgroupPath::ById => Self::make(plan, claimant, hierarchies)?,
        };
        match group.furnish(plan, hierarchies) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.abandon(hierarchies);
                Err(error)
            }
        }
    }

    fn make(
        plan: &CgroupPlan,
        claimant: Claimant,
        hierarchies: &Hierarchies,
    ) -> Result<Self, CgroupError> {
        let path = plan.path.resolve(&claimant.id);
        let path = path.map_err(|source| CgroupError::Path { source })?;
        let mut created = Vec::new();
        match place(&hierarchies.v2, None, &path, &claimant, &mut created) {
            Ok(leaf) => Ok(Self {
                claimant,
                path,
                leaf,
                v1: Vec::new(),
                created,
                programs: Vec::new(),
                unit: None,
                placeholder: None,
            }),
            Err(error) => {
                super::remove::take_back(hierarchies, &created);
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
            claimant: saved.claimant.clone(),
            path: saved.path.clone(),
            leaf,
            v1,
            created: saved.created.clone(),
            programs: saved.programs.clone(),
            unit: saved.unit.clone(),
            placeholder: None,
        })
    }

    /// What the state file keeps.
    #[must_use]
    pub fn save(&self) -> SavedCgroup {
        SavedCgroup {
            claimant: self.claimant.clone(),
            path: self.path.clone(),
            v1: self.v1.iter().map(|group| group.mount.clone()).collect(),
            created: self.created.clone(),
            programs: self.programs.clone(),
            unit: self.unit.clone(),
        }
    }

    /// The group's directory in a hierarchy that [`Hierarchies::views`] tells of, by its name there.
    #[must_use]
    pub fn directory(&self, name: &str, hierarchies: &Hierarchies) -> Option<BorrowedFd<'_>> {
        let mount = Hierarchies::view_mount(name);
        if hierarchies.v2_mount() == Some(&*mount) {
            return Some(self.leaf.as_fd());
        }
        let group = self.v1.iter().find(|group| group.mount == mount)?;
        Some(group.leaf.as_fd())
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

    /// Whether the v2 directory was made for this container.
    pub(super) fn owns_leaf(&self) -> bool {
        self.created.iter().any(|made| made.mount.is_none() && made.path == self.path)
    }

    fn furnish(&mut self, plan: &CgroupPlan, hierarchies: &Hierarchies) -> Result<(), CgroupError> {
        let is_new = self.owns_leaf();
        // A group that was there may have any value; a new one has the defaults.
        let wanted = plan.settings.iter().filter(|setting| !(is_new && setting.is_default));
        let wanted: Vec<_> = match self.placeholder {
            // It counts until init is there.
            Some(_) => wanted.map(Setting::with_one_task_more).collect(),
            None => wanted.cloned().collect(),
        };
        self.write_limits(wanted.iter(), hierarchies)?;
        for mount in hierarchies.v1_mounts() {
            // A set of processors counts nothing, and takes a while to make.
            if plan.in_all || !hierarchies.is_cpuset(mount) {
                self.enter_v1(mount)?;
            }
        }
        if plan.devices.allows_everything() {
            return Ok(());
        }
        self.attach(&plan.devices)?;
        self.show_devices(&plan.devices, hierarchies)
    }

    /// Lets tools of hosts with v1 see the device rules where they look for them.
    fn show_devices(
        &self,
        devices: &DeviceRules,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let Some(mount) = hierarchies.v1_mount("devices") else { return Ok(()) };
        let what = || CgroupError::system("write device rules of v1 to", self.path.as_str());
        let mut groups = self.v1.iter().filter(|group| group.mount == mount);
        groups.try_for_each(|group| devices_v1::write(&group.leaf, devices).map_err(what()))
    }

    /// Attaches a device program, and remembers it if the group will outlive the container.
    pub(super) fn attach(&mut self, devices: &DeviceRules) -> Result<(), CgroupError> {
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
    pub(super) fn write_limits<'a>(
        &mut self,
        settings: impl Iterator<Item = &'a Setting>,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let (mut v2, mut v1) = (Vec::new(), Vec::<(&Path, Vec<Limit<'_>>)>::new());
        for setting in settings {
            let (at, is_default) = (setting.origin.at(), setting.is_default);
            match choose(setting, hierarchies.facts()) {
                Some(Chosen::V2(write)) => v2.push(Limit { at, write, is_default }),
                Some(Chosen::V1 { write, mount }) => {
                    match v1.iter_mut().find(|(other, _)| *other == mount) {
                        Some((_, limits)) => limits.push(Limit { at, write, is_default }),
                        None => v1.push((mount, vec![Limit { at, write, is_default }])),
                    }
                }
                // The level's own limit degrades; `check_enforceable` has said so.
                None if is_default || matches!(setting.origin, SettingOrigin::Level(_)) => {}
                None => return Err(CgroupError::Unenforceable { at: at.to_owned() }),
            }
        }
        let path = self.path.clone();
        limits::enable(&hierarchies.v2, path.as_str(), &self.leaf, &v2)?;
        limits::write_all(&self.leaf, path.as_str(), &v2)?;
        for (mount, limits) in v1 {
            // Nobody need enter a hierarchy to be free of limits there.
            if limits.iter().any(|limit| !limit.is_default) {
                self.enter_v1(mount)?;
            }
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
        let leaf = place(&root, Some(mount), &self.path, &self.claimant, &mut self.created)?;
        if leaf.open_file("cpuset.cpus", rustix::fs::OFlags::RDONLY).is_ok() {
            let what = CgroupError::system("give processors to v1", path);
            limits::seed_cpuset(&root, path).map_err(what)?;
        }
        self.v1.push(V1Group { mount: mount.to_owned(), leaf });
        Ok(())
    }
}
