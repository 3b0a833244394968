//! Ids that an engine gives a container: whether somebody else has them.

use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, Spec};

use super::{Context, OpsError, RANGES, Result};
use crate::host::boxes;
use crate::plan::action::{IdMapping, Namespace};
use crate::plan::facts::{FoundNamespace, KernelFacts};
use crate::policy::Level;
use crate::spec::id::ContainerId;
use crate::store::ranges::Ranges;

/// Writes into a bundle that joins a user namespace without saying how its ids are mapped what
/// the namespace has: it is judged as if it stood there. One that others live in is looked at only
/// where nothing is held back; it is the pod's, or refused, otherwise.
pub(super) fn adopt(
    doing: &str,
    level: Level,
    spec: &mut Spec,
    facts: &KernelFacts,
    notes: &mut Vec<String>,
) -> Result<()> {
    let Some(linux) = spec.linux_mut() else { return Ok(()) };
    let given = [linux.uid_mappings(), linux.gid_mappings()];
    if given.into_iter().flatten().any(|lines| !lines.is_empty()) {
        return Ok(());
    }
    let user = facts.namespaces.iter().find(|found| found.kind == Namespace::User);
    let Some(user) = user.filter(|user| match user.found {
        FoundNamespace::Fresh => true,
        FoundNamespace::Boxed { .. } | FoundNamespace::Stranger(_) => level == Level::Audit,
        FoundNamespace::Host
        | FoundNamespace::Foreign
        | FoundNamespace::Pod
        | FoundNamespace::Wrong(_) => false,
    }) else {
        return Ok(());
    };
    let maps = match user.process {
        Some(process) => boxes::maps_of(process),
        None => boxes::maps_in(&user.path),
    };
    let (uids, gids) = maps.map_err(|error| {
        let what = format!("config.json /linux/namespaces: read how {} maps ids", user.path);
        OpsError::failed(doing, format!("{what}: {error:?}"))
    })?;
    if uids.is_empty() || gids.is_empty() {
        return Ok(());
    }
    linux.set_uid_mappings(Some(uids.iter().filter_map(line).collect()));
    linux.set_gid_mappings(Some(gids.iter().filter_map(line).collect()));
    let from = "are those of the user namespace that is joined";
    notes.push(format!("/linux/uidMappings, /linux/gidMappings: {from}"));
    Ok(())
}

fn line(found: &IdMapping) -> Option<LinuxIdMapping> {
    let line = LinuxIdMappingBuilder::default().container_id(found.inside);
    line.host_id(found.outside).size(found.size).build().ok()
}

/// The lines of the bundle's mappings that have ids of others: where each stands, and who has
/// them, as a clause. Nothing is read for a bundle without mappings.
///
/// Others are containers that the registry gave ids, and users and groups of the host's files.
/// Users of a directory service are in no file.
pub(super) fn taken(
    context: &Context,
    spec: &Spec,
    own: Option<&ContainerId>,
) -> Vec<(String, String)> {
    let Some(linux) = spec.linux() else { return Vec::new() };
    let users = linux.uid_mappings().as_deref().unwrap_or_default();
    let groups = linux.gid_mappings().as_deref().unwrap_or_default();
    if users.is_empty() && groups.is_empty() {
        return Vec::new();
    }
    let registry = Path::new(RANGES);
    let ranges = registry.exists().then(|| Ranges::open(registry).ok()).flatten();
    let root = std::fs::canonicalize(&context.root).unwrap_or_else(|_| context.root.clone());
    let container = |line: &LinuxIdMapping| {
        let owners = ranges.as_ref()?.owners_within(line.host_id(), line.size());
        let other = owners.into_iter().find(|owner| {
            // A creation that was cut short may have left its own.
            own != Some(&owner.id) || Path::new(&owner.root) != root
        });
        other.map(|owner| format!("container `{}` has", owner.id))
    };
    let names = ["/etc/passwd", "/etc/group"].map(|file| (file, listed(file)));
    let [users_listed, groups_listed] = &names;
    let mut taken = Vec::new();
    for (name, lines, (file, listed)) in
        [("uidMappings", users, users_listed), ("gidMappings", groups, groups_listed)]
    {
        for (index, line) in lines.iter().enumerate() {
            let of_host = || {
                let (name, _) = listed.iter().find(|(_, id)| has(line, *id))?;
                Some(format!("`{name}` of {file} has"))
            };
            if let Some(whose) = container(line).or_else(of_host) {
                taken.push((format!("/linux/{name}/{index}/hostID"), whose));
            }
        }
    }
    taken
}

/// Below are those ids of the host that the policy judges by themselves.
const FIRST: u32 = 65_536;

/// Whether a line of a mapping has an id of the host.
fn has(line: &LinuxIdMapping, id: u32) -> bool {
    id.checked_sub(line.host_id()).is_some_and(|offset| offset < line.size())
}

/// Names and ids of a user database: passwd(5), group(5). One that is missing lists none.
fn listed(file: &str) -> Vec<(String, u32)> {
    let bytes = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let entry = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(entry).filter(|(_, id)| *id >= FIRST).collect()
}
