//! Ids that an engine gives a container: whether the registry gave them to another one before.

use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, Spec};

use super::{Context, RANGES};
use crate::spec::id::ContainerId;
use crate::store::ranges::Ranges;

/// The lines of the bundle's mappings that have ids of another container: where each stands, and
/// who has them. Nothing is read for a bundle without mappings.
pub(super) fn taken(
    context: &Context,
    spec: &Spec,
    own: Option<&ContainerId>,
) -> Vec<(String, String)> {
    let Some(linux) = spec.linux() else { return Vec::new() };
    let both = [("uidMappings", linux.uid_mappings()), ("gidMappings", linux.gid_mappings())];
    let gives = both.iter().any(|(_, lines)| lines.as_ref().is_some_and(|all| !all.is_empty()));
    let registry = Path::new(RANGES);
    if !gives || !registry.exists() {
        return Vec::new();
    }
    let Ok(ranges) = Ranges::open(registry) else { return Vec::new() };
    let root = std::fs::canonicalize(&context.root).unwrap_or_else(|_| context.root.clone());
    let owner = |line: &LinuxIdMapping| {
        let owners = ranges.owners_within(line.host_id(), line.size());
        let other = owners.into_iter().find(|owner| {
            // A creation that was cut short may have left its own.
            own != Some(&owner.id) || Path::new(&owner.root) != root
        });
        other.map(|owner| owner.id.to_string())
    };
    let mut taken = Vec::new();
    for (name, lines) in both {
        for (index, line) in lines.iter().flatten().enumerate() {
            if let Some(id) = owner(line) {
                taken.push((format!("/linux/{name}/{index}/hostID"), id));
            }
        }
    }
    taken
}
