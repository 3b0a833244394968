//! `[seccomp]` of a policy file: who may answer for the kernel, and what is told of refusals.

use serde::Deserialize;

use super::{Case, RuleId};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, Spec};

/// The control that refuses listeners.
const LISTENER: RuleId = RuleId("seccomp.listener");

/// The control that refuses to write profiles.
const RECORD: RuleId = RuleId("seccomp.record");

/// The annotation by which a bundle asks that a profile be recorded; its value is a name.
pub const RECORD_ANNOTATION: &str = "org.casemate.seccomp.record";

/// The table `[seccomp]`. The default permits nothing beyond the level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SeccompPolicy {
    /// Sockets of agents that a bundle may name as `listenerPath`, exactly as they are named.
    pub listeners: Vec<String>,
    /// How refused calls are told of.
    pub report: Report,
    /// The directory in which a bundle may have a profile recorded, by a name.
    pub record_to: Option<Directory>,
}

/// How refused calls are told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// Not at all.
    #[default]
    Off,
    /// A process beside the container answers them, with the very same error, and notes them.
    Notify,
    /// The kernel logs them, where its own settings have it.
    KernelLog,
}

/// An absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Directory(pub String);

impl TryFrom<String> for Directory {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, &'static str> {
        if path.starts_with('/') { Ok(Self(path)) } else { Err("not an absolute path") }
    }
}

impl SeccompPolicy {
    /// The file that a bundle wants its profile recorded in, if it does.
    ///
    /// # Errors
    /// Why it does not get it: the rest of a sentence that begins with the annotation, and what
    /// to do.
    pub fn record_file(&self, spec: &Spec) -> Result<Option<String>, (String, String)> {
        let name = spec.annotations().as_ref().and_then(|all| all.get(RECORD_ANNOTATION));
        let Some(name) = name else { return Ok(None) };
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        let is_name = (1..=128).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(plain);
        if !is_name {
            let hint = "give up to 128 letters, digits and `_.-`, the first a letter or digit";
            return Err(("is no name of a profile".to_owned(), hint.to_owned()));
        }
        let Some(Directory(dir)) = &self.record_to else {
            let why = "asks for a profile to be recorded, and the policy has no place for it";
            let hint = "set `record-to` of [seccomp] in the policy file to a directory";
            return Err((why.to_owned(), hint.to_owned()));
        };
        let end = if name.ends_with(".json") { "" } else { ".json" };
        Ok(Some(format!("{}/{name}{end}", dir.trim_end_matches('/'))))
    }
}

/// Whether a profile asks somebody to decide.
#[must_use]
pub fn asks(profile: &LinuxSeccomp) -> bool {
    let notifies = |action| action == LinuxSeccompAction::ScmpActNotify;
    notifies(profile.default_action())
        || profile.syscalls().iter().flatten().any(|rule| notifies(rule.action()))
}

/// Refuses what the policy does not allow a bundle to ask for.
pub(super) fn apply(case: &mut Case<'_>) {
    refuse_listener(case);
    if let Err((why, hint)) = case.policy.seccomp.record_file(&case.spec) {
        case.refuse(RECORD, format!("/annotations/{RECORD_ANNOTATION}"), why, hint);
    }
}

/// To connect to a socket is to speak to a program of the host's with its trust in who may.
fn refuse_listener(case: &mut Case<'_>) {
    let profile = case.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let Some(profile) = profile.filter(|profile| asks(profile)) else { return };
    // Without a path the compiler refuses it, whatever the policy says.
    let Some(path) = profile.listener_path().clone() else { return };
    let path = path.display().to_string();
    if !case.policy.seccomp.listeners.contains(&path) {
        case.refuse(
            LISTENER,
            "/linux/seccomp/listenerPath",
            format!("names {path}, and the policy names no such agent"),
            format!("add \"{path}\" to `listeners` of [seccomp] in the policy file"),
        );
    }
}
