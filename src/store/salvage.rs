//! What can still be told from a record that this casemate cannot read: one of another version's,
//! or one that was damaged. Only for a forced delete, which must find what there is to remove.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::record::{Phase, Record};
use crate::spec::id::ContainerId;

/// Picks the fields that say what belongs to the container; `None` if the bytes are not even JSON.
pub(super) fn salvage(bytes: &[u8], id: &ContainerId) -> Option<Record> {
    let document: Value = serde_json::from_slice(bytes).ok()?;
    let record = document.get("record")?;
    Some(Record {
        oci_version: String::new(),
        id: id.clone(),
        bundle: field(record, "bundle").unwrap_or_default(),
        rootfs: field(record, "rootfs").unwrap_or_default(),
        process: field(record, "process"),
        created: String::new(),
        owner: 0,
        annotations: BTreeMap::new(),
        level: field(record, "level").unwrap_or_default(),
        plan_digest: field(record, "plan_digest").unwrap_or_default(),
        cgroup: field(record, "cgroup").unwrap_or_default(),
        range: field(record, "range"),
        shares_pids: field(record, "shares_pids").unwrap_or_default(),
        has_poststop: field(record, "has_poststop").unwrap_or_default(),
        resctrl: field(record, "resctrl").unwrap_or_default(),
        shown: field(record, "shown"),
        phase: Phase::Creating,
        watcher: field(record, "watcher"),
        limits: None,
    })
}

fn field<T: DeserializeOwned>(record: &Value, name: &str) -> Option<T> {
    record.get(name).and_then(|value| T::deserialize(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_version_still_tells_what_to_remove() {
        let id = ContainerId::parse("web-1").unwrap();
        let bytes =
            br#"{"version": 9, "record": {"id": "web-1", "process": {"pid": 7, "start_time": 5},
            "cgroup": {"path": "x"}, "range": "a shape of the future", "more": true}}"#;

        let record = salvage(bytes, &id).unwrap();

        assert_eq!(record.process.unwrap().pid(), 7);
        assert_eq!(record.cgroup["path"], "x");
        assert_eq!((record.range, record.phase), (None, Phase::Creating));
        assert_eq!(salvage(b"\0\0", &id), None);
    }
}
