//! Device rules: `linux.resources.devices` as an ordered list with a default.
//!
//! The list is read as the specification writes it: in order, a later rule overriding an
//! earlier one for whatever both match, for each kind of access on its own. Everything that no
//! rule matches is denied. (cgroup v1 cannot cut a hole into a wildcard; an eBPF program can,
//! so a rule such as "all of 10:*, but not 10:229" means what it says.)

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use serde::{Deserialize, Serialize};

use super::{CgroupNote, CgroupPlanError};

/// An ordered rule list; the last rule that matches decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRules {
    /// What holds where no rule matches.
    pub default_allow: bool,
    /// The rules, in the order of the bundle, those without effect left out.
    pub rules: Vec<DeviceRule>,
}

/// Allows or denies some access to some devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Allow, or deny.
    pub allow: bool,
    /// `None` is both kinds.
    pub kind: Option<DeviceKind>,
    /// `None` is every major number.
    pub major: Option<u32>,
    /// `None` is every minor number.
    pub minor: Option<u32>,
    /// Which accesses it speaks of.
    pub access: Access,
}

/// The kinds of device that the kernel tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// A set of accesses to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Open for reading.
    pub read: bool,
    /// Open for writing.
    pub write: bool,
    /// Make a node.
    pub mknod: bool,
}

/// The nodes that every container may use, whatever its rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StandardDevices {
    /// `null`, `zero`, `full`, `random`, `urandom`, `tty`, `console`, `ptmx` and the
    /// pseudo-terminals: open, but not make.
    Open,
    /// The same, and any node may be made (though not opened): what other runtimes give.
    OpenAndMakeAny,
}

/// Major and minor of the standard nodes, all of them character devices.
const STANDARD_NODES: [(u32, Option<u32>); 9] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(1)), // console
    (5, Some(2)), // ptmx
    (136, None),  // pts/*
];

impl Access {
    /// Reading, writing and making.
    pub const ALL: Self = Self { read: true, write: true, mknod: true };
    /// Reading and writing.
    pub const OPEN: Self = Self { read: true, write: true, mknod: false };
    /// Making only.
    pub const MKNOD: Self = Self { read: false, write: false, mknod: true };

    /// Reads a string of `r`, `w` and `m`; `None` for anything else, and for none of them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.chars().all(|c| matches!(c, 'r' | 'w' | 'm')) {
            return None;
        }
        Some(Self {
            read: text.contains('r'),
            write: text.contains('w'),
            mknod: text.contains('m'),
        })
    }

    /// This set without the accesses of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self {
            read: self.read && !other.read,
            write: self.write && !other.write,
            mknod: self.mknod && !other.mknod,
        }
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        !(self.read || self.write || self.mknod)
    }
}

impl DeviceRules {
    /// No device at all.
    pub(super) fn deny_all() -> Self {
        Self { default_allow: false, rules: Vec::new() }
    }

    /// Reads the bundle's rules and puts the standard nodes behind them. What is taken otherwise
    /// than it is written goes to `notes`.
    pub(super) fn convert(
        rules: &[LinuxDeviceCgroup],
        standard: StandardDevices,
        notes: &mut Vec<CgroupNote>,
    ) -> Result<Self, Vec<CgroupPlanError>> {
        let mut errors = Vec::new();
        let mut all = Vec::with_capacity(rules.len() + STANDARD_NODES.len() + 2);
        for (i, rule) in rules.iter().enumerate() {
            let (rule, as_other_runtimes) = match standard {
                StandardDevices::Open => (rule.clone(), false),
                StandardDevices::OpenAndMakeAny => with_known_letters(rule),
            };
            if as_other_runtimes {
                let why = "has a letter that is none of `r`, `w` and `m`, which the levels that \
                           hold something refuse; here it denies all three, and allows nothing";
                let at = format!("/linux/resources/devices/{i}/access");
                notes.push(CgroupNote { at, why: why.to_owned() });
            }
            match convert_rule(&rule, i) {
                Ok(rule) => all.push(rule),
                Err(error) => errors.push(error),
            }
        }
        all.extend(standard_rules(standard));
        if errors.is_empty() { Ok(Self::from_list(all)) } else { Err(errors) }
    }

    /// The same meaning in fewer rules.
    #[must_use]
    pub fn from_list(mut rules: Vec<DeviceRule>) -> Self {
        // A rule about everything makes all before it void: it is the new default.
        let mut default_allow = false;
        if let Some(last) = rules.iter().rposition(DeviceRule::is_total) {
            default_allow = rules.get(last).is_some_and(|rule| rule.allow);
            rules.drain(..=last);
        }
        // What a later rule covers entirely never decides.
        let covered: Vec<bool> = rules
            .iter()
            .enumerate()
            .map(|(i, rule)| rules.iter().skip(i + 1).any(|later| later.covers(rule)))
            .collect();
        let mut covered = covered.into_iter();
        rules.retain(|_| !covered.next().unwrap_or(false));
        // What repeats the default, with nothing different before it, changes nothing.
        let first = rules.iter().position(|rule| rule.allow != default_allow);
        rules.drain(..first.unwrap_or(rules.len()));
        Self { default_allow, rules }
    }

    /// Rules that forbid nothing.
    #[must_use]
    pub fn everything() -> Self {
        Self { default_allow: true, rules: Vec::new() }
    }

    /// Whether every access to every device is allowed: no program is needed.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        self.default_allow && self.rules.is_empty()
    }

    /// The verdict on one access, which must not be empty. The reference for the compiled
    /// program.
    #[must_use]
    pub fn allows(&self, kind: DeviceKind, major: u32, minor: u32, access: Access) -> bool {
        let mut left = access;
        for rule in self.rules.iter().rev().filter(|rule| rule.matches(kind, major, minor)) {
            if rule.allow {
                left = left.without(rule.access);
                if left.is_empty() {
                    return true;
                }
            } else if left.without(rule.access) != left {
                return false;
            }
        }
        self.default_allow
    }
}

impl DeviceRule {
    /// Whether it speaks of every access to every device.
    fn is_total(&self) -> bool {
        self.kind.is_none()
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == Access::ALL
    }

    /// Whether it decides whatever `other` would.
    fn covers(&self, other: &Self) -> bool {
        let wider = |mine: Option<u32>, its: Option<u32>| mine.is_none() || mine == its;
        (self.kind.is_none() || self.kind == other.kind)
            && wider(self.major, other.major)
            && wider(self.minor, other.minor)
            && other.access.without(self.access).is_empty()
    }

    fn matches(&self, kind: DeviceKind, major: u32, minor: u32) -> bool {
        self.kind.is_none_or(|mine| mine == kind)
            && self.major.is_none_or(|mine| mine == major)
            && self.minor.is_none_or(|mine| mine == minor)
    }
}

fn standard_rules(standard: StandardDevices) -> Vec<DeviceRule> {
    let (access, make_any) = match standard {
        StandardDevices::Open => (Access::OPEN, false),
        StandardDevices::OpenAndMakeAny => (Access::OPEN, true),
    };
    let node = |(major, minor): &(u32, Option<u32>)| DeviceRule {
        allow: true,
        kind: Some(DeviceKind::Char),
        major: Some(*major),
        minor: *minor,
        access,
    };
    let mut rules = Vec::new();
    if make_any {
        let access = Access::MKNOD;
        rules.push(DeviceRule { allow: true, kind: None, major: None, minor: None, access });
    }
    rules.extend(STANDARD_NODES.iter().map(node));
    rules
}

/// The rule without letters that stand for no access, and whether it had any. Other runtimes pass
/// over them: what was meant is not known, so whatever it was is denied, and never allowed.
fn with_known_letters(rule: &LinuxDeviceCgroup) -> (LinuxDeviceCgroup, bool) {
    let mut rule = rule.clone();
    let written = rule.access().clone().unwrap_or_default();
    let known: String = written.chars().filter(|c| matches!(c, 'r' | 'w' | 'm')).collect();
    if known == written || known.is_empty() {
        return (rule, false);
    }
    rule.set_access(Some(if rule.allow() { known } else { "rwm".to_owned() }));
    (rule, true)
}

fn convert_rule(rule: &LinuxDeviceCgroup, i: usize) -> Result<DeviceRule, CgroupPlanError> {
    let refuse = |name: &str, why: String| CgroupPlanError::Value {
        pointer: format!("/linux/resources/devices/{i}/{name}"),
        why,
    };
    let kind = match rule.typ().unwrap_or_default() {
        LinuxDeviceType::A => None,
        LinuxDeviceType::B => Some(DeviceKind::Block),
        LinuxDeviceType::C => Some(DeviceKind::Char),
        other @ (LinuxDeviceType::U | LinuxDeviceType::P) => {
            let why = format!("`{}` is none of `a`, `b` and `c`", other.as_str());
            return Err(refuse("type", why));
        }
    };
    let number = |value: Option<i64>, name: &str| match value {
        None | Some(-1) => Ok(None),
        Some(value) => match u32::try_from(value) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(refuse(name, format!("{value} is no device number"))),
        },
    };
    let access = rule.access().as_deref().unwrap_or_default();
    let Some(access) = Access::parse(access) else {
        return Err(refuse("access", format!("{access:?} is not made of `r`, `w` and `m`")));
    };
    let (major, minor) = (number(rule.major(), "major")?, number(rule.minor(), "minor")?);
    Ok(DeviceRule { allow: rule.allow(), kind, major, minor, access })
}
