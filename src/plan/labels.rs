//! The chapter on security modules: the profile and labels that they know the container by.

use oci_spec::runtime::{Linux, Process};
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::build::PlanError;
use super::facts::LsmFacts;
use super::mount::FsOption;
use super::process::Asked;
use super::text::Text;

/// What a security module knows something by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// A profile of AppArmor, for the program.
    AppArmor(Text),
    /// A label of SELinux, for the program.
    Selinux(Text),
    /// A label of SELinux, for the keys that are made next.
    Keys(Text),
}

/// The name that stands for no profile.
const UNCONFINED: &str = "unconfined";

/// Kinds of context that the annotation `run.oci.mount_context_type` may choose.
const CONTEXTS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];

fn given(property: Option<&String>) -> Option<&str> {
    property.map(String::as_str).filter(|text| !text.is_empty())
}

/// The AppArmor profile, if there is anything to be set.
fn profile(process: &Process, lsm: LsmFacts) -> Option<&str> {
    let profile = given(process.apparmor_profile().as_ref())?;
    // Where AppArmor is off, everyone is.
    (profile != UNCONFINED || lsm.apparmor).then_some(profile)
}

/// Whether a step of this process needs to find its own files of procfs.
pub(super) fn is_labelled(process: &Process, lsm: LsmFacts) -> bool {
    profile(process, lsm).is_some() || given(process.selinux_label().as_ref()).is_some()
}

/// What is asked for of a module that the kernel does not have, or has switched off. In the
/// words that engines look for.
pub(super) fn check(process: &Process, linux: Option<&Linux>, lsm: LsmFacts) -> Vec<PlanError> {
    let mut errors = Vec::new();
    let mut off = |at: &str, what: &str| {
        errors.push(PlanError::new(at.to_owned(), what.to_owned()));
    };
    if profile(process, lsm).is_some() && !lsm.apparmor {
        let what = "AppArmor is not enabled on this host: `/proc/self/attr/apparmor/exec`";
        off("/process/apparmorProfile", what);
    }
    if given(process.selinux_label().as_ref()).is_some() && !lsm.selinux {
        let what = "SELinux is not enabled on this host: `/proc/self/attr/exec`";
        off("/process/selinuxLabel", what);
    }
    let mounts = linux.and_then(|linux| given(linux.mount_label().as_ref()));
    if mounts.is_some() && !lsm.selinux {
        off("/linux/mountLabel", "SELinux is not enabled on this host");
    }
    errors
}

/// The last steps of a process that has its credentials: what the program will be known by.
pub(super) fn steps(process: &Process, lsm: LsmFacts) -> Vec<Asked> {
    let mut steps: Vec<Asked> = Vec::new();
    if let Some(profile) = profile(process, lsm).and_then(|text| Text::new(text).ok()) {
        let label = Label::AppArmor(profile);
        steps.push((Action::Label { label }, "/process/apparmorProfile"));
    }
    if let Some(label) = selinux(process) {
        let label = Label::Selinux(label);
        steps.push((Action::Label { label }, "/process/selinuxLabel"));
    }
    steps
}

/// The label of the process, for SELinux.
pub(super) fn selinux(process: &Process) -> Option<Text> {
    given(process.selinux_label().as_ref()).and_then(|text| Text::new(text).ok())
}

/// The option that gives a file system made for the container its label.
pub(super) fn of_mounts(linux: Option<&Linux>, kind: Option<&str>) -> Option<FsOption> {
    let label = linux.and_then(|linux| given(linux.mount_label().as_ref()))?;
    let kind = kind.filter(|kind| CONTEXTS.contains(kind)).unwrap_or("context");
    Some((Text::new(kind).ok()?, Some(Text::new(label).ok()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(value: serde_json::Value) -> Process {
        let mut whole = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["x"]});
        whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn what_the_kernel_does_not_have_is_said_with_the_file_that_would_be_written() {
        let process = process(json!({"apparmorProfile": "a", "selinuxLabel": "b"}));

        let said: Vec<_> =
            check(&process, None, LsmFacts::default()).iter().map(ToString::to_string).collect();

        assert!(said[0].starts_with("/process/apparmorProfile: AppArmor is not enabled"));
        assert!(said[0].ends_with("`/proc/self/attr/apparmor/exec`"));
        assert!(said[1].ends_with("`/proc/self/attr/exec`"));
        let all = LsmFacts { apparmor: true, selinux: true };
        assert_eq!(check(&process, None, all), []);
    }

    #[test]
    fn unconfined_is_what_everyone_is_without_apparmor() {
        let process = process(json!({"apparmorProfile": "unconfined"}));

        assert_eq!(check(&process, None, LsmFacts::default()), []);
        assert_eq!(steps(&process, LsmFacts::default()), []);
        assert_eq!(steps(&process, LsmFacts { apparmor: true, selinux: false }).len(), 1);
    }
}
