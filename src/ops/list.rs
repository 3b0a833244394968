//! `list`: every container below the state root.

use super::group::Freezers;
use super::state::user_name;
use super::{Context, Result};
use crate::store::{Status, Store, StoredState};

/// One line of `list`, in runc's field names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListItem {
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
    /// RFC 3339; empty where it is not known, which JSON says in the words of Go's zero time:
    /// callers read a time there, or none of the list.
    #[serde(serialize_with = "time")]
    pub created: String,
    /// The name of the user who created it.
    pub owner: String,
}

/// Lists all containers; those whose record cannot be read come with status `unknown`.
///
/// # Errors
/// When the state root itself cannot be read.
pub fn list(context: &Context) -> Result<Vec<ListItem>> {
    // One that was named and is not there is a mistake; the usual one comes with the first container.
    if matches!(context.root.try_exists(), Ok(false)) && context.root != super::default_root() {
        let what = format!("{}: no such file or directory", context.root.display());
        return Err(super::OpsError::failed("list", what).hint("name the directory with `--root`"));
    }
    let store = Store::open(&context.root).map_err(|error| super::stored("list", &error))?;
    let listed = store.list().map_err(|error| super::stored("list", &error))?;
    let mut freezers = Freezers::default();
    Ok(listed
        .into_iter()
        .map(|(id, state)| match state {
            Ok(state) => item(id.as_str(), state, &mut freezers),
            Err(_) => unknown(id.as_str(), "unknown".to_owned()),
        })
        .collect())
}

fn item(id: &str, state: StoredState, freezers: &mut Freezers) -> ListItem {
    let status = freezers.word(state.status, state.record.as_ref());
    let Some(record) = state.record else { return unknown(id, status) };
    let alive = state.status == Status::Created || state.status == Status::Running;
    ListItem {
        oci_version: record.oci_version,
        id: id.to_owned(),
        pid: record.process.filter(|_| alive).map_or(0, crate::store::ProcessId::pid),
        status,
        bundle: record.bundle.display().to_string(),
        rootfs: record.rootfs.display().to_string(),
        created: record.created,
        owner: user_name(record.owner),
    }
}

fn unknown(id: &str, status: String) -> ListItem {
    ListItem {
        oci_version: String::new(),
        id: id.to_owned(),
        pid: 0,
        status,
        bundle: String::new(),
        rootfs: String::new(),
        created: String::new(),
        owner: String::new(),
    }
}

fn time<S: serde::Serializer>(time: &str, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(if time.is_empty() { "0001-01-01T00:00:00Z" } else { time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_record_has_a_time_that_can_be_read_nevertheless() {
        let json = serde_json::to_value(unknown("broken", "unknown".to_owned())).unwrap();

        assert_eq!(json["created"], "0001-01-01T00:00:00Z");
    }
}
