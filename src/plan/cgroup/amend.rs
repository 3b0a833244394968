//! An update of a container's limits, as data: what is written now, and what holds afterwards.
//!
//! Some limits make sense together only. Where an update names one of them, the other is what
//! it was: quota and period, memory and swap.
//!
//! Device rules are no limits, and stay as they were made: engines send their own list with every
//! update, and what a hook has let in since creation (a GPU) must not be taken away by a new quota.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};
use serde::{Deserialize, Serialize};

use super::{CgroupPlan, CgroupPlanError, Conversion, Setting, Write, convert_resources};

/// What an update comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// What is written: the limits that the update names, and what belongs to them.
    pub update: CgroupPlan,
    /// What holds from then on.
    pub effective: CgroupPlan,
    /// Each limit that becomes another.
    pub changes: Vec<LimitChange>,
}

/// A limit before and after an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChange {
    /// The property, as an RFC 6901 pointer.
    pub at: String,
    /// What was in force; `None` where the container had no such limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What is in force now.
    pub to: String,
}

impl CgroupPlan {
    /// Works out an update of the limits in this plan. What `asked` does not name stays as it is,
    /// and so do the device rules.
    ///
    /// # Errors
    /// All faults, each with the JSON pointer of the property.
    pub fn amend(&self, asked: &LinuxResources) -> Result<Amendment, Vec<CgroupPlanError>> {
        let mut asked = asked.clone();
        if let Some(memory) = asked.memory_mut() {
            complete_memory(memory, &self.settings);
        }
        if let Some(cpu) = asked.cpu_mut() {
            complete_cpu(cpu, &self.settings);
        }
        let mut out = Conversion::default();
        convert_resources(&asked, &mut out);
        if asked.devices().as_ref().is_some_and(|rules| !rules.is_empty()) {
            out.note("/linux/resources/devices", "no effect: they are those of the creation");
        }
        if !out.errors.is_empty() {
            return Err(out.errors);
        }
        let check_memory_before_update =
            asked.memory().and_then(|memory| memory.check_before_update()).unwrap_or(false);
        let changes = changes(&self.settings, &out.settings);
        let update = CgroupPlan {
            settings: out.settings,
            notes: out.notes,
            check_memory_before_update,
            ..self.clone()
        };
        let mut effective = self.clone();
        effective.settings.retain(|old| !update.settings.iter().any(|new| same_limit(old, new)));
        effective.settings.extend(update.settings.iter().cloned());
        Ok(Amendment { update, effective, changes })
    }
}

fn changes(old: &[Setting], new: &[Setting]) -> Vec<LimitChange> {
    let mut changes = Vec::new();
    for setting in new {
        let same_origin = |old: &&Setting| old.origin == setting.origin && same_limit(old, setting);
        let before = old.iter().rev().find(same_origin);
        let before = before.or_else(|| old.iter().rev().find(|old| same_limit(old, setting)));
        let (from, to) = (before.map(value), value(setting));
        if from.as_deref() != Some(to.as_str()) {
            changes.push(LimitChange { at: setting.origin.at().to_owned(), from, to });
        }
    }
    changes
}

/// A limit's value. The v1 form has the numbers as the specification writes them.
fn value(setting: &Setting) -> String {
    let write = setting.v1.as_ref().or(setting.v2.as_ref());
    write.map(|write| write.value.clone()).unwrap_or_default()
}

/// Whether two settings write the same limit, so that the later one decides.
fn same_limit(one: &Setting, other: &Setting) -> bool {
    match (&one.v2, &other.v2) {
        (Some(one), Some(other)) => one.limit_name() == other.limit_name(),
        (None, None) => match (&one.v1, &other.v1) {
            (Some(one), Some(other)) => one.limit_name() == other.limit_name(),
            (None, _) | (_, None) => false,
        },
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl Write {
    /// The device or interface that the line is about, in files with a line for each.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        if self.file == "cpu.max" || self.file.starts_with("cpuset.") {
            return None;
        }
        self.value.split_once(' ').map(|(key, _)| key)
    }

    /// What is limited: the file, the device, and the names of values on the line.
    fn limit_name(&self) -> (&str, Option<&str>, Vec<&str>) {
        let names = self.value.split(' ').filter_map(|word| word.split_once('='));
        (&self.file, self.key(), names.map(|(name, _)| name).collect())
    }
}

/// The value that was written last to a file of v2.
fn written<'a>(settings: &'a [Setting], file: &str) -> Option<&'a str> {
    let mut writes = settings.iter().rev().filter_map(|setting| setting.v2.as_ref());
    writes.find(|write| write.file == file).map(|write| write.value.as_str())
}

/// A number, or -1 for `max`.
fn number(text: &str) -> Option<i64> {
    if text == "max" { Some(-1) } else { text.parse().ok() }
}

fn complete_memory(memory: &mut LinuxMemory, settings: &[Setting]) {
    let named = |value: Option<i64>| value.filter(|value| *value != 0);
    let before = written(settings, "memory.max").and_then(number);
    match (named(memory.limit()), named(memory.swap())) {
        (None, Some(_)) => {
            memory.set_limit(before);
        }
        (Some(limit), None) if limit != -1 => {
            // v2 counts swap alone, the specification counts both.
            let swap = written(settings, "memory.swap.max").and_then(number);
            memory.set_swap(swap.map(|swap| match (swap, before) {
                (-1, _) => -1,
                (swap, Some(before)) if before > 0 => swap.saturating_add(before),
                (swap, _) => swap,
            }));
        }
        (Some(_), None) | (None, None) | (Some(_), Some(_)) => {}
    }
}

fn complete_cpu(cpu: &mut LinuxCpu, settings: &[Setting]) {
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    let Some(before) = written(settings, "cpu.max") else { return };
    let (quota_before, period_before) = before.split_once(' ').unwrap_or((before, ""));
    match (quota, period) {
        (Some(_), None) => {
            cpu.set_period(period_before.parse().ok());
        }
        (None, Some(_)) => {
            cpu.set_quota(number(quota_before));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

#[cfg(test)]
mod tests;
