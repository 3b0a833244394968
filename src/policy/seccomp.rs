//! `[seccomp]` of a policy file: who may answer for the kernel, and what is told of refusals.

use serde::Deserialize;

use super::{Case, RuleId};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};

/// The control that merges the baseline in.
const BASELINE: RuleId = RuleId("seccomp.baseline");

/// The control that refuses listeners.
const LISTENER: RuleId = RuleId("seccomp.listener");

/// The table `[seccomp]`. The default permits nothing beyond the level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SeccompPolicy {
    /// Sockets of agents that a bundle may name as `listenerPath`, exactly as they are named.
    pub listeners: Vec<String>,
    /// Rules of the baseline that do not stand on this machine, by name.
    pub waive: Vec<String>,
}

/// Whether a profile asks somebody to decide.
#[must_use]
pub fn asks(profile: &LinuxSeccomp) -> bool {
    let notifies = |action| action == LinuxSeccompAction::ScmpActNotify;
    notifies(profile.default_action())
        || profile.syscalls().iter().flatten().any(|rule| notifies(rule.action()))
}

/// Records the waivers, and refuses a listener that the policy does not name.
pub(super) fn apply(case: &mut Case<'_>) {
    for waived in &case.policy.seccomp.waive {
        let by = format!("waived by {}", case.policy.source);
        case.change(BASELINE, "/linux/seccomp", format!("`{waived}` of the baseline"), by);
    }
    refuse_listener(case);
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
