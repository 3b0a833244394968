//! `state`: what the specification wants to know of a container.

use std::collections::BTreeMap;

use super::group::Freezers;
use super::{Context, OpsError, Result};
use crate::store::Status;

/// The state document. Spec: runtime-spec, runtime.md, "State".
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateDocument {
    /// The specification's version.
    pub oci_version: String,
    /// The id.
    pub id: String,
    /// Init's process id, 0 when stopped.
    pub pid: i32,
    /// `creating`, `created`, `running`, `paused`, `stopped`.
    pub status: String,
    /// The bundle.
    pub bundle: String,
    /// The root file system.
    pub rootfs: String,
    /// RFC 3339.
    pub created: String,
    /// The bundle's annotations, and casemate's own.
    pub annotations: BTreeMap<String, String>,
    /// The name of the user who created it.
    pub owner: String,
}

/// The state of one container.
///
/// # Errors
/// No such container, or a record that cannot be read.
pub fn state(context: &Context, id: &str) -> Result<StateDocument> {
    let doing = format!("state `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let stored = store.read(&id).map_err(|error| super::stored(&doing, &error))?;
    let Some(record) = stored.record else {
        return Err(OpsError::failed(doing, format!("container is {}", stored.status))
            .hint("its creation was cut short; use `delete --force`"));
    };
    let status = Freezers::default().word(stored.status, Some(&record));
    let alive = stored.status == Status::Created || stored.status == Status::Running;
    let pid = record.process.filter(|_| alive).map_or(0, crate::store::ProcessId::pid);
    Ok(StateDocument {
        oci_version: record.oci_version,
        id: id.as_str().to_owned(),
        pid,
        status,
        bundle: record.bundle.display().to_string(),
        rootfs: record.rootfs.display().to_string(),
        created: record.created,
        annotations: record.annotations,
        owner: user_name(record.owner),
    })
}

/// The name of a user of the host. Without one, the number.
pub(super) fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    let found = std::fs::read_to_string("/etc/passwd").ok().and_then(|text| {
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            (id.parse() == Ok(uid)).then(|| name.to_owned())
        })
    });
    found.unwrap_or_else(|| uid.to_string())
}
