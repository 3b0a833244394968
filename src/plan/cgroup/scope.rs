//! The systemd driver's form of a place: a slice, and a scope in it.
//!
//! Reference: systemd.scope(5), systemd.slice(5); the form `SLICE:PREFIX:NAME` is that of engines.

use serde::{Deserialize, Serialize};

use super::path::{PathFault, RelativePath};
use super::property::UnitProperty;

/// A scope of systemd's, which a container is put into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopePath {
    /// The slice, as systemd calls it: `machine.slice`, `kubepods-burstable.slice`.
    pub slice: String,
    /// The scope; `None` is `casemate-ID.scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Properties of the scope that annotations asked for and the policy allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<UnitProperty>,
}

/// The slice of containers that name none.
const DEFAULT_SLICE: &str = "system.slice";
/// `UNIT_NAME_MAX` of systemd, with its NUL.
const UNIT_NAME_MAX_BYTES: usize = 255;
const SLICE: &str = ".slice";

impl ScopePath {
    /// Reads `SLICE:PREFIX:NAME`; nothing at all is a scope by the container's id.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, PathFault> {
        let Some(text) = text else {
            let slice = DEFAULT_SLICE.to_owned();
            return Ok(Self { slice, unit: None, properties: Vec::new() });
        };
        let fault = |why: &'static str| PathFault::Scope { path: text.to_owned(), why };
        let [slice, prefix, name] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(fault("is not of the form slice:prefix:name"));
        };
        let slice = if slice.is_empty() { DEFAULT_SLICE } else { slice };
        if name.is_empty() {
            return Err(fault("has no name"));
        }
        if name.ends_with(SLICE) {
            return Err(fault("names a slice, which holds other units and no processes"));
        }
        let unit = unit_name(prefix, name);
        if expand(slice).is_none() {
            return Err(fault("has a slice that systemd would not take"));
        }
        if !is_unit_name(&unit) {
            return Err(fault("does not make the name of a unit"));
        }
        Ok(Self { slice: slice.to_owned(), unit: Some(unit), properties: Vec::new() })
    }

    /// The unit's name, for a container.
    ///
    /// # Errors
    /// [`PathFault::Scope`] when the id makes no unit's name.
    pub fn unit(&self, id: &str) -> Result<String, PathFault> {
        match &self.unit {
            Some(unit) => Ok(unit.clone()),
            None => {
                Some(unit_name("casemate", id)).filter(|unit| is_unit_name(unit)).ok_or_else(|| {
                    PathFault::Scope {
                        path: id.to_owned(),
                        why: "does not make the name of a unit",
                    }
                })
            }
        }
    }

    /// Where the system's manager puts the scope, below the root of every hierarchy.
    pub(super) fn resolve(&self, id: &str) -> Result<RelativePath, PathFault> {
        let slices = expand(&self.slice).unwrap_or_default();
        RelativePath::parse(&format!("{slices}/{}", self.unit(id)?))
    }
}

/// `PREFIX-NAME.scope`, as engines expect it.
fn unit_name(prefix: &str, name: &str) -> String {
    match prefix {
        "" => format!("{name}.scope"),
        _ => format!("{prefix}-{name}.scope"),
    }
}

/// Letters, digits and what systemd takes besides.
fn is_unit_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    name.len() <= UNIT_NAME_MAX_BYTES && !name.starts_with('.') && name.chars().all(fits)
}

/// `a-b.slice` is below `a.slice`: the path of a slice. `None` if it is no slice's name.
fn expand(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(SLICE)?;
    if stem == "-" {
        return Some(String::new());
    }
    if !is_unit_name(slice) || stem.contains('@') {
        return None;
    }
    let (mut path, mut prefix) = (String::new(), String::new());
    for component in stem.split('-') {
        if component.is_empty() {
            return None;
        }
        prefix.push_str(component);
        path.push('/');
        path.push_str(&prefix);
        path.push_str(SLICE);
        prefix.push('-');
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ScopePath, PathFault> {
        ScopePath::parse(Some(text))
    }

    #[test]
    fn a_scope_lies_below_its_slices() {
        for (text, id, path) in [
            ("machine.slice:libpod:abc", "x", "machine.slice/libpod-abc.scope"),
            (
                "kubepods-besteffort-pod1_2.slice:cri-containerd:abc",
                "x",
                "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/\
                 cri-containerd-abc.scope",
            ),
            (":crio:abc", "x", "system.slice/crio-abc.scope"),
            ("-.slice::abc", "x", "abc.scope"),
        ] {
            assert_eq!(parse(text).unwrap().resolve(id).unwrap().as_str(), path, "{text}");
        }
        let default = ScopePath::parse(None).unwrap();
        assert_eq!(default.resolve("web-1").unwrap().as_str(), "system.slice/casemate-web-1.scope");
    }

    #[test]
    fn what_systemd_would_not_take_is_refused() {
        for text in [
            "/kubepods/x",
            "a:b",
            "a.slice:b:c:d",
            "a:b:c",
            "a--b.slice:p:n",
            "-a.slice:p:n",
            "../a.slice:p:n",
            "a/b.slice:p:n",
            ".slice:p:n",
            "a.slice:p:",
            "a.slice:p:n/../m",
            "a.slice:p:n m",
            "a.slice:p:other.slice",
        ] {
            assert!(matches!(parse(text), Err(PathFault::Scope { .. })), "{text}");
        }
        assert!(parse(&format!("a.slice:p:{}", "n".repeat(300))).is_err());
    }
}
