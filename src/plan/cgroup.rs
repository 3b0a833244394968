//! Control group chapter of the plan: `linux.resources` and `linux.cgroupsPath` as data. Pure.
//!
//! Every property is either converted or an error that names it; nothing is dropped in silence.
//! A [`Setting`] holds both forms, cgroup v2 and v1, so that one plan fits every host and the
//! shell picks by what the host has ([`CgroupFacts`]). What no hierarchy of the host can hold is
//! found by [`check_enforceable`], before anything exists.
//!
//! Zero means *unset* for limits where engines send it so (`shares`, `quota`, `weight`, `limit`,
//! `swap`); only `pids.limit` takes zero at its word, as the specification says.

mod amend;
mod cpu;
mod devices;
mod facts;
mod io;
mod limits;
mod memory;
mod path;
mod property;
mod scope;
#[cfg(test)]
mod tests;
mod unified;
mod variant;

use std::borrow::Cow;
use std::path::Path;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

pub use amend::{Amendment, LimitChange};
pub use devices::{Access, DeviceKind, DeviceRule, DeviceRules, StandardDevices};
pub use facts::{CgroupFacts, Chosen, HierarchyView, check_enforceable, choose};
pub use path::{CgroupPath, PathFault, RelativePath};
pub use property::{UnitProperty, UnitValue, unit_properties};
pub use scope::ScopePath;
pub use variant::{PROPERTY_ANNOTATION, parse_property};

/// What will be done to one container's control group, independent of id, host and pids.
///
/// Spec: runtime-spec, config-linux.md, "Control groups".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// Where the group is, below the root of every hierarchy.
    pub path: CgroupPath,
    /// The limits, in the order of writing.
    pub settings: Vec<Setting>,
    /// Which device nodes may be opened or made.
    pub devices: DeviceRules,
    /// `memory.checkBeforeUpdate`: an update below the present use is an error.
    pub check_memory_before_update: bool,
    /// Whether the container is shown its group in each hierarchy, and so has one in each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_all: bool,
    /// What was accepted without effect, and why.
    pub notes: Vec<CgroupNote>,
}

/// One limit, in the form of each hierarchy that can hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Who asked for it.
    pub origin: SettingOrigin,
    /// What to write on cgroup v2; `None` where v2 has no such limit.
    pub v2: Option<Write>,
    /// What to write on cgroup v1; `None` where v1 has no such limit.
    pub v1: Option<Write>,
    /// Whether a new group has this value anyway (no limit, mostly): then there is nothing to
    /// write at creation, and nothing that a host could fail to enforce.
    pub is_default: bool,
}

/// One line for one file of a control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The controller that owns the file; [`CORE`] for files that need none.
    pub controller: Cow<'static, str>,
    /// The file's name in the group's directory.
    pub file: Cow<'static, str>,
    /// What to write, without a newline at the end.
    pub value: String,
    /// What it means when the kernel has no such file.
    pub if_absent: IfAbsent,
}

/// The pseudo-controller of files that every cgroup v2 directory has.
pub const CORE: &str = "cgroup";

/// What to do when the kernel offers the controller, but not the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IfAbsent {
    /// The limit cannot be held: an error.
    Fail,
    /// The setting only repeats what holds without the file.
    Skip,
    /// The limit holds by itself while the host has no swap; otherwise an error.
    SkipWithoutSwap,
    /// The kernel has the same limit under another name.
    Use {
        /// The other file.
        file: Cow<'static, str>,
        /// The value in that file's units.
        value: String,
    },
}

/// Who asked for a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingOrigin {
    /// The bundle: an RFC 6901 pointer into config.json. Not enforceable is an error.
    Config(String),
    /// The policy's level, by the name of the limit. Not enforceable degrades, with a note.
    Level(String),
}

/// Something that was accepted and has no effect here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupNote {
    /// The property, as an RFC 6901 pointer, or the name of the level's limit.
    pub at: String,
    /// Why it has no effect.
    pub why: String,
}

/// Why a bundle's control group cannot be made as asked. Nothing was created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupPlanError {
    /// `cgroupsPath` is not a path that can be used.
    #[error("/linux/cgroupsPath: {fault}")]
    Path {
        /// What is wrong with it.
        fault: PathFault,
    },

    /// A value that the kernel would not take, or that contradicts another.
    #[error("{pointer}: {why}")]
    Value {
        /// The property, as an RFC 6901 pointer.
        pointer: String,
        /// What is wrong, with the value.
        why: String,
    },

    /// A limit that no control group hierarchy of this host can hold.
    #[error("{pointer}: this host cannot enforce it: {why}")]
    Unenforceable {
        /// The property, as an RFC 6901 pointer.
        pointer: String,
        /// Which controller is missing, and where it was looked for.
        why: String,
    },
}

/// What [`build_cgroup_plan`] decides from.
#[derive(Debug, Clone, Copy)]
pub struct CgroupRequest<'a> {
    /// `linux.resources`.
    pub resources: Option<&'a LinuxResources>,
    /// `linux.cgroupsPath`.
    pub cgroups_path: Option<&'a Path>,
    /// The policy's limit of tasks where the bundle names none; -1 is no limit.
    pub default_pids_limit: Option<i64>,
    /// The nodes that every container may use.
    pub standard_devices: StandardDevices,
    /// Who makes the group.
    pub driver: Driver,
}

/// Who makes a container's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// We do, in the file system.
    Cgroupfs,
    /// systemd does, as a scope; `--systemd-cgroup`.
    Systemd,
}

/// Converts a bundle's wishes to a plan.
///
/// # Errors
/// All faults, not the first, each with the JSON pointer of the property.
pub fn build_cgroup_plan(request: &CgroupRequest<'_>) -> Result<CgroupPlan, Vec<CgroupPlanError>> {
    let mut out = Conversion::default();
    let path = CgroupPath::parse(request.cgroups_path, request.driver).unwrap_or_else(|fault| {
        out.errors.push(CgroupPlanError::Path { fault });
        CgroupPath::ById
    });
    if path.reads_like_a_scope() {
        out.note("/linux/cgroupsPath", "is a directory's name without `--systemd-cgroup`");
    }
    let devices = request.resources.and_then(|r| r.devices().as_deref());
    let devices = devices.unwrap_or_default();
    let devices = DeviceRules::convert(devices, request.standard_devices, &mut out.notes)
        .unwrap_or_else(|faults| {
            out.errors.extend(faults);
            DeviceRules::deny_all()
        });
    let mut check_memory_before_update = false;
    if let Some(resources) = request.resources {
        convert_resources(resources, &mut out);
        check_memory_before_update =
            resources.memory().and_then(|m| m.check_before_update()).unwrap_or(false);
    }
    limits::default_pids(request, &mut out);
    if out.errors.is_empty() {
        let Conversion { settings, notes, .. } = out;
        Ok(CgroupPlan { path, settings, devices, check_memory_before_update, in_all: false, notes })
    } else {
        Err(out.errors)
    }
}

/// Typed limits first, `unified` last: it is the more exact word where both speak.
fn convert_resources(resources: &LinuxResources, out: &mut Conversion) {
    if let Some(memory) = resources.memory() {
        memory::convert(memory, out);
    }
    if let Some(cpu) = resources.cpu() {
        cpu::convert(cpu, out);
    }
    if let Some(pids) = resources.pids() {
        limits::pids(pids, out);
    }
    if let Some(block_io) = resources.block_io() {
        io::convert(block_io, out);
    }
    limits::hugepages(resources.hugepage_limits().as_deref().unwrap_or_default(), out);
    if let Some(network) = resources.network() {
        limits::network(network, out);
    }
    if let Some(rdma) = resources.rdma() {
        limits::rdma(rdma, out);
    }
    if let Some(keys) = resources.unified() {
        unified::convert(keys, out);
    }
}

/// What has been converted so far, and what was wrong.
#[derive(Debug, Default)]
struct Conversion {
    settings: Vec<Setting>,
    notes: Vec<CgroupNote>,
    errors: Vec<CgroupPlanError>,
}

impl Conversion {
    /// Adds a limit that has both forms, or one.
    fn set(&mut self, pointer: impl Into<String>, v2: Option<Write>, v1: Option<Write>) {
        self.set_unless(false, pointer, v2, v1);
    }

    /// The same for a value that may be what a new group has anyway.
    fn set_unless(
        &mut self,
        is_default: bool,
        pointer: impl Into<String>,
        v2: Option<Write>,
        v1: Option<Write>,
    ) {
        let origin = SettingOrigin::Config(pointer.into());
        self.settings.push(Setting { origin, v2, v1, is_default });
    }

    /// Refuses a value.
    fn refuse(&mut self, pointer: impl Into<String>, why: impl Into<String>) {
        self.errors.push(CgroupPlanError::Value { pointer: pointer.into(), why: why.into() });
    }

    /// Accepts a value that has no effect, and says so.
    fn note(&mut self, at: impl Into<String>, why: impl Into<String>) {
        self.notes.push(CgroupNote { at: at.into(), why: why.into() });
    }
}

impl Write {
    /// A write whose file must exist.
    fn new(
        controller: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        Self {
            controller: Cow::Borrowed(controller),
            file: file.into(),
            value: value.to_string(),
            if_absent: IfAbsent::Fail,
        }
    }

    /// The same write, with another answer to a missing file.
    fn if_absent(self, if_absent: IfAbsent) -> Self {
        Self { if_absent, ..self }
    }
}

/// `max` for -1, else the number: how cgroup v2 writes "no limit".
fn or_max(value: i64) -> String {
    if value == -1 { "max".to_owned() } else { value.to_string() }
}

impl Setting {
    /// Whether it limits the number of tasks.
    #[must_use]
    pub fn limits_tasks(&self) -> bool {
        self.v2.as_ref().is_some_and(|write| write.file == limits::PIDS_FILE)
    }

    /// The same, with room for one task more if it limits tasks.
    #[must_use]
    pub fn with_one_task_more(&self) -> Self {
        let mut setting = self.clone();
        if setting.limits_tasks() {
            for write in [&mut setting.v2, &mut setting.v1].into_iter().flatten() {
                if let Ok(limit) = write.value.parse::<u64>() {
                    write.value = limit.saturating_add(1).to_string();
                }
            }
        }
        setting
    }
}

impl SettingOrigin {
    /// The pointer, or the name of the level's limit.
    #[must_use]
    pub fn at(&self) -> &str {
        match self {
            Self::Config(at) | Self::Level(at) => at,
        }
    }
}
