//! What of a living container lies outside of it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::criu::Options;
use crate::engine::restore::{Masked, NETWORK_KEY, Outside};
use crate::ops::{OpsError, Result};
use crate::plan::Namespace;
use crate::verify::{Expected, MountKind, Observed, ObservedMount};

/// Finds out what lies outside.
pub(super) fn of(
    doing: &str,
    init: i32,
    expected: &Expected<'_>,
    observed: &Observed,
) -> Result<Outside> {
    let mut outside = Outside::default();
    for (kind, at, found) in tops(expected, observed) {
        match kind {
            MountKind::Bind(_) | MountKind::OwnGroup(_) => outside.bound.push(at.to_owned()),
            MountKind::Mask => outside.masked.push(Masked {
                at: found.at.clone(),
                directory: found.root == "/" || found.root == "/d",
            }),
            MountKind::Root
            | MountKind::Filesystem(_)
            | MountKind::Terminal
            | MountKind::Readonly => {}
        }
    }
    for (number, key) in outside.descriptors.iter_mut().enumerate() {
        *key = descriptor(init, number, observed).map_err(|error| {
            OpsError::failed(doing, format!("look at descriptor {number}: {error}"))
        })?;
    }
    outside.network = expected.joined.iter().any(|(kind, _)| *kind == Namespace::Network);
    Ok(outside)
}

/// What is on top of each place of the plan.
fn tops<'a>(
    expected: &'a Expected<'a>,
    observed: &'a Observed,
) -> impl Iterator<Item = (MountKind<'a>, &'a str, &'a ObservedMount)> {
    expected.mounts.iter().zip(&observed.places).filter_map(|(planned, place)| {
        Some((planned.kind, planned.at, observed.mounts.get((*place)?)?))
    })
}

/// By what CRIU knows a descriptor that leads out of the container; `None` for one that does not.
fn descriptor(init: i32, number: usize, observed: &Observed) -> std::io::Result<Option<String>> {
    let path = format!("/proc/{init}/fd/{number}");
    let link = match fs::read_link(&path) {
        Ok(link) => link.to_string_lossy().into_owned(),
        // It closed it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if link.starts_with("pipe:") || link.starts_with("socket:") {
        return Ok(Some(link));
    }
    let info = fs::read_to_string(format!("/proc/{init}/fdinfo/{number}"))?;
    let mount: Option<u64> =
        info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    let Some(mount) = mount else { return Ok(None) };
    if observed.mounts.iter().any(|own| own.id == mount) {
        return Ok(None);
    }
    let file = fs::metadata(&path)?;
    let is_terminal = file.file_type().is_char_device() && TERMINALS.contains(&major(file.rdev()));
    Ok(Some(if is_terminal {
        format!("tty[{:x}:{:x}]", file.rdev(), file.dev())
    } else {
        format!("file[{mount:x}:{:x}]", file.ino())
    }))
}

/// Major numbers of the slaves of pseudo-terminals: `Documentation/admin-guide/devices.txt`.
const TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

fn major(device: u64) -> u32 {
    rustix::fs::major(device)
}

/// Tells CRIU what lies outside.
pub(super) fn tell(
    outside: &Outside,
    expected: &Expected<'_>,
    observed: &Observed,
    init: i32,
    options: &mut Options,
) {
    for (kind, at, found) in tops(expected, observed) {
        match kind {
            MountKind::Bind(_) | MountKind::OwnGroup(_) => {
                options.external.push(format!("mnt[{}]:{at}", found.at))
            }
            MountKind::Mask => options.external.push(format!("mnt[{0}]:{0}", found.at)),
            MountKind::Root
            | MountKind::Filesystem(_)
            | MountKind::Terminal
            | MountKind::Readonly => {}
        }
    }
    let is_named = |key: &&String| key.starts_with("file[") || key.starts_with("tty[");
    options.external.extend(outside.descriptors.iter().flatten().filter(is_named).cloned());
    if outside.network
        && let Ok(network) = fs::metadata(format!("/proc/{init}/ns/net"))
    {
        options.external.push(format!("net[{}]:{NETWORK_KEY}", network.ino()));
    }
}
