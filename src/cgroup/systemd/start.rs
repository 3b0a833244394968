//! Starts a container's scope, and finds where systemd has put it.
//!
//! A scope is made of processes that exist. Init does not yet, and shall be born in its group with
//! every limit in place; so the scope is begun with a process that does nothing and ends once init
//! is there.

use std::path::PathBuf;

use super::{BusError, Manager, SavedUnit};
use crate::cgroup::directory::Directory;
use crate::cgroup::saved::Claimant;
use crate::cgroup::{CgroupError, Hierarchies};
use crate::plan::cgroup::{
    CgroupPlan, RelativePath, ScopePath, UnitProperty, UnitValue, unit_properties,
};
use crate::sys::placeholder::Placeholder;
use crate::sys::process;

/// A scope that was started.
#[derive(Debug)]
pub(in crate::cgroup) struct Started {
    pub(in crate::cgroup) unit: SavedUnit,
    /// Where it is in the v2 hierarchy; `None` where systemd does not use that.
    pub(in crate::cgroup) path: Option<RelativePath>,
    /// The v1 hierarchies that systemd put it into, by mount point.
    pub(in crate::cgroup) v1: Vec<PathBuf>,
    /// What keeps it alive until init is in it.
    pub(in crate::cgroup) placeholder: Placeholder,
}

/// Starts the scope of a container.
///
/// # Errors
/// [`CgroupError::Unit`]; the scope is gone, or goes once its process has ended.
pub(in crate::cgroup) fn start(
    plan: &CgroupPlan,
    scope: &ScopePath,
    claimant: &Claimant,
    hierarchies: &Hierarchies,
) -> Result<Started, CgroupError> {
    let name = scope.unit(&claimant.id).map_err(|source| CgroupError::Path { source })?;
    let failed = |source: BusError| CgroupError::Unit { what: "start", unit: name.clone(), source };
    let placeholder = Placeholder::start().map_err(|source| failed(source.into()))?;
    // Root's scopes are the system's; a user's own manager makes those of anyone else.
    let user = process::outer_uid() != 0;
    let mut manager = Manager::open(user).map_err(failed)?;
    let version = manager.version();
    let limits = unit_properties(&plan.settings, version, |name| hierarchies.is_v1(name));
    let mut properties = properties(plan, scope, claimant, placeholder.pid(), version);
    for property in limits.into_iter().chain(scope.properties.clone()) {
        properties.retain(|other| other.name != property.name);
        properties.push(property);
    }
    manager.start(&name, &properties).map_err(failed)?;
    let place = place_of(placeholder.pid(), &name, hierarchies);
    let (path, v1) = place.map_err(|source| failed(source.into()))?;
    Ok(Started { unit: SavedUnit { name, user }, path, v1, placeholder })
}

/// What is asked of every scope, before limits and annotations.
fn properties(
    plan: &CgroupPlan,
    scope: &ScopePath,
    claimant: &Claimant,
    pid: i32,
    version: u32,
) -> Vec<UnitProperty> {
    let text = |text: &str| UnitValue::Text(text.to_owned());
    let pid = u32::try_from(pid).unwrap_or_default();
    let mut all = vec![
        ("Description", text(&format!("casemate container {}", claimant.id))),
        ("Slice", text(&scope.slice)),
        ("Delegate", UnitValue::Bool(true)),
        ("PIDs", UnitValue::Uint32s(vec![pid])),
        ("DefaultDependencies", UnitValue::Bool(false)),
        ("CPUAccounting", UnitValue::Bool(true)),
        ("MemoryAccounting", UnitValue::Bool(true)),
        ("IOAccounting", UnitValue::Bool(true)),
        ("TasksAccounting", UnitValue::Bool(true)),
        // systemd has a limit of its own where nobody names one.
        ("TasksMax", UnitValue::Uint64(u64::MAX)),
    ];
    if version >= 236 {
        // Otherwise a scope that failed would hold its name.
        all.push(("CollectMode", text("inactive-or-failed")));
    }
    let group = plan.settings.iter().filter_map(|setting| setting.v2.as_ref());
    if let Some(write) = group.rev().find(|write| write.file == "memory.oom.group")
        && version >= 253
    {
        let policy = if write.value == "1" { "kill" } else { "continue" };
        all.push(("OOMPolicy", text(policy)));
    }
    let named = |(name, value): (&str, _)| UnitProperty { name: name.to_owned(), value };
    all.into_iter().map(named).collect()
}

/// Where a process is, in the hierarchies in which systemd has put it into the unit.
fn place_of(
    pid: i32,
    unit: &str,
    hierarchies: &Hierarchies,
) -> crate::sys::Result<(Option<RelativePath>, Vec<PathBuf>)> {
    let proc = Directory::open_root(std::path::Path::new(&format!("/proc/{pid}")))?;
    let (mut v2, mut v1) = (None, Vec::new());
    for line in proc.read("cgroup")?.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (fields.next(), fields.next()) else { continue };
        if path.rsplit('/').next() != Some(unit) {
            continue;
        }
        if names.is_empty() {
            v2 = RelativePath::parse(path).ok();
        } else if let Some(mount) = hierarchies.v1_mount(names) {
            v1.push(mount.to_owned());
        }
    }
    Ok((v2, v1))
}
