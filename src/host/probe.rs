//! Finds out everything about the host that a plan depends on. Decides nothing, changes nothing.

use std::path::PathBuf;

use oci_spec::runtime::{Linux, PosixRlimit, Spec};

use super::bundle::Bundle;
use super::{lsm, namespaces, outer, resctrl, rootfs};
use crate::plan::exec::ExecFacts;
use crate::plan::facts::{CallerFacts, KernelFacts, LimitFacts, LsmFacts};
use crate::plan::names::LIMIT_NAMES;
use crate::sys::{Errno, process};

/// The oldest kernel that can do what no container goes without: overlay layers with translated
/// ids.
const OLDEST: (u16, u16) = (5, 19);

/// Why the host could not be looked at, or will not do. Nothing was created or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The kernel is older than 5.19.
    #[error(
        "Linux {release} cannot translate the ids of overlay layers (id-mapped mounts as layers \
         of an overlay), which Linux can since 5.19"
    )]
    OldKernel {
        /// What the kernel calls itself.
        release: String,
    },
    /// A question about this process that the kernel always answers was not answered.
    #[error("cannot find out {what}")]
    Ask {
        /// What was asked.
        what: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// The bundle has no root file system.
    #[error("the bundle names no root file system")]
    NoRoot,
    /// Nothing is there.
    #[error("the root file system `{}` does not exist", path.display())]
    RootMissing {
        /// Its path, as the bundle has it.
        path: PathBuf,
    },
    /// It is there, but no directory.
    #[error("the root file system `{}` is {found}, not a directory", path.display())]
    RootNotDirectory {
        /// Its path, as the bundle has it.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// Whoever can change the link decides what the container's root is.
    #[error("the root file system `{}` is a symbolic link", path.display())]
    RootLink {
        /// Its path, as the bundle has it.
        path: PathBuf,
    },
    /// A relative path is one inside the bundle.
    #[error("the root file system `{}` leads out of the bundle", path.display())]
    RootOutside {
        /// Its path, as the bundle has it.
        path: PathBuf,
    },
    /// It cannot be opened.
    #[error("cannot open the root file system `{}`", path.display())]
    RootOpen {
        /// Its path, as the bundle has it.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// It was opened, but where it is cannot be told.
    #[error("the root file system `{}` has no path to keep: {why}", path.display())]
    RootNameless {
        /// Its path, as the bundle has it.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The path of a layer leads to another directory than the one that is mounted.
    #[error(
        "the root file system `{path}` is an overlay whose top layer is no longer the directory \
         `{layer}`"
    )]
    LayerReplaced {
        /// The root file system.
        path: String,
        /// The layer's path, as the mount has it.
        layer: String,
    },
    /// The path of a namespace cannot be used.
    #[error("the namespace `{}` cannot be joined: {why}", path.display())]
    NamespacePath {
        /// The path, as the bundle has it.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A namespace, or our own of its kind, cannot be looked at.
    #[error("cannot find out whose the {kind} namespace is")]
    Namespace {
        /// The word of config.json for its kind.
        kind: &'static str,
        /// What the kernel said.
        source: Errno,
    },
}

impl ProbeError {
    /// The place in config.json that it is about, as a JSON pointer; empty if none.
    #[must_use]
    pub fn at(&self) -> &'static str {
        match self {
            Self::OldKernel { .. } | Self::Ask { .. } => "",
            Self::NoRoot => "/root",
            Self::RootMissing { .. }
            | Self::RootNotDirectory { .. }
            | Self::RootLink { .. }
            | Self::RootOutside { .. }
            | Self::RootOpen { .. }
            | Self::RootNameless { .. }
            | Self::LayerReplaced { .. } => "/root/path",
            Self::NamespacePath { .. } | Self::Namespace { .. } => "/linux/namespaces",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::OldKernel { .. } => "use Linux 5.19 or later; 6.6 and later have everything",
            Self::Ask { .. } => "mount /proc, and let casemate read its own entries there",
            Self::NoRoot => "add {\"path\": \"rootfs\"} as /root",
            Self::RootMissing { .. } => {
                "unpack or mount the image there first; a relative path begins at the bundle"
            }
            Self::RootNotDirectory { .. } => "name the directory that holds the image's files",
            Self::RootLink { .. } => "name the directory that the link leads to",
            Self::RootOutside { .. } => "give the absolute path of the directory that is meant",
            Self::RootOpen { .. } => "look at the owners and modes of the directories above it",
            Self::RootNameless { .. } => {
                "use a directory that exists, below this process's root, with a UTF-8 name"
            }
            Self::LayerReplaced { .. } => "unmount it and let the engine mount it again",
            Self::NamespacePath { .. } => {
                "give an absolute path, or leave `path` out for an own one"
            }
            Self::Namespace { .. } => "see whether the process whose namespace it is still runs",
        }
    }
}

/// Looks at the kernel, at this process, at the root file system and at the namespaces that the
/// bundle names.
///
/// # Errors
/// See [`ProbeError`].
pub fn kernel_facts(spec: &Spec, bundle: &Bundle) -> Result<KernelFacts, ProbeError> {
    let release = release()?;
    let capabilities = rustix::thread::capabilities(None);
    let capabilities = capabilities.map_err(ask("this process's capabilities"))?;
    let initial_user_namespace = is_initial_user_namespace()?;
    let may_raise = rustix::thread::CapabilitySet::SYS_RESOURCE;
    let asked = spec.process().as_ref().and_then(|process| process.rlimits().as_ref());
    Ok(KernelFacts {
        release,
        bounding: process::bounding_set(),
        rootfs: rootfs::facts(spec, bundle)?,
        namespaces: namespaces::facts(spec)?,
        pod: None,
        limits: LimitFacts {
            hard: hard_limits(asked.into_iter().flatten())?,
            may_raise: initial_user_namespace && capabilities.effective.contains(may_raise),
        },
        initial_user_namespace,
        caller: if initial_user_namespace { None } else { caller()? },
        lsm: if names_labels(spec) { lsm::facts() } else { LsmFacts::default() },
        resctrl: spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.intel_rdt().as_ref())
            .and_then(|_| resctrl::root()),
    })
}

/// Whether a bundle asks for a security module.
fn names_labels(spec: &Spec) -> bool {
    let process = spec.process().as_ref();
    let labels = process.map(|process| [process.apparmor_profile(), process.selinux_label()]);
    let mounts = spec.linux().as_ref().map(Linux::mount_label);
    labels.into_iter().flatten().chain(mounts).flatten().any(|text| !text.is_empty())
}

fn ask(what: &'static str) -> impl Fn(rustix::io::Errno) -> ProbeError {
    move |error| ProbeError::Ask { what, source: Errno::from_raw(error.raw_os_error()) }
}

fn release() -> Result<(u16, u16), ProbeError> {
    let names = rustix::system::uname();
    let text = names.release().to_string_lossy();
    match parse_release(&text) {
        Some(release) if release >= OLDEST => Ok(release),
        Some(_) | None => Err(ProbeError::OldKernel { release: text.into_owned() }),
    }
}

/// Major and minor of a release such as `6.18.44-generic` or `6.6`.
fn parse_release(text: &str) -> Option<(u16, u16)> {
    let (major, rest) = text.split_once('.')?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest.get(..end)?.parse().ok()?))
}

fn caller() -> Result<Option<CallerFacts>, ProbeError> {
    let what = "how the own user namespace is mapped";
    outer::caller().map_err(|source| ProbeError::Ask { what, source })
}

fn is_initial_user_namespace() -> Result<bool, ProbeError> {
    let what = "the own user namespace";
    outer::is_initial_user_namespace().map_err(|source| ProbeError::Ask { what, source })
}

/// Looks at this process, for a command in a container that exists. What has to do with that,
/// and what is only asked about where nothing is enforced, is for the caller to add.
///
/// # Errors
/// [`ProbeError::Ask`].
pub fn exec_facts<'a>(
    rlimits: impl Iterator<Item = &'a PosixRlimit>,
) -> Result<ExecFacts, ProbeError> {
    let capabilities = rustix::thread::capabilities(None);
    let capabilities = capabilities.map_err(ask("this process's capabilities"))?;
    let may_raise = capabilities.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE);
    Ok(ExecFacts {
        bounding: 0,
        limits: LimitFacts {
            hard: hard_limits(rlimits)?,
            may_raise: may_raise && is_initial_user_namespace()?,
        },
        joins_v1: false,
        lsm: LsmFacts::default(),
    })
}

/// Our hard limits, of the kinds that are set.
fn hard_limits<'a>(
    asked: impl Iterator<Item = &'a PosixRlimit>,
) -> Result<Vec<(u32, u64)>, ProbeError> {
    let mut limits = Vec::new();
    for given in asked {
        let name = given.typ().to_string();
        // One that has no number here is the plan's to report, with its place.
        let Some(number) = LIMIT_NAMES.iter().position(|known| *known == name) else { continue };
        let Ok(resource) = u32::try_from(number) else { continue };
        let (_, hard) = process::limit(resource)
            .map_err(|source| ProbeError::Ask { what: "the own resource limits", source })?;
        limits.push((resource, hard));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests;
