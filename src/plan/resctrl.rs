//! The chapter on processor caches and memory bandwidth: the container's group in resctrl.
//!
//! Reference: runtime-spec, config-linux.md, "IntelRdt"; the kernel's documentation, resctrl.

use oci_spec::runtime::LinuxIntelRdt;
use serde::{Deserialize, Serialize};

use super::text::{HostPath, Text};

/// A group of the resctrl file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resctrl {
    /// Where the file system is mounted.
    pub root: HostPath,
    /// Which group.
    pub group: Group,
    /// Lines for its schemata, in the order in which they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<Text>,
    /// Whether the container is counted in a group of its own below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub monitored: bool,
}

/// Which group of resctrl it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// One of the container's own, named after it.
    ById,
    /// The default group, that of everyone.
    Default,
    /// One that others may be in, too. With schemata, it is made if it is missing.
    Named(Text),
}

impl Group {
    /// Its path below the root of resctrl; empty for the default group.
    #[must_use]
    pub fn name<'a>(&'a self, id: &'a str) -> &'a str {
        match self {
            Self::ById => id,
            Self::Default => "",
            Self::Named(name) => name.as_str(),
        }
    }
}

/// Files and directories of resctrl that are no groups.
const RESERVED: [&str; 3] = ["info", "mon_data", "mon_groups"];

/// The group that is asked for.
///
/// # Errors
/// The property that is wrong, below `/linux/intelRdt`, and what is wrong with it.
pub(super) fn group(
    asked: &LinuxIntelRdt,
    root: Option<&HostPath>,
) -> Result<Resctrl, (&'static str, String)> {
    let root = root.ok_or_else(|| {
        ("", "no `resctrl` file system is mounted on this host; mount it at /sys/fs/resctrl".into())
    })?;
    let group = match asked.clos_id().as_deref().unwrap_or_default() {
        "" => Group::ById,
        "/" => Group::Default,
        name if name == "." || name == ".." || name.contains('/') || RESERVED.contains(&name) => {
            return Err(("/closID", format!("is no name of a group: `{name}`")));
        }
        name => Group::Named(line("/closID", name)?),
    };
    let mut schemata = Vec::new();
    if let Some(schema) = asked.l3_cache_schema().as_deref().filter(|schema| !schema.is_empty()) {
        schemata.push(line("/l3CacheSchema", schema)?);
    }
    if let Some(schema) = asked.mem_bw_schema().as_deref().filter(|schema| !schema.is_empty()) {
        if !schema.starts_with("MB:") {
            return Err(("/memBwSchema", "does not begin with `MB:`".to_owned()));
        }
        schemata.push(line("/memBwSchema", schema)?);
    }
    for schema in asked.schemata().iter().flatten() {
        schemata.push(line("/schemata", schema)?);
    }
    let monitored = asked.enable_monitoring() == &Some(true);
    Ok(Resctrl { root: root.clone(), group, schemata, monitored })
}

fn line(at: &'static str, text: &str) -> Result<Text, (&'static str, String)> {
    if text.contains('\n') {
        return Err((at, "has a line feed".to_owned()));
    }
    Text::new(text).map_err(|error| (at, error.to_string()))
}

/// Whether a group whose schemata are `found` has what `wanted` asks for: each domain that it
/// names, with the same value. Spaces, letter case and leading zeros are nothing.
#[must_use]
pub fn holds(found: &str, wanted: &str) -> bool {
    let Some((resource, domains)) = wanted.split_once(':') else { return false };
    let same_resource =
        |line: &&str| line.split_once(':').is_some_and(|(name, _)| name.trim() == resource.trim());
    let Some((_, has)) = found.lines().find(same_resource).and_then(|line| line.split_once(':'))
    else {
        return false;
    };
    let pairs = |text: &str| -> Vec<(String, String)> {
        let pair = |text: &str| {
            let (domain, value) = text.split_once('=').unwrap_or((text, ""));
            (plain(domain), plain(value))
        };
        text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(pair).collect()
    };
    let has = pairs(has);
    pairs(domains).iter().all(|pair| has.contains(pair))
}

fn plain(text: &str) -> String {
    text.trim().trim_start_matches('0').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(value: serde_json::Value) -> LinuxIntelRdt {
        serde_json::from_value(value).unwrap()
    }

    fn root() -> HostPath {
        HostPath::new("/sys/fs/resctrl").unwrap()
    }

    #[test]
    fn lines_stand_in_the_order_of_the_specification() {
        let asked = asked(json!({
            "closID": "gold", "schemata": ["L2:0=f", "L3:0=1"], "memBwSchema": "MB:0=20",
            "l3CacheSchema": "L3:0=7f0", "enableMonitoring": true,
        }));

        let group = group(&asked, Some(&root())).unwrap();

        let lines: Vec<_> = group.schemata.iter().map(Text::as_str).collect();
        assert_eq!(lines, ["L3:0=7f0", "MB:0=20", "L2:0=f", "L3:0=1"]);
        assert!(group.monitored && group.group.name("x") == "gold");
    }

    #[test]
    fn what_is_no_group_and_no_schema_is_named() {
        let said = |value| group(&asked(value), Some(&root())).unwrap_err();
        assert_eq!(said(json!({"closID": "a/b"})).0, "/closID");
        assert_eq!(said(json!({"closID": ".."})).0, "/closID");
        assert_eq!(said(json!({"closID": "info"})).0, "/closID");
        assert_eq!(said(json!({"memBwSchema": "L3:0=1"})).0, "/memBwSchema");
        assert_eq!(said(json!({"l3CacheSchema": "L3:0=1\nMB:0=1"})).0, "/l3CacheSchema");
        let (at, what) = group(&asked(json!({})), None).unwrap_err();
        assert!(at.is_empty() && what.contains("no `resctrl` file system"));
    }

    #[test]
    fn a_group_holds_what_all_named_domains_have() {
        let found = "    MB:0= 100;1=  20\n    L3:0=7f0;1=01f\n";

        assert!(holds(found, "L3:0=7F0;1=1f"));
        assert!(holds(found, "MB:1=20"));
        assert!(!holds(found, "L3:0=7f0;1=f"));
        assert!(!holds(found, "L3:2=7f0"));
        assert!(!holds(found, "L2:0=1"));
    }
}
