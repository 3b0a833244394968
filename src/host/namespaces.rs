//! Finds out what the paths in `/linux/namespaces` lead to: whose namespaces they are.
//!
//! Reference: `ioctl_nsfs(2)`, namespaces(7).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags, fstat, fstatfs, open, stat};

use super::probe::ProbeError;
use crate::plan::action::Namespace;
use crate::plan::build::kind_of;
use crate::plan::facts::{FoundNamespace, KernelFacts, NamespaceFacts};
use crate::plan::text::HostPath;
use crate::policy::rules::{Found, FoundNamespaceOf};
use crate::sys::{Errno, errno, ns};

/// `NSFS_MAGIC` of `linux/magic.h`: the file system that namespaces are files of.
const NSFS_MAGIC: u32 = 0x6e73_6673;

/// Device and inode number: what tells one namespace from another.
type Identity = (u64, u64);

/// Looks at each namespace that the bundle names by path, in its order.
///
/// Nothing is entered. A path that leads to no namespace of its kind is a finding, not an error.
///
/// # Errors
/// [`ProbeError::NamespacePath`] for a path that is not absolute, [`ProbeError::Namespace`] when
/// an own namespace cannot be looked at.
pub fn facts(spec: &Spec) -> Result<Vec<NamespaceFacts>, ProbeError> {
    let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let mut facts = Vec::new();
    for given in listed.into_iter().flatten() {
        let Some(path) = given.path() else { continue };
        if path.as_os_str().is_empty() {
            continue;
        }
        let wrong = |why| ProbeError::NamespacePath { path: path.clone(), why };
        let kind = kind_of(given.typ());
        let text = path.to_str().ok_or_else(|| wrong("it is not UTF-8"))?;
        let path = HostPath::new(text).map_err(wrong)?;
        let (found, identity) = look(kind, &path)?;
        let process = process_of(path.as_str());
        facts.push(NamespaceFacts { kind, path, found, identity, process });
    }
    Ok(facts)
}

/// What was found, in the words of the policy.
#[must_use]
pub fn found(facts: &KernelFacts) -> Vec<FoundNamespaceOf> {
    let convert = |of: &NamespaceFacts| FoundNamespaceOf {
        kind: of.kind.word().to_owned(),
        found: match &of.found {
            FoundNamespace::Host => Found::Host,
            FoundNamespace::Foreign => Found::Foreign,
            FoundNamespace::Boxed { owner } => Found::Boxed { owner: *owner },
            FoundNamespace::Pod => Found::Pod,
            FoundNamespace::Fresh => Found::Fresh,
            FoundNamespace::Stranger(why) => Found::Stranger(why.clone()),
            FoundNamespace::Wrong(why) => Found::Wrong(why.clone()),
        },
    };
    facts.namespaces.iter().map(convert).collect()
}

/// The process whose link in `/proc/PID/ns` or `/proc/PID/task/TID/ns` the path is.
fn process_of(path: &str) -> Option<i32> {
    let (process, rest) = path.strip_prefix("/proc/")?.split_once('/')?;
    let in_ns = rest.starts_with("ns/") || (rest.starts_with("task/") && rest.contains("/ns/"));
    process.parse().ok().filter(|_| in_ns)
}

fn look(kind: Namespace, path: &HostPath) -> Result<(FoundNamespace, Identity), ProbeError> {
    let namespace = match open_namespace(path) {
        Ok(namespace) => namespace,
        Err(why) => return Ok((FoundNamespace::Wrong(why), (0, 0))),
    };
    let broken = |source| ProbeError::Namespace { kind: kind.word(), source };
    let identity = identity_of(&namespace).map_err(broken)?;
    Ok((whose(kind, &namespace, identity)?, identity))
}

fn whose(
    kind: Namespace,
    namespace: &OwnedFd,
    identity: Identity,
) -> Result<FoundNamespace, ProbeError> {
    let broken = |source| ProbeError::Namespace { kind: kind.word(), source };
    if identity == own(kind).map_err(broken)? {
        return Ok(FoundNamespace::Host);
    }
    let is = ns::kind(namespace.as_fd()).map_err(broken)?;
    if is != kind.flag() {
        return Ok(FoundNamespace::Wrong(other_kind(kind, is)));
    }
    // Who enters a user namespace has its ids: it is its own owner in every respect that
    // matters here. Who made it does not.
    if kind == Namespace::User {
        return Ok(FoundNamespace::Boxed { owner: identity.1 });
    }
    let owner = match ns::owner(namespace.as_fd()) {
        Ok(owner) => identity_of(&owner).map_err(broken)?,
        // Above or beside our own user namespace, where we cannot look.
        Err(Errno::EPERM) => return Ok(FoundNamespace::Boxed { owner: 0 }),
        Err(error) => return Err(broken(error)),
    };
    if owner == own(Namespace::User).map_err(broken)? {
        return Ok(FoundNamespace::Foreign);
    }
    Ok(FoundNamespace::Boxed { owner: owner.1 })
}

/// Opens what is known to be a namespace: opening a FIFO would wait, and a device would act.
fn open_namespace(path: &HostPath) -> Result<OwnedFd, String> {
    let failed = |error: rustix::io::Errno| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => format!("{path} does not exist"),
        error => format!("{path} cannot be opened ({})", name(errno(error))),
    };
    let place = open(path.as_c_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let place = place.map_err(failed)?;
    let magic = fstatfs(&place).map(|stat| u32::try_from(stat.f_type)).map_err(failed)?;
    if magic != Ok(NSFS_MAGIC) {
        return Err(format!("{path} is no namespace"));
    }
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    open(again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)
}

fn identity_of(namespace: &OwnedFd) -> Result<Identity, Errno> {
    fstat(namespace).map(|stat| (stat.st_dev, stat.st_ino)).map_err(errno)
}

fn own(kind: Namespace) -> Result<Identity, Errno> {
    let path = format!("/proc/self/ns/{}", kind.link());
    stat(path).map(|stat| (stat.st_dev, stat.st_ino)).map_err(errno)
}

fn other_kind(wanted: Namespace, is: i32) -> String {
    let known = Namespace::ALL.into_iter().find(|kind| kind.flag() == is);
    let is = known.map_or("unknown", Namespace::word);
    format!("leads to a namespace that is not of the kind `{}` but `{is}`", wanted.word())
}

fn name(error: Errno) -> String {
    format!("{error:?}")
}

#[cfg(test)]
mod tests;
