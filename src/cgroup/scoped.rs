//! A group that systemd makes, removes, and is told the limits of.

use super::directory::Directory;
use super::hierarchies::open_v1;
use super::place::place;
use super::saved::{Claimant, CreatedDirectory, Mark, mark};
use super::systemd::{self, BusError, Manager};
use super::{Cgroup, CgroupError, Hierarchies, V1Group};
use crate::plan::cgroup::{CgroupPath, CgroupPlan, RelativePath, ScopePath, unit_properties};
use crate::sys::{Errno, process};

impl Cgroup {
    /// Starts the container's scope, and takes it over.
    pub(super) fn start_scope(
        plan: &CgroupPlan,
        scope: &ScopePath,
        claimant: Claimant,
        hierarchies: &Hierarchies,
    ) -> Result<Self, CgroupError> {
        let started = systemd::start(plan, scope, &claimant, hierarchies)?;
        let path = match started.path {
            Some(path) => path,
            None => {
                let path = CgroupPath::Scope(scope.clone()).resolve(&claimant.id);
                path.map_err(|source| CgroupError::Path { source })?
            }
        };
        let mut created = Vec::new();
        let is_placed = hierarchies.v2.open(path.as_str());
        let leaf = match is_placed {
            Ok(leaf) => take_over(leaf, None, &path, &claimant, &mut created),
            // systemd uses v1 alone here. Membership, freezing and killing are ours, in v2.
            Err(Errno::ENOENT) => place(&hierarchies.v2, None, &path, &claimant, &mut created),
            Err(source) => Err(CgroupError::system("open", path.as_str())(source)),
        };
        let v1: Result<Vec<_>, _> = started
            .v1
            .into_iter()
            .map(|mount| {
                let opened = open_v1(&mount).and_then(|root| root.open(path.as_str()));
                let leaf = opened.map_err(CgroupError::system("open v1", path.as_str()))?;
                let leaf = take_over(leaf, Some(&mount), &path, &claimant, &mut created)?;
                Ok(V1Group { mount, leaf })
            })
            .collect();
        // Without its process the scope ends by itself.
        let (leaf, v1) = (leaf?, v1?);
        Ok(Self {
            claimant,
            path,
            leaf,
            v1,
            created,
            programs: Vec::new(),
            unit: Some(started.unit),
            placeholder: Some(started.placeholder),
        })
    }

    /// Ends what kept the group alive, once init is in it, and gives its place back.
    ///
    /// # Errors
    /// [`CgroupError::Limit`].
    pub fn settle(
        &mut self,
        plan: &CgroupPlan,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        if self.placeholder.take().is_none() {
            return Ok(());
        }
        let tasks = plan.settings.iter().filter(|setting| setting.limits_tasks());
        self.write_limits(tasks, hierarchies)
    }

    /// Tells systemd the limits that were written. It writes what it knows once more, rounded; so
    /// the caller writes after it.
    pub(super) fn tell_unit(
        &self,
        plan: &CgroupPlan,
        hierarchies: &Hierarchies,
    ) -> Result<(), CgroupError> {
        let Some(unit) = &self.unit else { return Ok(()) };
        let failed = |source| CgroupError::Unit { what: "change", unit: unit.name.clone(), source };
        let mut manager = Manager::open(unit.user).map_err(failed)?;
        let version = manager.version();
        let is_v1 = |name: &str| hierarchies.is_v1(name);
        let properties = unit_properties(&plan.settings, version, is_v1);
        manager.set(&unit.name, &properties).map_err(failed)
    }

    /// Has systemd forget the unit. What cannot be reached is not asked: an empty scope ends by
    /// itself, and its directories are removed by whoever comes next.
    pub(super) fn stop_unit(&self) {
        if let Some(unit) = &self.unit {
            stop(unit);
        }
    }
}

/// Stops a unit, as far as that can be done.
pub(super) fn stop(unit: &systemd::SavedUnit) {
    let stopped = Manager::open(unit.user).and_then(|mut manager| manager.stop(&unit.name));
    if let Err(error) = stopped {
        let error: &BusError = &error;
        tracing::debug!("stop unit {}: {error}", unit.name);
    }
}

/// Stops the scope at a path, if it is one: for a container of which nothing else is known.
pub(super) fn stop_at(path: &RelativePath) {
    let (_, name) = path.split_leaf();
    if name.ends_with(".scope") && systemd::is_running() {
        let user = process::outer_uid() != 0;
        stop(&systemd::SavedUnit { name: name.to_owned(), user });
    }
}

/// Marks a directory that systemd made for this container.
fn take_over(
    leaf: Directory,
    mount: Option<&std::path::PathBuf>,
    path: &RelativePath,
    claimant: &Claimant,
    created: &mut Vec<CreatedDirectory>,
) -> Result<Directory, CgroupError> {
    let ours = Mark { made: true, claimant: claimant.clone() };
    mark(&leaf, &ours).map_err(CgroupError::system("mark", path.as_str()))?;
    created.push(CreatedDirectory { mount: mount.cloned(), path: path.clone() });
    Ok(leaf)
}
