//! Kernel parameters, kernel files, limits: nothing of the host's.

use oci_spec::runtime::{LinuxNamespaceType, LinuxPids, LinuxResources};

use super::namespaces;

use crate::policy::case::list_of;
use crate::policy::{Case, RuleId, Value, control};

const OWN_NAMESPACES: RuleId = RuleId("sysctl.own-namespaces");
const MASKED: RuleId = RuleId("proc.masked");
const READ_ONLY: RuleId = RuleId("proc.read-only");
const PIDS_LIMIT: RuleId = RuleId("cgroup.pids-limit");
/// The limit of tasks, as `unified` names it.
const PIDS_FILE: &str = "pids.max";
const ROOTFS_PRIVATE: RuleId = RuleId("rootfs.private");

const NETWORK: (LinuxNamespaceType, &str) = (LinuxNamespaceType::Network, "network");
const IPC: (LinuxNamespaceType, &str) = (LinuxNamespaceType::Ipc, "ipc");

pub(super) fn apply(case: &mut Case<'_>) {
    sysctls(case);
    hidden_paths(case);
    propagation(case);
    pids_limit(case);
}

fn sysctls(case: &mut Case<'_>) {
    let Some(sysctls) = case.spec.linux().as_ref().and_then(|linux| linux.sysctl().clone()) else {
        return;
    };
    let mut names: Vec<_> = sysctls.keys().collect();
    names.sort_unstable();
    for name in names {
        let listed = list_of(OWN_NAMESPACES).iter().any(|allowed| match allowed.split_once('*') {
            Some((prefix, _)) => name.starts_with(prefix),
            None => name == allowed,
        });
        let kind = if name.starts_with("net.") { NETWORK } else { IPC };
        if !listed || namespaces::is_hosts(case, kind) {
            let hint = match name.as_str() {
                "kernel.hostname" => "set /hostname instead",
                "kernel.domainname" => "set /domainname instead",
                _ => "leave it out, or set it on the host",
            };
            let at = format!("/linux/sysctl/{}", name.replace('~', "~0").replace('/', "~1"));
            case.refuse(OWN_NAMESPACES, at, "is a parameter of the whole host", hint);
        }
    }
}

/// Adds what is missing from a list of paths; returns what was added.
fn add_missing(list: &mut Vec<String>, ours: &[&str]) -> Vec<String> {
    let missing: Vec<String> = ours
        .iter()
        .filter(|path| !list.iter().any(|there| there == *path))
        .map(|path| (*path).to_owned())
        .collect();
    list.extend(missing.iter().cloned());
    missing
}

fn hidden_paths(case: &mut Case<'_>) {
    let linux = case.spec.linux_mut().get_or_insert_default();
    let masked = linux.masked_paths_mut().get_or_insert_default();
    let now_masked = add_missing(masked, list_of(MASKED));
    let readonly = linux.readonly_paths_mut().get_or_insert_default();
    let now_readonly = add_missing(readonly, list_of(READ_ONLY));
    if !now_masked.is_empty() {
        case.change(MASKED, "/linux/maskedPaths", "readable", now_masked.join(" "));
    }
    if !now_readonly.is_empty() {
        case.change(READ_ONLY, "/linux/readonlyPaths", "writable", now_readonly.join(" "));
    }
}

fn propagation(case: &mut Case<'_>) {
    let given = case.spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().clone());
    if let Some(word) = given.filter(|word| word.contains("shared")) {
        case.refuse(
            ROOTFS_PRIVATE,
            "/linux/rootfsPropagation",
            format!("is `{word}`"),
            "leave it out, or use `private`",
        );
    }
}

/// What resources say of the number of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tasks {
    /// Nothing.
    Unsaid,
    /// That there shall be no limit.
    Unlimited,
    /// A limit.
    Limited,
}

/// The file by name decides over the property, for it is written last.
fn tasks(resources: Option<&LinuxResources>) -> Tasks {
    let unified = resources.and_then(|resources| resources.unified().as_ref());
    let file = unified.and_then(|keys| keys.get(PIDS_FILE)).map(|value| value.trim());
    let property = resources.and_then(|resources| resources.pids().as_ref()).map(LinuxPids::limit);
    match (file, property) {
        (Some("max"), _) | (None, Some(..0)) => Tasks::Unlimited,
        (Some(_), _) | (None, Some(0..)) => Tasks::Limited,
        (None, None) => Tasks::Unsaid,
    }
}

/// A limit where the bundle gives none: -1 asks for none.
fn pids_limit(case: &mut Case<'_>) {
    let linux = case.spec.linux().as_ref();
    if tasks(linux.and_then(|linux| linux.resources().as_ref())) != Tasks::Limited {
        force_pids_limit(case);
    }
}

/// A limit where an update would take it away. One that says nothing of tasks changes nothing.
pub(super) fn apply_to_update(case: &mut Case<'_>) {
    let linux = case.spec.linux().as_ref();
    if tasks(linux.and_then(|linux| linux.resources().as_ref())) != Tasks::Unlimited {
        return;
    }
    force_pids_limit(case);
    let linux = case.spec.linux_mut().as_mut();
    if let Some(resources) = linux.and_then(|linux| linux.resources_mut().as_mut()) {
        let mut pids = LinuxPids::default();
        pids.set_limit(case.pids_limit.unwrap_or(0));
        resources.set_pids(Some(pids));
    }
}

fn force_pids_limit(case: &mut Case<'_>) {
    let Some(Value::Number(limit)) = control(PIDS_LIMIT.0).map(|control| control.value) else {
        return;
    };
    case.change(PIDS_LIMIT, "/linux/resources/pids", "no limit", limit.to_string());
    case.pids_limit = Some(limit);
    let linux = case.spec.linux_mut().as_mut();
    if let Some(resources) = linux.and_then(|linux| linux.resources_mut().as_mut()) {
        resources.set_pids(None);
        if let Some(keys) = resources.unified_mut() {
            keys.remove(PIDS_FILE);
        }
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{Linux, Spec};

    use super::*;
    use crate::policy::Policy;
    use crate::policy::rules::HostView;

    fn forced(resources: &str) -> Option<i64> {
        let mut linux = Linux::default();
        linux.set_resources(Some(serde_json::from_str(resources).unwrap()));
        let mut spec = Spec::default();
        spec.set_linux(Some(linux));
        let (host, policy) = (HostView::default(), Policy::default());
        let mut case = Case::new(spec, &host, &policy);
        pids_limit(&mut case);
        case.pids_limit
    }

    #[test]
    fn no_way_of_asking_for_no_limit_gets_none() {
        for resources in [
            "{}",
            r#"{"pids": {"limit": -1}}"#,
            r#"{"unified": {"pids.max": "max"}}"#,
            r#"{"pids": {"limit": 5}, "unified": {"pids.max": " max\n"}}"#,
        ] {
            assert_eq!(forced(resources), Some(4096), "{resources}");
        }
    }

    #[test]
    fn a_limit_of_the_bundles_own_stays() {
        for resources in [
            r#"{"pids": {"limit": 0}}"#,
            r#"{"unified": {"pids.max": "9"}}"#,
            r#"{"pids": {"limit": -1}, "unified": {"pids.max": "9"}}"#,
        ] {
            assert_eq!(forced(resources), None, "{resources}");
        }
    }
}
