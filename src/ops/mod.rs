//! One file per operation: the only place where the pure core meets the shell.

mod activation;
mod attend;
mod caller;
pub mod checkpoint;
mod create;
mod delete;
mod doctor;
mod error;
mod events;
mod exec;
mod explain;
mod filter;
mod given_ids;
mod group;
mod group_plan;
mod hooks;
mod kill;
mod list;
mod notify;
mod pause;
mod pid_file;
mod pod;
mod prepare;
mod ps;
mod record;
mod relay;
mod restore;
mod run;
pub mod seccomp;
mod signals;
mod start;
mod state;
mod terminal;
pub mod try_out;
mod update;

use std::path::PathBuf;

pub use checkpoint::{CheckpointRequest, checkpoint, criu_works};
pub use create::{CreateRequest, create};
pub use delete::delete;
pub use doctor::doctor;
pub use error::{Failure, OpsError};
pub use events::{ContainerEvent, EventSpan, events};
pub use exec::{ExecRequest, exec};
pub use explain::{Explanation, explain};
pub use filter::{ReportRequest, WatchRequest};
pub use kill::{kill, parse_signal};
pub use list::{ListItem, list};
pub use pause::{pause, resume};
pub use prepare::Otherwise;
pub use ps::{pids, ps_table};
pub use restore::{RestoreRequest, restore};
pub use run::{Ran, RunRequest, run};
pub use start::start;
pub use state::{StateDocument, state};
pub use update::{UpdateRequest, parse_update, update};

use crate::spec::id::ContainerId;
use crate::store::{Store, StoreError};

/// What every operation is told: the global options.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where the state of containers is (`--root`).
    pub root: PathBuf,
    /// A policy file instead of `/etc/casemate/policy.toml` (`--policy`).
    pub policy: Option<PathBuf>,
    /// Whether the systemd cgroup driver was asked for (`--systemd-cgroup`).
    pub systemd_cgroup: bool,
}

/// Where state is kept when nobody says.
pub const DEFAULT_ROOT: &str = "/run/casemate";

/// Where state is kept for this caller when nobody says.
#[must_use]
pub fn default_root() -> PathBuf {
    let is_user = !rustix::process::geteuid().is_root();
    let caller = crate::host::outer::caller().ok().flatten();
    if !is_user && caller.is_none() {
        return PathBuf::from(DEFAULT_ROOT);
    }
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let uid = caller.and_then(|caller| caller.uid());
    let uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let usual = || PathBuf::from(format!("/run/user/{uid}"));
    given.filter(|dir| dir.is_absolute()).unwrap_or_else(usual).join("casemate")
}

/// The policy file of the host's administrator.
pub const POLICY_FILE: &str = "/etc/casemate/policy.toml";

/// Where ranges of host ids are registered: one place for the host, whatever `--root` is.
pub const RANGES: &str = "/run/casemate/.ranges";

/// How an operation on one container begins: its id is checked before the store is opened.
fn find(context: &Context, doing: &str, id: &str) -> Result<(ContainerId, Store)> {
    let id = ContainerId::parse(id).map_err(|error| OpsError::failed(doing, error.to_string()))?;
    let store = Store::open(&context.root).map_err(|error| stored(doing, &error))?;
    Ok((id, store))
}

/// An error of the store, with its remedy.
fn stored(doing: &str, error: &StoreError) -> OpsError {
    let failed = OpsError::because(doing, error);
    match error.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// What control groups the host has, as far as a new config.json must know.
#[must_use]
pub fn groups() -> crate::spec::default::Groups {
    use crate::spec::default::Groups;
    /// `CGROUP2_SUPER_MAGIC` of <linux/magic.h>.
    const UNIFIED: rustix::fs::FsWord = 0x6367_7270;
    match rustix::fs::statfs("/sys/fs/cgroup") {
        Ok(found) if found.f_type == UNIFIED => Groups::Unified,
        Ok(_) | Err(_) => Groups::Other,
    }
}

/// What an operation gives.
pub type Result<T> = std::result::Result<T, OpsError>;
