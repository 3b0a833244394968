//! Reads what there is: the processes of a container, and its mounts.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use serde::{Deserialize, Serialize};

use super::Expected;
use super::status;
use crate::host::mountinfo;
use crate::plan::action::{CapabilitySets, Namespace};
use crate::plan::text::RootedPath;
use crate::seccomp::Instruction;
use crate::sys::{Errno, fd, look};

/// Why a container cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// A file of procfs could not be read.
    #[error("read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },

    /// A file of procfs holds something else than expected.
    #[error("{path} cannot be understood")]
    Form {
        /// Which.
        path: String,
    },

    /// The root is in no mount namespace.
    #[error(
        "its mounts cannot be listed: the bundle has no mount namespace of its own, so that they \
         are in none"
    )]
    Unlisted,

    /// The kernel does not hand out the filter.
    #[error("read the filter of process {pid}: {errno:?}")]
    Filter {
        /// Whose.
        pid: i32,
        /// What it said.
        errno: Errno,
    },
}

/// A container as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Every thread of every process, init first.
    pub processes: Vec<ObservedProcess>,
    /// Its mounts, in the kernel's order.
    pub mounts: Vec<ObservedMount>,
    /// Init's control group of v2, as this process sees it.
    #[serde(skip)]
    pub group: String,
    /// For each mount of the plan, the position above of what is on top of that place now, if the
    /// place exists.
    #[serde(skip)]
    pub places: Vec<Option<usize>>,
}

/// A thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedProcess {
    /// Its number inside.
    pub pid: i32,
    /// Real, effective, saved and file system user, as ids of this process's user namespace.
    pub uids: [u32; 4],
    /// The same of groups.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Its capabilities.
    pub sets: CapabilitySets,
    /// Whether executing a file can give it nothing.
    pub no_new_privileges: bool,
    /// 0 without a filter, 2 with one.
    pub seccomp: u32,
    /// How many filters it has.
    pub filters: u32,
    /// By what a security module confines it.
    #[serde(default)]
    pub label: Option<String>,
    /// Whose its namespaces are.
    pub namespaces: BTreeMap<String, Relation>,
}

/// Whose a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// That of this process, which stands for the host.
    Host,
    /// That of the path which the plan names.
    Joined,
    /// The container's.
    Own,
    /// A process's that is not init's, nor the host's.
    Other,
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedMount {
    /// The kernel's number.
    #[serde(skip)]
    pub id: u64,
    /// The directory of its file system that it shows.
    #[serde(skip)]
    pub root: String,
    /// Where, inside the root.
    pub at: String,
    /// The type of its file system.
    pub kind: String,
    /// What stands for its source.
    pub source: String,
    /// Its flags, as the kernel writes them.
    pub flags: String,
    /// Its propagation, without numbers.
    pub propagation: Vec<String>,
}

/// Looks at a container whose init is `init`, and all of whose processes are `pids`.
///
/// # Errors
/// [`ObserveError`]; a process that ends meanwhile is left out.
pub fn observe(init: i32, pids: &[i32], expected: &Expected<'_>) -> Result<Observed, ObserveError> {
    if !expected.own.contains(&Namespace::Mount) {
        return Err(ObserveError::Unlisted);
    }
    let path = format!("/proc/{init}/mountinfo");
    let table = read(&path)?;
    let mounts: Option<Vec<_>> = table.lines().map(parse_mount).collect();
    let mounts = mounts.ok_or(ObserveError::Form { path })?;
    let places = places(init, expected, &mounts)?;
    let mut processes = Vec::new();
    let others = pids.iter().copied().filter(|pid| *pid != init);
    for pid in std::iter::once(init).chain(others) {
        threads(pid, init, expected, &mut processes)?;
    }
    let groups = read(&format!("/proc/{init}/cgroup"))?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    Ok(Observed { processes, mounts, places, group: group.to_owned() })
}

fn read(path: &str) -> Result<String, ObserveError> {
    fs::read_to_string(path).map_err(|source| ObserveError::Read { path: path.to_owned(), source })
}

fn is_gone(error: &ObserveError) -> bool {
    let ObserveError::Read { source, .. } = error else { return false };
    source.kind() == std::io::ErrorKind::NotFound || source.raw_os_error() == Some(libc::ESRCH)
}

fn threads(
    pid: i32,
    init: i32,
    expected: &Expected<'_>,
    found: &mut Vec<ObservedProcess>,
) -> Result<(), ObserveError> {
    let dir = format!("/proc/{pid}/task");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(_) if pid != init => return Ok(()),
        Err(source) => return Err(ObserveError::Read { path: dir, source }),
    };
    for entry in entries.flatten() {
        let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
        match thread(&path, init, expected) {
            Ok(process) => found.push(process),
            Err(error) if pid != init && is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn thread(path: &str, init: i32, expected: &Expected<'_>) -> Result<ObservedProcess, ObserveError> {
    let file = format!("{path}/status");
    let mut process = status::parse(&read(&file)?).ok_or(ObserveError::Form { path: file })?;
    process.label = label(path);
    for kind in expected.told_namespaces() {
        let inode = |path: String| {
            let stat = fs::metadata(&path);
            stat.map(|stat| (stat.dev(), stat.ino()))
                .map_err(|source| ObserveError::Read { path, source })
        };
        let link = kind.link();
        let found = inode(format!("{path}/ns/{link}"))?;
        let joined = expected.joined.iter().find(|(joined, _)| *joined == kind);
        let relation = if let Some((_, path)) = joined
            && found == inode(path.as_str().to_owned())?
        {
            Relation::Joined
        } else if found == inode(format!("/proc/self/ns/{link}"))? {
            Relation::Host
        } else if found == inode(format!("/proc/{init}/ns/{link}"))? {
            Relation::Own
        } else {
            Relation::Other
        };
        process.namespaces.insert(kind.word().to_owned(), relation);
    }
    Ok(process)
}

/// By what a security module confines a thread. Where several do, the one that has files of its own.
fn label(path: &str) -> Option<String> {
    let read = |name: &str| fs::read_to_string(format!("{path}/attr/{name}")).ok();
    let label = read("apparmor/current").or_else(|| read("current"))?;
    let label = label.trim_end_matches(['\n', '\0']);
    (!label.is_empty()).then(|| label.to_owned())
}

/// One line of a table of mounts.
pub(super) fn parse_mount(line: &str) -> Option<ObservedMount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let id = left.next()?.parse().ok()?;
    let text = |field: &str| String::from_utf8(mountinfo::unescape(field.as_bytes())).ok();
    let root = text(left.nth(2)?)?;
    let at = text(left.next()?)?;
    let flags = left.next()?.to_owned();
    // A peer group's number says nothing to anyone else.
    let propagation = left.filter_map(|field| Some(field.split(':').next()?.to_owned())).collect();
    let mut right = right.split(' ');
    let (kind, source) = (right.next()?.to_owned(), text(right.next()?)?);
    Some(ObservedMount { id, root, at, kind, source, flags, propagation })
}

/// What is on top of each place of the plan.
fn places(
    init: i32,
    expected: &Expected<'_>,
    mounts: &[ObservedMount],
) -> Result<Vec<Option<usize>>, ObserveError> {
    let path = format!("/proc/{init}/root");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &path, flags, Mode::empty());
    let root = root.map_err(|error| ObserveError::Read { path, source: error.into() })?;
    let position = |mount: &super::ExpectedMount<'_>| {
        let at = RootedPath::new(mount.at).ok()?;
        let place = open_place(&root, &at)?;
        let stat = statx(&place, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
        mounts.iter().position(|found| found.id == stat.stx_mnt_id)
    };
    Ok(expected.mounts.iter().map(position).collect())
}

fn open_place(root: &OwnedFd, at: &RootedPath) -> Option<OwnedFd> {
    fd::open_in_root(root.as_fd(), at.as_c_str(), OFlags::PATH).ok()
}

/// The filter that was loaded first: the one below all others. `None` without any.
///
/// # Errors
/// [`ObserveError::Filter`].
pub fn filter(pid: i32) -> Result<Option<Vec<Instruction>>, ObserveError> {
    let failed = |errno| ObserveError::Filter { pid, errno };
    let stopped = look::Stopped::new(pid).map_err(failed)?;
    let mut oldest = None;
    // The newest one has number 0.
    for index in 0..64 {
        match stopped.filter(index).map_err(failed)? {
            Some(program) => oldest = Some(program),
            None => break,
        }
    }
    let instruction =
        |one: &look::Instruction| Instruction { code: one.code, jt: one.jt, jf: one.jf, k: one.k };
    Ok(oldest.map(|program| program.iter().map(instruction).collect()))
}
