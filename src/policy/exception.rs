//! `[[exception]]` in a policy file: which control does not hold for which containers, until when,
//! and why. Pure.
//!
//! An exception names what it waives. Only the controls in [`WAIVABLE`] and [`WIDENED`] have one:
//! what is left out of a container then is known, and everything else still holds. One whose day
//! has passed is as if it were not there.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

/// Controls that an exception may waive, and the promise that is lowered; empty if none is.
pub const WAIVABLE: [(&str, &str); 7] = [
    ("ids.no-host-root", "P1"),
    ("ns.no-host-network", ""),
    ("ns.no-host-ipc", ""),
    ("ns.no-host-uts", ""),
    ("mount.no-host-kernel-files", "P2"),
    ("mount.no-kernel-cover", "P2"),
    ("mount.no-shared-propagation", "P2"),
];

/// Controls whose list an exception may make longer, and the promise that is lowered.
pub const WIDENED: [(&str, &str); 4] =
    [("caps.ceiling", "P4"), ("dev.standard-only", ""), ("rootfs.scratch", "P3"), BASELINE];

/// The filter's denials are waived one by one: `seccomp.baseline/RULE`.
const BASELINE: (&str, &str) = ("seccomp.baseline", "P5");

/// Capabilities that no exception gives: other promises rest on their absence.
const NEVER: [&str; 2] = ["CAP_SYS_ADMIN", "CAP_SETFCAP"];

/// Annotations in which Kubernetes' engines say what the image is; users of these cannot set them.
const IMAGE: [&str; 2] = ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"];
/// Annotations in which engines say the namespace of a pod.
const NAMESPACE: [&str; 2] = ["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"];

/// One exception.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Its name, in records and explanations.
    pub id: String,
    /// Why it is there.
    pub reason: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The last day it holds.
    #[serde(default)]
    pub expires: Option<Day>,
    /// Controls, and denials of the filter as `seccomp.baseline/RULE`, that do not hold.
    #[serde(default)]
    pub waive: Vec<String>,
    /// What is added to the lists of controls.
    #[serde(default)]
    pub allow: BTreeMap<String, Vec<String>>,
    /// For which containers; without it, for all.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// The line of the file it begins on, counted from 1.
    #[serde(skip)]
    pub line: usize,
}

/// Which containers an exception is for: all that is said must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// The image, as Kubernetes' engines name it: a pattern with `*`.
    pub image: Option<String>,
    /// The Kubernetes namespace of the pod: a pattern.
    pub namespace: Option<String>,
    /// A directory that the bundle lies in.
    pub bundle: Option<String>,
    /// The container's id: a pattern.
    pub id: Option<String>,
    /// Annotations: a name, and a pattern for the value. Who writes the bundle writes these.
    pub annotation: BTreeMap<String, String>,
}

/// A day: `YYYY-MM-DD`, so that days compare as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Day(String);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = toml::value::Datetime::deserialize(from)?;
        if given.date.is_none() || given.time.is_some() {
            return Err(serde::de::Error::custom("is not a day such as 2030-01-31"));
        }
        Ok(Self(given.to_string()))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom an exception is asked for, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The container's id, where there is one.
    pub id: Option<String>,
    /// The bundle's absolute path.
    pub bundle: String,
    /// Today in UTC, as `YYYY-MM-DD`. Empty: not known, and nothing that expires holds.
    pub today: String,
}

/// What did not hold, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    /// The exception.
    pub exception: String,
    /// What it waives.
    pub rule: String,
    /// The file and line the exception stands on.
    pub policy: String,
    /// The promise that is lowered, if one is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lowers: String,
    /// A JSON pointer (RFC 6901) to what would have been refused or changed.
    pub at: String,
    /// What it is, as a clause.
    pub what: String,
    /// Why the exception is there.
    pub reason: String,
}

impl Waived {
    /// The denial of the filter that does not stand, if it is one.
    #[must_use]
    pub fn baseline_rule(&self) -> Option<&str> {
        baseline_rule(&self.rule)
    }
}

impl Exception {
    /// Whether it holds for this container on this day. The one place that knows of expiry.
    pub(super) fn state(&self, subject: &Subject, annotations: &Annotations<'_>) -> State {
        if !self.matches.fits(subject, annotations) {
            return State::Elsewhere;
        }
        match &self.expires {
            Some(day) if subject.today.is_empty() || subject.today > day.0 => {
                State::Expired(day.clone())
            }
            Some(_) | None => State::Holds,
        }
    }

    /// What is wrong with it, as a clause.
    pub(super) fn fault(&self) -> Option<String> {
        if self.id.trim().is_empty() || self.reason.trim().is_empty() {
            return Some("an exception needs an `id` and a `reason`".to_owned());
        }
        if self.waive.is_empty() && self.allow.is_empty() {
            return Some(format!("exception `{}` names nothing that it waives", self.id));
        }
        let unknown = self.waive.iter().find(|name| !is_waivable(name));
        if let Some(name) = unknown {
            return Some(format!("exception `{}`: `{name}` cannot be waived", self.id));
        }
        self.allow.iter().find_map(|(name, list)| {
            let why = widening_fault(name, list)?;
            Some(format!("exception `{}`: {why}", self.id))
        })
    }

    /// The filter's denials that it waives.
    pub fn baseline_rules(&self) -> impl Iterator<Item = &str> {
        self.waive.iter().filter_map(|name| baseline_rule(name))
    }
}

/// The filter's denials that do not stand for a container with these annotations.
#[must_use]
pub fn waived_denials<'a>(
    exceptions: &'a [Exception],
    subject: &Subject,
    annotations: &HashMap<String, String>,
) -> Vec<&'a str> {
    let annotation = |name: &str| annotations.get(name).map(String::as_str);
    let holds = |exception: &&Exception| exception.state(subject, &annotation) == State::Holds;
    exceptions.iter().filter(holds).flat_map(Exception::baseline_rules).collect()
}

/// Whether an exception holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It does.
    Holds,
    /// It is for other containers.
    Elsewhere,
    /// It did, up to this day.
    Expired(Day),
}

/// Annotations by name.
pub(super) type Annotations<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

fn baseline_rule(name: &str) -> Option<&str> {
    name.strip_prefix(BASELINE.0)?.strip_prefix('/').filter(|rule| !rule.is_empty())
}

fn is_waivable(name: &str) -> bool {
    WAIVABLE.iter().any(|(known, _)| *known == name) || baseline_rule(name).is_some()
}

fn widening_fault(name: &str, list: &[String]) -> Option<String> {
    match name {
        "caps.ceiling" => list.iter().find_map(|capability| {
            if NEVER.contains(&capability.as_str()) {
                return Some(format!("no exception gives {capability}"));
            }
            let shaped = capability.starts_with("CAP_");
            (!shaped).then(|| format!("`{capability}` is no capability: write CAP_NET_RAW"))
        }),
        "dev.standard-only" => list.iter().find_map(|device| {
            (!is_device(device)).then(|| format!("`{device}` is no device: write c 10:229"))
        }),
        "rootfs.scratch" => list.iter().find_map(|place| {
            let kernel = ["/proc", "/sys", "/dev"].into_iter().any(|kernel| {
                place
                    .strip_prefix(kernel)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            let plain = place.len() > 1 && place.starts_with('/') && !place.contains("..");
            (kernel || !plain).then(|| format!("`{place}` is no place for scratch memory"))
        }),
        other => Some(format!("nothing can be added to `{other}`")),
    }
}

fn is_device(text: &str) -> bool {
    let number = |text: &str| text == "*" || text.parse::<u32>().is_ok();
    let Some((kind, numbers)) = text.split_once(' ') else { return false };
    let Some((major, minor)) = numbers.split_once(':') else { return false };
    matches!(kind, "c" | "b") && major != "*" && number(major) && number(minor)
}

/// The promise that is lowered where this control does not hold.
pub(super) fn lowers(rule: &str) -> &'static str {
    let name = if baseline_rule(rule).is_some() { BASELINE.0 } else { rule };
    let mut known = WAIVABLE.iter().chain(&WIDENED);
    known.find(|(known, _)| *known == name).map_or("", |(_, promise)| *promise)
}

impl Match {
    fn fits(&self, subject: &Subject, annotations: &Annotations<'_>) -> bool {
        let first = |names: &[&str]| names.iter().find_map(|name| annotations(name));
        let fits = |pattern: &Option<String>, value: Option<&str>| match (pattern, value) {
            (None, _) => true,
            (Some(pattern), Some(value)) => glob(pattern, value),
            (Some(_), None) => false,
        };
        let bundle = self.bundle.as_ref().is_none_or(|dir| {
            let rest = subject.bundle.strip_prefix(dir.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let named = self
            .annotation
            .iter()
            .all(|(name, pattern)| annotations(name).is_some_and(|value| glob(pattern, value)));
        bundle
            && named
            && fits(&self.image, first(&IMAGE))
            && fits(&self.namespace, first(&NAMESPACE))
            && fits(&self.id, subject.id.as_deref())
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    let mut rest = rest;
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at.saturating_add(part.len())..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
