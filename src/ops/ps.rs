//! `ps`: the processes of a container, as the host sees them.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use super::{Context, OpsError, Result, group};
use crate::host::boxes;
use crate::store::Status;

/// What `ps` is called with when nobody says: every process, in full.
const EVERYTHING: &str = "-ef";

/// The process ids, in the order of the control group. A stopped container has none.
///
/// # Errors
/// No such container, or a group that cannot be read.
pub fn pids(context: &Context, id: &str) -> Result<Vec<i32>> {
    let doing = format!("ps `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let stored = store.read(&id).map_err(|error| super::stored(&doing, &error))?;
    let Some(record) = stored.record else { return Ok(Vec::new()) };
    if group::has_none(&record) {
        let alive = matches!(stored.status, Status::Created | Status::Running);
        let init = record.process.filter(|_| alive);
        return Ok(init.map_or_else(Vec::new, |init| boxes::processes_beside(init.pid())));
    }
    let Some(group) = group::open(&doing, &record)? else { return Ok(Vec::new()) };
    group.cgroup.pids().map_err(|error| OpsError::because(doing, &error))
}

/// The lines of the host's own `ps` that are about the container, and its header.
///
/// # Errors
/// Those of [`pids`]; and when `ps` is not there, fails, or prints no column `PID`.
pub fn ps_table(context: &Context, id: &str, arguments: &[OsString]) -> Result<String> {
    let pids = pids(context, id)?;
    let doing = format!("ps `{id}`");
    let mut command = Command::new("ps");
    if arguments.is_empty() {
        command.arg(EVERYTHING);
    }
    let ran = command.args(arguments).stdin(Stdio::null()).output().map_err(|error| {
        let number = crate::sys::Errno::from_raw(error.raw_os_error().unwrap_or_default());
        OpsError::failed(doing.as_str(), format!("run the host's `ps`: {number:?}"))
            .hint("install procps, or use `--format json`")
    })?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        let said = said.lines().next().unwrap_or_default().to_owned();
        return Err(OpsError::failed(doing, format!("`ps` failed: {said}")));
    }
    let table = String::from_utf8_lossy(&ran.stdout);
    select(&table, &pids).ok_or_else(|| {
        OpsError::failed(doing, "couldn't find PID field in ps output")
            .hint("choose columns with one named PID")
    })
}

/// The header, and the lines of these processes; `None` without a column `PID`.
fn select(table: &str, pids: &[i32]) -> Option<String> {
    let mut lines = table.lines();
    let header = lines.next()?;
    let column = header.split_whitespace().position(|title| title == "PID")?;
    let is_ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|field| field.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let ours = lines.filter(is_ours);
    Some(std::iter::once(header).chain(ours).flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "UID        PID  PPID CMD\nroot         1     0 init\nroot        12     1 a 1 b\n";

    #[test]
    fn lines_are_chosen_by_the_column_and_not_by_a_number_elsewhere() {
        let selected = select(TABLE, &[12]).unwrap();

        assert_eq!(selected, "UID        PID  PPID CMD\nroot        12     1 a 1 b\n");
        assert_eq!(select(TABLE, &[]).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_table_without_the_column_cannot_be_used() {
        assert_eq!(select("CMD\ninit\n", &[1]), None);
        assert_eq!(select("", &[1]), None);
    }
}
