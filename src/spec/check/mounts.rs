//! `/mounts`: form of destinations, sources and options.

use oci_spec::runtime::Mount;

use super::Report;
use super::linux::check_mappings;
use crate::spec::mount_options::{Bind, MountOptions};
use crate::spec::pointer::Pointer;

pub(super) fn check(report: &mut Report, mounts: &[Mount]) {
    for (i, mount) in mounts.iter().enumerate() {
        check_one(report, &Pointer::of("/mounts").index(i), mount);
    }
}

/// A relative destination is deprecated, and `..` in it harmless:
/// [`inside_root`](crate::spec::paths::inside_root) gives both their meaning.
fn check_one(report: &mut Report, at: &Pointer, mount: &Mount) {
    if mount.destination().as_os_str().is_empty() {
        report.say(at.clone().key("destination"), "empty");
    }
    let typ = mount.typ().as_deref();
    let options = match MountOptions::parse(typ, mount.options().as_deref().unwrap_or_default()) {
        Ok(options) => options,
        Err(bad) => {
            for option in bad {
                let at = at.clone().key("options");
                let at = if let Some(i) = option.index { at.index(i) } else { at };
                report.say(at, option.what);
            }
            return;
        }
    };
    check_ids(report, at, mount, &options);
    if options.remount {
        return;
    }
    let has_source = mount.source().as_ref().is_some_and(|s| !s.as_os_str().is_empty());
    if options.bind != Bind::No && !has_source {
        report.say(at.clone().key("source"), "missing; a bind mount needs one");
    }
    if options.bind == Bind::No && typ.unwrap_or_default().is_empty() {
        report.say(at.clone().key("type"), "missing; only a bind mount needs none");
    }
}

/// Mappings of users and of groups, both or neither, on a bind mount, and in one place.
fn check_ids(report: &mut Report, at: &Pointer, mount: &Mount, options: &MountOptions) {
    let uids = mount.uid_mappings().as_deref().unwrap_or_default();
    let gids = mount.gid_mappings().as_deref().unwrap_or_default();
    for (name, lines) in [("uidMappings", uids), ("gidMappings", gids)] {
        check_mappings(report, &at.clone().key(name), lines);
    }
    match (uids, gids) {
        ([], []) => return,
        ([], [_, ..]) => report.say(at.clone().key("uidMappings"), "missing; groups have one"),
        ([_, ..], []) => report.say(at.clone().key("gidMappings"), "missing; users have one"),
        ([_, ..], [_, ..]) => {}
    }
    if options.bind == Bind::No {
        report.say(at.clone().key("uidMappings"), "only a bind mount has mappings of its own");
    }
    if options.mapping.is_some() {
        report.say(at.clone().key("options"), "have a mapping, and the mount has another");
    }
}
