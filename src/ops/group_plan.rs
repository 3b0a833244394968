//! The control group chapter of a plan: what the bundle asks for, by the driver that the caller
//! chose, as far as this host can hold it.

use super::prepare::listed;
use super::{Context, OpsError, Result};
use crate::cgroup::{Hierarchies, systemd};
use crate::plan::cgroup::{
    self, CgroupPath, CgroupPlan, CgroupRequest, DeviceRules, Driver, PROPERTY_ANNOTATION, Setting,
    SettingOrigin, StandardDevices, UnitProperty,
};
use crate::plan::facts::KernelFacts;
use crate::policy::{Judged, Level};

/// Who makes the group; systemd only where it runs.
pub(super) fn driver(context: &Context, doing: &str) -> Result<Driver> {
    if !context.systemd_cgroup {
        return Ok(Driver::Cgroupfs);
    }
    if systemd::is_running() {
        return Ok(Driver::Systemd);
    }
    Err(OpsError::failed(
        doing,
        "systemd cgroup flag passed, but systemd support for managing cgroups is not available",
    )
    .fact("because", "/run/systemd/system is not there: systemd is not this host's init")
    .hint("set the engine's cgroup manager to `cgroupfs`"))
}

/// Converts the resources, and checks that this host can hold them.
pub(super) fn build(
    doing: &str,
    judged: &Judged,
    driver: Driver,
    facts: &KernelFacts,
    hierarchies: &Hierarchies,
    notes: &mut Vec<String>,
) -> Result<Option<CgroupPlan>> {
    let linux = judged.spec.linux().as_ref();
    let request = CgroupRequest {
        resources: linux.and_then(|linux| linux.resources().as_ref()),
        cgroups_path: linux.and_then(|linux| linux.cgroups_path().as_deref()),
        default_pids_limit: judged.pids_limit,
        standard_devices: match judged.level {
            Level::Hardened => StandardDevices::Open,
            Level::Audit => StandardDevices::OpenAndMakeAny,
        },
        driver,
    };
    let all = |errors: Vec<cgroup::CgroupPlanError>| {
        listed(doing, errors.into_iter().map(|error| error.to_string()))
    };
    let mut plan = cgroup::build_cgroup_plan(&request).map_err(all)?;
    if let CgroupPath::Scope(scope) = &mut plan.path {
        scope.properties = properties(doing, judged)?;
    }
    if facts.caller.is_some() && plan.path == CgroupPath::ById {
        return without_group(doing, &plan, notes).map(|()| None);
    }
    if facts.caller.is_some() && !plan.devices.allows_everything() {
        let note = "P6 reduced: no device rules, which only root can load; nothing inside can make a \
                    device node, and no mount but /dev has any";
        notes.push(note.to_owned());
        plan.devices = DeviceRules::everything();
    }
    let degraded = cgroup::check_enforceable(&plan, hierarchies.facts()).map_err(all)?;
    notes.extend(
        plan.notes.iter().chain(&degraded).map(|note| format!("{}: {}", note.at, note.why)),
    );
    Ok(Some(plan))
}

/// A rootless engine that names no group was given none: the container stays in its caller's, and
/// whatever only a group can hold is refused.
fn without_group(doing: &str, plan: &CgroupPlan, notes: &mut Vec<String>) -> Result<()> {
    let asked = |setting: &&Setting| {
        !setting.is_default && matches!(setting.origin, SettingOrigin::Config(_))
    };
    let limits: Vec<_> = plan.settings.iter().filter(asked).collect();
    if limits.is_empty() {
        let note = "P6 reduced: the container has no control group of its own, because none is \
                    delegated to you: no limit but those of your session holds, and it cannot be \
                    paused, updated or measured";
        notes.push(note.to_owned());
        return Ok(());
    }
    let faults = limits
        .iter()
        .map(|setting| format!("{}: cannot be held without a control group", setting.origin.at()));
    Err(listed(doing, faults).hint(
        "have the engine use the systemd cgroup manager in a session of yours, which is given \
         control groups; or leave the limit out",
    ))
}

/// Properties that make a unit another one than this container's.
const OURS: [&str; 4] = ["Delegate", "PIDs", "PIDFDs", "Slice"];

/// The properties that annotations set, by name; the policy has allowed them by now.
fn properties(doing: &str, judged: &Judged) -> Result<Vec<UnitProperty>> {
    let mut properties = Vec::new();
    let mut faults = Vec::new();
    for (key, value) in judged.spec.annotations().iter().flatten() {
        let Some(name) = key.strip_prefix(PROPERTY_ANNOTATION) else { continue };
        match cgroup::parse_property(name, value) {
            Ok(property) if OURS.contains(&property.name.as_str()) => {
                faults.push(format!("/annotations/{key} is set by casemate itself"));
            }
            Ok(property) => properties.push(property),
            Err(why) => faults.push(format!("/annotations/{key} {why}")),
        }
    }
    faults.sort();
    properties.sort_by(|one, other| one.name.cmp(&other.name));
    if faults.is_empty() { Ok(properties) } else { Err(listed(doing, faults.into_iter())) }
}
