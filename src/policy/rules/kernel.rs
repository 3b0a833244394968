//! Kernel parameters, kernel files, limits: nothing of the host's.

use oci_spec::runtime::LinuxPids;

use crate::policy::case::list_of;
use crate::policy::{Case, RuleId, Value, control};

const OWN_NAMESPACES: RuleId = RuleId("sysctl.own-namespaces");
const MASKED: RuleId = RuleId("proc.masked");
const READ_ONLY: RuleId = RuleId("proc.read-only");
const PIDS_LIMIT: RuleId = RuleId("cgroup.pids-limit");
const ROOTFS_PRIVATE: RuleId = RuleId("rootfs.private");

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
        let allowed = list_of(OWN_NAMESPACES).iter().any(|allowed| match allowed.split_once('*') {
            Some((prefix, _)) => name.starts_with(prefix),
            None => name == allowed,
        });
        if !allowed {
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

/// A limit where the bundle gives none: -1 asks for none.
fn pids_limit(case: &mut Case<'_>) {
    let Some(Value::Number(limit)) = control(PIDS_LIMIT.0).map(|control| control.value) else {
        return;
    };
    let resources = case.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let asked = resources.and_then(|given| given.pids().as_ref()).map(LinuxPids::limit);
    if asked.is_some_and(|asked| asked >= 0) {
        return;
    }
    case.change(PIDS_LIMIT, "/linux/resources/pids", "no limit", limit.to_string());
    case.pids_limit = Some(limit);
    let linux = case.spec.linux_mut().as_mut();
    if let Some(resources) = linux.and_then(|linux| linux.resources_mut().as_mut()) {
        resources.set_pids(None);
    }
}
