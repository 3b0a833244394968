//! What an audit record says.

use std::path::PathBuf;

use serde::Serialize;

use crate::plan::cgroup::LimitChange;
use crate::spec::id::ContainerId;

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EventKind {
    /// A plan was made; nothing exists yet.
    Planned,
    /// The container is complete and waits for `start`.
    Created,
    /// Its program runs.
    Started,
    /// Another program was started in it.
    Exec,
    /// The policy refused; nothing was created.
    Refused,
    /// A step failed, and was undone.
    Failed,
    /// It was signalled.
    Killed,
    /// It was frozen.
    Paused,
    /// It was thawed.
    Resumed,
    /// Its limits were changed.
    Updated,
    /// It was written to files.
    Checkpointed,
    /// It was made again from files, and runs.
    Restored,
    /// It was removed.
    Deleted,
    /// A control of its level could not be had, and was left out.
    Degraded,
}

/// One change that the policy made to what the bundle asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The address in `config.json`, RFC 6901.
    pub at: String,
    /// The rule that made it.
    pub rule: String,
}

/// Who asked, as far as can be known; what cannot be known is left out, never guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The real uid, as our user namespace counts.
    pub uid: u32,
    /// The uid that logged in: proc(5), `loginuid`. None behind a daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_uid: Option<u32>,
    /// The process that called us.
    pub parent_pid: i32,
    /// Its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_exe: Option<PathBuf>,
    /// The engine, as its annotations tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// One record. It has no place for arguments or environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When: RFC 3339 in UTC.
    pub time: String,
    /// What.
    pub event: EventKind,
    /// To which container.
    pub id: ContainerId,
    /// The level in force.
    pub level: String,
    /// Where the policy came from: files with their digests, or `builtin`.
    pub policy: String,
    /// The digest of the plan, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// Why: the sentence that the user read, for `refused`, `failed` and `degraded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many changes the policy made, also when the list is left out.
    pub change_count: usize,
    /// The changes. Left out when the line would grow too long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What exceptions of the policy waived: `EXCEPTION: RULE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<String>,
    /// The limits that were changed, for `updated`. Left out when the line would grow too long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitChange>,
    /// Who asked.
    pub actor: Actor,
}

impl Actor {
    /// Observes who called this process.
    #[must_use]
    pub fn observe(engine: Option<String>) -> Self {
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        let parent_pid = parent.unwrap_or_default();
        let login = std::fs::read_to_string("/proc/self/loginuid").ok();
        Self {
            uid: rustix::process::getuid().as_raw(),
            login_uid: login
                .and_then(|text| text.trim().parse().ok())
                // "Not set" is the highest number.
                .filter(|&uid| uid != u32::MAX),
            parent_pid,
            parent_exe: std::fs::read_link(format!("/proc/{parent_pid}/exe")).ok(),
            engine,
        }
    }
}
