//! Looks at a host before anything runs on it: what the kernel has, whose ids are whose, which
//! policy holds, which engines are there and whether they know of casemate. Changes nothing.
//!
//! Every line that is not well says what to do.

mod engines;
mod groups;
mod ids;
mod kernel;
mod places;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::plan::facts::CallerFacts;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Well,
    /// There, and of no consequence.
    Note,
    /// Something will be refused, weaker or slower.
    Poor,
    /// No container can be started.
    Ill,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `kernel`, `groups`, `ids`, `places`, or an engine's name.
    pub area: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found, as a sentence.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    fn new(area: &'static str, health: Health, found: impl Into<String>) -> Self {
        Self { area, health, found: found.into(), remedy: String::new() }
    }

    fn well(area: &'static str, found: impl Into<String>) -> Self {
        Self::new(area, Health::Well, found)
    }

    fn note(area: &'static str, found: impl Into<String>) -> Self {
        Self::new(area, Health::Note, found)
    }

    fn poor(area: &'static str, found: impl Into<String>) -> Self {
        Self::new(area, Health::Poor, found)
    }

    fn ill(area: &'static str, found: impl Into<String>) -> Self {
        Self::new(area, Health::Ill, found)
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Places<'a> {
    /// The state root.
    pub root: &'a Path,
    /// The registry of id ranges.
    pub ranges: &'a Path,
    /// A policy file instead of the administrator's.
    pub policy: Option<&'a Path>,
    /// The audit record.
    pub audit: &'a Path,
    /// The user who calls as root of a user namespace, if it is not root of the host.
    pub caller: Option<&'a CallerFacts>,
    /// Today in UTC, as `YYYY-MM-DD`.
    pub today: &'a str,
    /// Where configuration of engines lies: `/`, but for tests.
    pub etc: PathBuf,
}

/// Looks at everything.
#[must_use]
pub fn examine(places: &Places<'_>) -> Vec<Finding> {
    let mut findings = kernel::look(places.caller);
    findings.extend(match places.caller {
        None => groups::look(),
        Some(_) => vec![groups::of_a_user()],
    });
    findings.extend(ids::look(places));
    findings.extend(places::look(places));
    findings.extend(engines::look(places));
    findings
}

/// The findings as people read them: the area, how it is, what was found, and what to do.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let mut area = "";
    for finding in findings {
        let head = if finding.area == area { "" } else { finding.area };
        area = finding.area;
        let mark = match finding.health {
            Health::Well => "well",
            Health::Note => "note",
            Health::Poor => "POOR",
            Health::Ill => "ILL ",
        };
        let _ = writeln!(out, "{head:<11} {mark}  {}", finding.found);
        if !finding.remedy.is_empty() {
            let _ = writeln!(out, "{:<17} do: {}", "", finding.remedy);
        }
    }
    out
}

#[cfg(test)]
mod tests;
