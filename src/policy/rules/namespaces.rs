//! Namespaces: own ones for everything, or none at all.

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};

use super::Found;
use crate::policy::{Case, RuleId};

const OWN_RANGE: RuleId = RuleId("ids.own-range");
const NO_HOST_ROOT: RuleId = RuleId("ids.no-host-root");
const OWN_MOUNT: RuleId = RuleId("ns.own-mount");
const OWN_CGROUP: RuleId = RuleId("ns.own-cgroup");
const NO_FOREIGN_USER: RuleId = RuleId("ns.no-foreign-user");

/// The kinds that a bundle must ask for itself, since their absence means the host's.
const NEVER_THE_HOSTS: [(LinuxNamespaceType, &str, RuleId); 4] = [
    (LinuxNamespaceType::Pid, "pid", RuleId("ns.no-host-pid")),
    (LinuxNamespaceType::Network, "network", RuleId("ns.no-host-network")),
    (LinuxNamespaceType::Ipc, "ipc", RuleId("ns.no-host-ipc")),
    (LinuxNamespaceType::Uts, "uts", RuleId("ns.no-host-uts")),
];

/// Below are the host's own users; a range has as many ids as this.
const FIRST_FREE: u32 = 65_536;

const LIST: &str = "/linux/namespaces";

pub(super) fn apply(case: &mut Case<'_>) {
    for (kind, word, rule) in NEVER_THE_HOSTS {
        never_the_hosts(case, kind, word, rule);
    }
    own(case, LinuxNamespaceType::Mount, "mount", OWN_MOUNT);
    own(case, LinuxNamespaceType::Cgroup, "cgroup", OWN_CGROUP);
    own_ids(case);
}

fn list(case: &Case<'_>) -> Vec<LinuxNamespace> {
    let linux = case.spec.linux().as_ref();
    linux.and_then(|linux| linux.namespaces().clone()).unwrap_or_default()
}

fn find(case: &Case<'_>, kind: LinuxNamespaceType) -> Option<(usize, LinuxNamespace)> {
    list(case).into_iter().enumerate().find(|(_, namespace)| namespace.typ() == kind)
}

fn found(case: &Case<'_>, word: &str) -> Option<Found> {
    let of = case.host.namespaces.iter().find(|found| found.kind == word);
    of.map(|found| found.found.clone())
}

fn never_the_hosts(case: &mut Case<'_>, kind: LinuxNamespaceType, word: &str, rule: RuleId) {
    let Some((index, namespace)) = find(case, kind) else {
        let hint = format!("add {{\"type\": \"{word}\"}} to {LIST}");
        case.refuse(rule, LIST, format!("has no `{word}`"), hint);
        return;
    };
    if namespace.path().is_none() {
        return;
    }
    let at = format!("{LIST}/{index}/path");
    match found(case, word) {
        Some(Found::Host) => {
            let hint = format!("leave the path of `{word}` out, to give the container its own");
            case.refuse(rule, at, format!("leads to the host's {word} namespace"), hint);
        }
        Some(Found::Boxed { .. }) => case.refuse(
            NO_FOREIGN_USER,
            at,
            format!("leads to a {word} namespace that belongs to another user namespace"),
            "containers of one pod that share ids are not supported by this version",
        ),
        Some(Found::Wrong(why)) => case.refuse(rule, at, why, "name a namespace that exists"),
        // A network namespace is made by the engine for the container that it is given to; any
        // other one belongs to processes that are root outside.
        Some(Found::Foreign) if kind == LinuxNamespaceType::Network => {}
        Some(Found::Foreign) => case.refuse(
            NO_FOREIGN_USER,
            at,
            format!("leads to a {word} namespace whose processes may be root outside"),
            format!("leave the path of `{word}` out, to give the container its own"),
        ),
        None => case.refuse(rule, at, "was not looked at", "name it by an absolute path"),
    }
}

/// Adds a namespace that the bundle did not ask for; one given by path is refused.
fn own(case: &mut Case<'_>, kind: LinuxNamespaceType, word: &str, rule: RuleId) {
    match find(case, kind) {
        Some((index, namespace)) => {
            if namespace.path().is_some() {
                let hint = format!("leave the path of `{word}` out");
                let at = format!("{LIST}/{index}/path");
                case.refuse(rule, at, format!("joins another {word} namespace"), hint);
            }
        }
        None => {
            add(case, kind);
            case.change(rule, LIST, format!("the host's {word} namespace"), "an own one");
        }
    }
}

fn add(case: &mut Case<'_>, kind: LinuxNamespaceType) {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind);
    let linux = case.spec.linux_mut().get_or_insert_default();
    linux.namespaces_mut().get_or_insert_default().push(namespace);
}

/// A user namespace: the bundle's own mapping if it keeps the host's root out, else a range.
fn own_ids(case: &mut Case<'_>) {
    match find(case, LinuxNamespaceType::User) {
        Some((index, namespace)) if namespace.path().is_some() => case.refuse(
            NO_FOREIGN_USER,
            format!("{LIST}/{index}/path"),
            "joins a user namespace that is not this container's",
            "leave the path of `user` out, and give uidMappings and gidMappings or neither",
        ),
        Some(_) => given_mappings(case),
        None => {
            add(case, LinuxNamespaceType::User);
            case.own_range = true;
            let from = "root inside is root outside";
            case.change(OWN_RANGE, LIST, from, "65536 host ids that no other container has");
        }
    }
}

fn given_mappings(case: &mut Case<'_>) {
    let Some(linux) = case.spec.linux() else { return };
    let both = [
        ("uidMappings", linux.uid_mappings().clone()),
        ("gidMappings", linux.gid_mappings().clone()),
    ];
    if both.iter().all(|(_, lines)| lines.as_ref().is_none_or(Vec::is_empty)) {
        case.own_range = true;
        let to = "65536 host ids that no other container has";
        case.change(OWN_RANGE, "/linux/uidMappings", "nothing is mapped", to);
        return;
    }
    for (name, lines) in both {
        for (index, line) in lines.iter().flatten().enumerate() {
            if line.host_id() < FIRST_FREE {
                let what = if line.host_id() == 0 { "id 0" } else { "ids of users" };
                case.refuse(
                    NO_HOST_ROOT,
                    format!("/linux/{name}/{index}/hostID"),
                    format!("maps the host's {what} into the container"),
                    "map ids from 65536 on that belong to nobody, or leave the mappings out",
                );
            }
        }
        let sizes = lines.iter().flatten().map(|line| u64::from(line.size()));
        if sizes.sum::<u64>() > u64::from(FIRST_FREE) {
            case.refuse(
                OWN_RANGE,
                format!("/linux/{name}"),
                "maps more than 65536 ids, which others have, too",
                "map 65536 ids, or leave the mappings out",
            );
        }
    }
}
