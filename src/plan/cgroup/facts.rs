//! What a host's control groups can do, and which form of a setting fits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CORE, CgroupNote, CgroupPlan, CgroupPlanError, Setting, SettingOrigin, Write};

/// The controllers of a host, by hierarchy. The v2 hierarchy itself is always there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CgroupFacts {
    /// Controllers that the root of the v2 hierarchy offers.
    pub v2: BTreeSet<String>,
    /// Controllers on v1 hierarchies, with the directory where each is mounted.
    pub v1: BTreeMap<String, PathBuf>,
}

/// What a container is shown of one hierarchy, on a host that has some of version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HierarchyView {
    /// The directory that it is mounted at, below `/sys/fs/cgroup`, on the host and inside.
    pub directory: String,
    /// Other names of it: its controllers, where it has more than one.
    pub links: Vec<String>,
}

/// The form of a setting that fits a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// Written in the v2 hierarchy.
    V2(&'a Write),
    /// Written in the v1 hierarchy of its controller.
    V1 {
        /// What to write.
        write: &'a Write,
        /// Where that hierarchy is mounted.
        mount: &'a Path,
    },
}

/// Picks where a setting is written: v2 before v1. `None` if this host cannot hold it.
#[must_use]
pub fn choose<'a>(setting: &'a Setting, facts: &'a CgroupFacts) -> Option<Chosen<'a>> {
    let v2 = setting
        .v2
        .as_ref()
        .filter(|write| write.controller == CORE || facts.v2.contains(write.controller.as_ref()));
    v2.map(Chosen::V2).or_else(|| {
        let write = setting.v1.as_ref()?;
        let mount = facts.v1.get(write.controller.as_ref())?;
        Some(Chosen::V1 { write, mount })
    })
}

/// Finds, before anything exists, what this host cannot enforce.
///
/// A limit that comes only from the policy's level degrades; the notes say which.
///
/// # Errors
/// Every limit of the bundle that no hierarchy of the host can hold.
pub fn check_enforceable(
    plan: &CgroupPlan,
    facts: &CgroupFacts,
) -> Result<Vec<CgroupNote>, Vec<CgroupPlanError>> {
    let (mut notes, mut errors) = (Vec::new(), Vec::new());
    for setting in &plan.settings {
        if setting.is_default || choose(setting, facts).is_some() {
            continue;
        }
        let why = missing(setting, facts);
        match &setting.origin {
            SettingOrigin::Config(pointer) => {
                errors.push(CgroupPlanError::Unenforceable { pointer: pointer.clone(), why });
            }
            SettingOrigin::Level(at) => notes.push(CgroupNote { at: at.clone(), why }),
        }
    }
    if errors.is_empty() { Ok(notes) } else { Err(errors) }
}

/// Says which controller is missing, and whether it is there in the other version.
fn missing(setting: &Setting, facts: &CgroupFacts) -> String {
    match (&setting.v2, &setting.v1) {
        (Some(v2), None) if facts.v1.contains_key(v2.controller.as_ref()) => {
            format!(
                "invalid configuration: `{}` needs controller `{}` in cgroup v2, here it is in v1",
                v2.file, v2.controller
            )
        }
        (None, Some(v1)) => {
            format!("`{}` needs controller `{}` in cgroup v1", v1.file, v1.controller)
        }
        (Some(write), _) => format!("no controller `{}`", write.controller),
        (None, None) => "no hierarchy has such a limit".to_owned(),
    }
}
