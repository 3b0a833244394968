//! Namespaces: own ones for everything, or none at all.

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespace, LinuxNamespaceType};

use super::{Found, PodView, caller};
use crate::policy::{Case, Ids, RuleId};

const OWN_RANGE: RuleId = RuleId("ids.own-range");
const NO_HOST_ROOT: RuleId = RuleId("ids.no-host-root");
const OWN_MOUNT: RuleId = RuleId("ns.own-mount");
const OWN_CGROUP: RuleId = RuleId("ns.own-cgroup");
const ONE_PER_POD: RuleId = RuleId("ids.one-per-pod");
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

const STRANGER_HINT: &str = "start both containers with the same engine and the same --root, and \
                             have both name their sandbox; or leave the path out";

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

/// Whether the container is in the host's own namespace of a kind.
pub(super) fn is_hosts(case: &Case<'_>, (kind, word): (LinuxNamespaceType, &str)) -> bool {
    match find(case, kind) {
        None => true,
        Some((_, namespace)) => {
            namespace.path().is_some() && found(case, word) == Some(Found::Host)
        }
    }
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
        // Of a live container that is related to this one, or made for it.
        Some(Found::Pod | Found::Fresh) => {}
        Some(Found::Stranger(why)) => case.refuse(NO_FOREIGN_USER, at, why, STRANGER_HINT),
        Some(Found::Boxed { .. }) => case.refuse(
            NO_FOREIGN_USER,
            at,
            format!("leads to a {word} namespace that belongs to another user namespace"),
            STRANGER_HINT,
        ),
        Some(Found::Wrong(why)) => {
            case.refuse_always(rule, at, why, "name a namespace that exists")
        }
        // A network namespace is made by the engine for the container that it is given to; any
        // other one belongs to processes that are root outside.
        Some(Found::Foreign) if kind == LinuxNamespaceType::Network => {}
        Some(Found::Foreign) => case.refuse(
            NO_FOREIGN_USER,
            at,
            format!("leads to a {word} namespace whose processes may be root outside"),
            format!("leave the path of `{word}` out, to give the container its own"),
        ),
        None => case.refuse_always(rule, at, "was not looked at", "name it by an absolute path"),
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

/// A user namespace: the pod's; the bundle's own mapping if it keeps the host's root out; else
/// a range.
fn own_ids(case: &mut Case<'_>) {
    let user = find(case, LinuxNamespaceType::User);
    let pod = case.host.pod.as_ref();
    match (user, pod) {
        (None, Some(pod)) => pod_ids(case, pod),
        (Some((index, namespace)), pod) if namespace.path().is_some() => {
            join_user(case, index, pod);
        }
        (Some(_), _) => given_mappings(case),
        (None, None) => {
            add(case, LinuxNamespaceType::User);
            if let Some(caller) = &case.host.caller {
                caller::keep_ids(case, caller);
                return;
            }
            case.ids = Ids::OwnRange;
            let from = "root inside is root outside";
            case.change(OWN_RANGE, LIST, from, "65536 host ids that no other container has");
        }
    }
}

/// A user namespace by path: that of the pod, or one that the engine made for this container.
fn join_user(case: &mut Case<'_>, index: usize, pod: Option<&PodView>) {
    let at = format!("{LIST}/{index}/path");
    match (found(case, "user"), pod) {
        (Some(Found::Pod), Some(pod)) => pod_ids(case, pod),
        (Some(Found::Fresh), _) if has_mappings(case) => given_mappings(case),
        (Some(Found::Fresh), _) => case.refuse(
            NO_FOREIGN_USER,
            at,
            "joins a user namespace that maps no ids",
            "map ids in that namespace before it is given to a container",
        ),
        (Some(Found::Stranger(why)), _) => case.refuse(NO_FOREIGN_USER, at, why, STRANGER_HINT),
        _ => case.refuse(
            NO_FOREIGN_USER,
            at,
            "joins a user namespace that is not this container's",
            "leave the path of `user` out, and give uidMappings and gidMappings or neither",
        ),
    }
}

/// The ids of a live container of the pod, which were judged when that was made, under the same
/// policy or another.
fn pod_ids(case: &mut Case<'_>, pod: &PodView) {
    case.ids = Ids::OfPod;
    if let Some(caller) = &case.host.caller {
        caller::judge_users(case, caller, LIST, &pod.uids);
    }
    let (uids, gids) = mappings(case);
    for (name, given, lines) in [("uidMappings", uids, &pod.uids), ("gidMappings", gids, &pod.gids)]
    {
        if !given.is_empty() && given != *lines {
            case.refuse(
                ONE_PER_POD,
                format!("/linux/{name}"),
                format!(
                    "is not the mapping of container `{}`, whose namespaces are joined",
                    pod.of
                ),
                "leave the mappings out, or give those of the pod",
            );
        }
        let hosts = case.host.caller.is_none();
        if hosts && lines.iter().any(|(_, outside, _)| *outside < FIRST_FREE) {
            case.refuse(
                NO_HOST_ROOT,
                LIST,
                format!(
                    "shares the ids of container `{}`, which has ids of the host's users",
                    pod.of
                ),
                "give that container a mapping from 65536 on, or leave its mapping out",
            );
        }
    }
    let to = format!("the ids of container `{}`, whose pod it is of", pod.of);
    case.change(ONE_PER_POD, LIST, "root inside is root outside", to);
}

type Lines = Vec<(u32, u32, u32)>;

/// The bundle's mappings of users and groups.
fn mappings(case: &Case<'_>) -> (Lines, Lines) {
    let linux = case.spec.linux().as_ref();
    let line = |line: &LinuxIdMapping| (line.container_id(), line.host_id(), line.size());
    let lines = |given: Option<&Option<Vec<LinuxIdMapping>>>| {
        given.into_iter().flatten().flatten().map(line).collect()
    };
    (
        lines(linux.map(oci_spec::runtime::Linux::uid_mappings)),
        lines(linux.map(oci_spec::runtime::Linux::gid_mappings)),
    )
}

fn has_mappings(case: &Case<'_>) -> bool {
    let (uids, gids) = mappings(case);
    !uids.is_empty() && !gids.is_empty()
}

fn given_mappings(case: &mut Case<'_>) {
    let Some(linux) = case.spec.linux() else { return };
    let both = [
        ("uidMappings", linux.uid_mappings().clone()),
        ("gidMappings", linux.gid_mappings().clone()),
    ];
    if both.iter().all(|(_, lines)| lines.as_ref().is_none_or(Vec::is_empty)) {
        if let Some(caller) = &case.host.caller {
            caller::keep_ids(case, caller);
            return;
        }
        case.ids = Ids::OwnRange;
        let to = "65536 host ids that no other container has";
        case.change(OWN_RANGE, "/linux/uidMappings", "nothing is mapped", to);
        return;
    }
    if let Some(caller) = &case.host.caller {
        let (uids, gids) = mappings(case);
        caller::judge_range(case, "/linux/uidMappings", &caller.uids, &uids);
        caller::judge_range(case, "/linux/gidMappings", &caller.gids, &gids);
        caller::judge_users(case, caller, "/linux/uidMappings", &uids);
        return;
    }
    for (at, whose) in case.host.taken.clone() {
        let hint = "map ids that nobody has, and that the registry does not give out: below 524288, \
                    or above 1878982655";
        case.refuse(OWN_RANGE, at, format!("maps ids that {whose}"), hint);
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
