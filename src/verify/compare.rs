//! Says where a container differs from its plan, or from what it was. Pure.

use std::fmt;

use super::observe::{Observed, ObservedMount, ObservedProcess, Relation};
use super::{Expected, ExpectedMount, MountKind};
use crate::plan::Namespace;
use crate::plan::names::FLAG_WORDS;
use crate::seccomp::Instruction;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What differs.
    pub what: String,
    /// What was planned.
    pub planned: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: planned {}, found {}", self.what, self.planned, self.found)
    }
}

fn drift(what: impl Into<String>, planned: impl ToString, found: impl ToString) -> Drift {
    Drift { what: what.into(), planned: planned.to_string(), found: found.to_string() }
}

/// Where it differs from its plan.
#[must_use]
pub fn with_plan(expected: &Expected<'_>, observed: &Observed) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for process in &observed.processes {
        privileges(expected, process, &mut drifts);
        namespaces(expected, process, &mut drifts);
    }
    mounts(expected, observed, &mut drifts);
    drifts
}

fn privileges(expected: &Expected<'_>, process: &ObservedProcess, drifts: &mut Vec<Drift>) {
    let named = |what: &str| format!("{what} of process {}", process.pid);
    let ceiling = expected.sets.bounding;
    let sets = process.sets;
    let all = [
        ("bounding set", sets.bounding, ceiling),
        ("permitted capabilities", sets.permitted, ceiling),
        ("effective capabilities", sets.effective, ceiling),
        ("inheritable capabilities", sets.inheritable, ceiling),
        ("ambient capabilities", sets.ambient, expected.sets.permitted & ceiling),
    ];
    for (what, found, most) in all {
        if found & !most != 0 {
            drifts.push(drift(named(what), format!("at most {most:#x}"), format!("{found:#x}")));
        }
    }
    if expected.no_new_privileges && !process.no_new_privileges {
        drifts.push(drift(named("no_new_privs"), "set", "not set"));
    }
    if expected.filter.is_some() && process.seccomp != FILTERED {
        drifts.push(drift(named("seccomp"), "a filter", "none"));
    }
    if let Some(planned) = expected.label {
        let found = process.label.as_deref().unwrap_or("none");
        let name = found.rsplit_once(" (").map_or(found, |(name, _)| name);
        let below = name.strip_prefix(planned).is_some_and(|rest| rest.starts_with("//"));
        if name != planned && !below {
            drifts.push(drift(named("label"), planned, found));
        }
    }
    if !expected.may_change_user() && process.uids != [expected.uid; 4] {
        drifts.push(drift(named("user"), expected.uid, words(&process.uids)));
    }
    if !expected.may_change_group() && process.gids != [expected.gid; 4] {
        drifts.push(drift(named("group"), expected.gid, words(&process.gids)));
    }
}

/// `SECCOMP_MODE_FILTER`.
const FILTERED: u32 = 2;

fn words(ids: &[u32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn namespaces(expected: &Expected<'_>, process: &ObservedProcess, drifts: &mut Vec<Drift>) {
    for kind in expected.told_namespaces() {
        let wanted = if expected.own.contains(&kind) {
            Relation::Own
        } else if expected.joined.iter().any(|(joined, _)| *joined == kind) {
            Relation::Joined
        } else {
            Relation::Host
        };
        let Some(found) = process.namespaces.get(kind.word()) else { continue };
        if *found != wanted {
            let what = format!("{} namespace of process {}", kind.word(), process.pid);
            drifts.push(drift(what, whose(wanted), whose(*found)));
        }
    }
}

fn whose(relation: Relation) -> &'static str {
    match relation {
        Relation::Host => "the host's",
        Relation::Joined => "that of the path",
        Relation::Own => "the container's own",
        Relation::Other => "another one",
    }
}

/// Every mount of the plan must be on top of its place, or be hidden by a later one; every mount
/// there is must be in the plan, or come with one that is.
fn mounts(expected: &Expected<'_>, observed: &Observed, drifts: &mut Vec<Drift>) {
    let mut explained = vec![false; observed.mounts.len()];
    for (planned, place) in expected.mounts.iter().zip(&observed.places) {
        let found = place.and_then(|at| Some((at, observed.mounts.get(at)?)));
        match found {
            Some((at, found)) => {
                if let Some(drift) = mount(expected, observed, planned, found) {
                    drifts.push(drift);
                }
                if let Some(explained) = explained.get_mut(at) {
                    *explained = true;
                }
            }
            None if planned.optional => {}
            None => {
                drifts.push(drift(format!("mount {}", planned.at), said(planned), "no such place"))
            }
        }
    }
    for (found, explained) in observed.mounts.iter().zip(explained) {
        if !explained && !comes_along(expected, observed, found) {
            let what = format!("mount {}", found.at);
            drifts.push(drift(what, "none", format!("{} {}", found.kind, found.flags)));
        }
    }
}

/// What is on top of a place must be the last of those that are planned there, or whatever it is
/// copied from.
fn mount(
    expected: &Expected<'_>,
    observed: &Observed,
    planned: &ExpectedMount<'_>,
    found: &ObservedMount,
) -> Option<Drift> {
    let last = expected.mounts.iter().rev().find(|other| other.at == planned.at)?;
    if last != planned {
        return None;
    }
    let right_kind = match planned.kind {
        MountKind::Filesystem("cgroup2") => {
            // Its root is that of the cgroup namespace.
            let own = expected.own.contains(&Namespace::Cgroup);
            let root = if own { observed.group.as_str() } else { "/" };
            found.kind == "cgroup2" && found.root == root
        }
        MountKind::OwnGroup(kind) => found.kind == kind && found.root == observed.group,
        MountKind::Filesystem(kind) => found.kind == kind && found.root == "/",
        MountKind::Terminal => found.kind == "devpts" && found.root != "/",
        MountKind::Mask => found.kind == "tmpfs" && found.source == "mask",
        MountKind::Root | MountKind::Bind(_) | MountKind::Readonly => true,
    };
    let lacks = lacking(planned.set, &found.flags);
    if right_kind && lacks.is_none() {
        return None;
    }
    let found = format!("{} {}", found.kind, found.flags);
    Some(drift(format!("mount {}", planned.at), said(planned), found))
}

fn lacking(set: u64, flags: &str) -> Option<&'static str> {
    let has = |word: &str| flags.split(',').any(|flag| flag == word);
    FLAG_WORDS.iter().find(|(bit, word)| set & bit != 0 && !has(word)).map(|(_, word)| *word)
}

fn said(planned: &ExpectedMount<'_>) -> String {
    let kind = match planned.kind {
        MountKind::Root => "the root file system",
        MountKind::Filesystem(kind) | MountKind::OwnGroup(kind) => kind,
        MountKind::Bind(source) => source.as_str(),
        MountKind::Terminal => "the terminal",
        MountKind::Mask => "a mask",
        MountKind::Readonly => "what was there",
    };
    let flags = FLAG_WORDS.iter().filter(|(bit, _)| planned.set & bit != 0);
    let flags: Vec<_> = flags.map(|(_, word)| *word).collect();
    if flags.is_empty() { kind.to_owned() } else { format!("{kind} {}", flags.join(",")) }
}

/// Whether a mount that is on top of no planned place is hidden by one that is, or is a copy of a
/// mount below a path that was made read-only.
fn comes_along(expected: &Expected<'_>, observed: &Observed, found: &ObservedMount) -> bool {
    let within = |path: &str, above: &str| {
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let covers = expected
        .mounts
        .iter()
        .zip(&observed.places)
        .filter_map(|(planned, place)| Some((planned, observed.mounts.get((*place)?)?)));
    let mut covers = covers.filter(|(_, top)| within(&found.at, &top.at) && top.at != "/");
    covers.any(|(planned, top)| {
        let hidden = top.at == found.at;
        let copied = planned.kind == MountKind::Readonly && lacking(RDONLY, &found.flags).is_none();
        hidden || copied
    })
}

const RDONLY: u64 = crate::sys::flags::mount_attr::RDONLY;

/// Where a filter differs from the planned one.
#[must_use]
pub fn with_filter(expected: &Expected<'_>, found: Option<&[Instruction]>) -> Option<Drift> {
    let planned = expected.filter?;
    if found == Some(planned.instructions.as_slice()) {
        return None;
    }
    let length = |count: usize| format!("{count} instructions");
    let found =
        found.map_or("none".to_owned(), |found| format!("{}, or others", length(found.len())));
    Some(drift("the seccomp filter", length(planned.instructions.len()), found))
}

/// Where it differs from what it was: nothing may, but where on the host a mount comes from.
#[must_use]
pub fn with_before(before: &Observed, now: &Observed) -> Vec<Drift> {
    let mut drifts = Vec::new();
    let mut left: Vec<&ObservedProcess> = now.processes.iter().collect();
    for was in &before.processes {
        match left.iter().position(|is| is.pid == was.pid) {
            Some(at) => {
                let is = left.swap_remove(at);
                changed(was, is, &mut drifts);
            }
            None => drifts.push(drift(format!("process {}", was.pid), "one", "none")),
        }
    }
    drifts.extend(left.iter().map(|is| drift(format!("process {}", is.pid), "none", "one")));
    if before.mounts.len() != now.mounts.len() {
        drifts.push(drift("number of mounts", before.mounts.len(), now.mounts.len()));
    }
    drifts.extend(before.mounts.iter().filter_map(|was| {
        let same = |is: &&ObservedMount| {
            (&is.at, &is.kind, &is.flags, &is.propagation)
                == (&was.at, &was.kind, &was.flags, &was.propagation)
        };
        let found = now.mounts.iter().find(same);
        let is = now.mounts.iter().find(|is| is.at == was.at);
        let said = |mount: &ObservedMount| format!("{} {}", mount.kind, mount.flags);
        match found {
            Some(_) => None,
            None => {
                Some(drift(format!("mount {}", was.at), said(was), is.map_or("none".into(), said)))
            }
        }
    }));
    drifts
}

fn changed(was: &ObservedProcess, is: &ObservedProcess, drifts: &mut Vec<Drift>) {
    let sets = |process: &ObservedProcess| {
        let sets = process.sets;
        let all = [sets.bounding, sets.effective, sets.permitted, sets.inheritable, sets.ambient];
        all.map(|set| format!("{set:#x}")).join(" ")
    };
    let filters =
        |process: &ObservedProcess| format!("{} in mode {}", process.filters, process.seccomp);
    let label = |process: &ObservedProcess| process.label.clone().unwrap_or("none".to_owned());
    let spaces = |process: &ObservedProcess| {
        let words = process.namespaces.iter();
        words
            .map(|(kind, whose_it_is)| format!("{kind} {}", whose(*whose_it_is)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let all = [
        ("users", words(&was.uids), words(&is.uids)),
        ("groups", words(&was.gids), words(&is.gids)),
        ("supplementary groups", words(&was.groups), words(&is.groups)),
        ("capabilities", sets(was), sets(is)),
        ("no_new_privs", was.no_new_privileges.to_string(), is.no_new_privileges.to_string()),
        ("filters", filters(was), filters(is)),
        ("label", label(was), label(is)),
        ("namespaces", spaces(was), spaces(is)),
    ];
    for (what, was_so, is_so) in all {
        if was_so != is_so {
            drifts.push(drift(format!("{what} of process {}", was.pid), was_so, is_so));
        }
    }
}
