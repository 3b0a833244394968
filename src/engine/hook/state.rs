//! What hooks are told. Spec: runtime-spec, runtime.md, "State".

use std::collections::BTreeMap;
use std::path::Path;

/// The parts of a container's state that do not change.
#[derive(Debug, Clone, Copy)]
pub struct HookState<'a> {
    /// The specification's version.
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// The bundle's absolute path.
    pub bundle: &'a Path,
    /// The bundle's annotations; casemate's own are left out.
    pub annotations: &'a BTreeMap<String, String>,
}

/// What casemate adds to a container's annotations begins so.
const OWN: &str = "org.casemate.";

impl HookState<'_> {
    /// The document, with this status and, for a container that has one, init's process id.
    pub(super) fn document(&self, status: &str, pid: Option<i32>) -> Vec<u8> {
        let (mut document, tail) = self.around_pid(status);
        match pid {
            Some(pid) => document.extend_from_slice(pid.to_string().as_bytes()),
            // As `state` says it of a stopped container.
            None => document.push(b'0'),
        }
        document.extend_from_slice(&tail);
        document
    }

    /// The document, cut where the process id stands: init knows its own only once it runs, and
    /// can do no more then than write a number.
    pub(in crate::engine) fn around_pid(&self, status: &str) -> (Vec<u8>, Vec<u8>) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let head = format!(
            "{{\"ociVersion\":{},\"id\":{},\"status\":{},\"pid\":",
            text(self.oci_version),
            text(self.id),
            text(status)
        );
        let annotations: serde_json::Map<_, _> = self
            .annotations
            .iter()
            .filter(|(name, _)| !name.starts_with(OWN))
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let mut tail = format!(",\"bundle\":{}", text(&self.bundle.to_string_lossy()));
        if !annotations.is_empty() {
            tail.push_str(",\"annotations\":");
            tail.push_str(&serde_json::Value::from(annotations).to_string());
        }
        tail.push('}');
        (head.into_bytes(), tail.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_that_of_the_specification_and_nothing_in_it_can_break_it() {
        let annotations: BTreeMap<_, _> = [("a\"b", "c\n"), ("org.casemate.level", "hardened")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let state = HookState {
            oci_version: "1.2.0",
            id: "web",
            bundle: Path::new("/b\"x"),
            annotations: &annotations,
        };

        let read: serde_json::Value =
            serde_json::from_slice(&state.document("creating", Some(42))).unwrap();

        let expected = serde_json::json!({
            "ociVersion": "1.2.0", "id": "web", "status": "creating", "pid": 42,
            "bundle": "/b\"x", "annotations": {"a\"b": "c\n"}
        });
        assert_eq!(read, expected);
    }
}
