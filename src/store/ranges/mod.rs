//! Which container has which host ids.
//!
//! Root inside is never root outside, and no two containers have an id in common: each has a
//! block of 65,536 uids and the same gids to itself, except that the containers of one pod share
//! one. The registry is one directory for the whole host, whatever `--root` is; each block in
//! use is a file there, named by its first id, that only one process can create.
//!
//! **Who else uses such ids.** The window is the one systemd sets apart for containers. A block
//! is passed over if `/etc/subuid`, `/etc/subgid`, `/etc/passwd` or `/etc/group` has an id of it
//! (some other tool's containers, or a person), or if a process of somebody else's maps it.
//! Reading the maps of all processes took most of 11 ms per allocation, so that is done in two
//! ways that cost little: the list is read at most every ten minutes and kept ([`foreign`]); and
//! each candidate is asked for with getpriority(2), which finds a user without walking the
//! processes: a container that began in between is seen if anything in it runs as its root or as
//! another of the ids that images use. What can slip through is a container of another tool,
//! made in the last ten minutes inside the same block of 28,663 by no `/etc/subuid` entry, with
//! nothing running under any of the ids asked for.
//!
//! **What a kill can leave.** An empty file, or one whose owner has no state directory. Both
//! are freed when a later allocation would want the block, or by [`Ranges::reclaim`]; but never
//! while any process maps the block, nor while the process that took it lives. A registry entry
//! that cannot be understood is held, not freed. There is no sync to disk: a range protects
//! processes, and a power loss ends those too; a file that it cut counts as an empty one.
//!
//! **Pods.** A container that shares the ids of another one is counted beside it
//! ([`Ranges::join`]); the range is free when the last of them is gone, in whatever order they
//! go. A user namespace that is kept by a mount or a descriptor, without any process, is not
//! seen: one may only join that of a container that lives.

mod block;
mod foreign;
mod range;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::AtFlags;

pub use self::block::Owner;
pub use self::range::Range;

use self::block::{Block, BlockState};
use self::foreign::{Foreign, Maps};
use super::dir::{self, ReadError};
use super::error::StoreError;
use super::root;
use crate::sys::Errno;

/// The one registry of a host.
pub const DEFAULT_RANGES: &str = "/run/casemate/.ranges";

const LOCK_WAIT: Duration = Duration::from_secs(10);
const TEMPORARY: &str = ".block.new";
const BLOCK_LIMIT_BYTES: usize = 1 << 20;

/// Why no range was given, or one not taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The registry's directory is not ours alone, or cannot be made.
    #[error("the registry of id ranges cannot be used")]
    Registry {
        /// Why not; its "state root" is the registry.
        #[from]
        source: StoreError,
    },

    /// Another command held the registry longer than we wait.
    #[error("the registry of id ranges, {}, is busy for more than 10 s", path.display())]
    Busy {
        /// The registry.
        path: PathBuf,
    },

    /// All blocks are in use, or belong to others.
    #[error("no block of 65536 host ids is free between {} and {}", Range::FIRST, Range::END)]
    Exhausted,

    /// The container whose ids were to be shared has gone.
    #[error("container `{id}` no longer has the host ids from {} on", range.base())]
    NotHeld {
        /// The range.
        range: Range,
        /// Who had it.
        id: String,
    },

    /// Nothing was changed.
    #[error("{action} {} in the registry of id ranges", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
}

impl RangeError {
    /// What a person can do about it: the text of the hint line, without `hint: `.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry { source } => source.hint(),
            Self::Busy { .. } => Some("wait for the command that holds it, or end it".to_owned()),
            Self::Exhausted => Some(
                "delete containers that are not needed; look at what /etc/subuid and /etc/subgid \
                 set apart"
                    .to_owned(),
            ),
            Self::NotHeld { .. } => {
                Some("start the pod's first container again, and this one after it".to_owned())
            }
            Self::Io { .. } => None,
        }
    }
}

type Result<T> = std::result::Result<T, RangeError>;

/// The registry of id ranges.
#[derive(Debug)]
pub struct Ranges {
    path: PathBuf,
    dir: OwnedFd,
}

/// The registry's lock, given back on drop.
struct Locked<'a>(&'a Ranges);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        dir::unlock(&self.0.dir);
    }
}

impl Ranges {
    /// Opens the registry in the directory `path`, which is made if it is missing.
    ///
    /// # Errors
    /// [`RangeError::Registry`].
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { dir: root::make(path)?, path: path.to_owned() })
    }

    /// Takes a range for `owner`, whose state directory must exist and be locked by the caller.
    ///
    /// A range that `owner` had from a creation that was cut short is given again.
    ///
    /// # Errors
    /// [`RangeError::Exhausted`], [`RangeError::Busy`] or [`RangeError::Io`]; nothing is taken.
    pub fn take(&self, owner: &Owner) -> Result<Range> {
        let block =
            Block::new(owner).map_err(|source| self.failed("describe an owner", "", source))?;
        let bytes = block.to_json().map_err(|source| self.failed("write", "", source))?;
        let mut maps = Maps::default();

        let _locked = self.lock()?;
        let foreign = Foreign::load(&self.dir, &mut maps);
        for range in Range::all_from(&block.hash_key()) {
            if foreign.has(range) || foreign::has_live_user(range) {
                continue;
            }
            match self.create(range, &bytes) {
                Ok(()) => return Ok(range),
                Err(Errno::EEXIST) => {}
                Err(source) => return Err(self.failed("create", &range.file_name(), source)),
            }
            if self.is_free(range, Some(owner), &mut maps) {
                self.unlink(range)?;
                self.create(range, &bytes)
                    .map_err(|source| self.failed("create", &range.file_name(), source))?;
                return Ok(range);
            }
        }
        Err(RangeError::Exhausted)
    }

    /// How many ranges are taken.
    ///
    /// # Errors
    /// [`RangeError::Io`].
    pub fn count(&self) -> Result<usize> {
        self.taken().map(|taken| taken.len())
    }

    /// Who has the range: one container, or those of a pod; empty if nobody has.
    #[must_use]
    pub fn owners(&self, range: Range) -> Vec<Owner> {
        match self.read(range) {
            BlockState::Held(block) => block.into_owners(),
            BlockState::Free | BlockState::Torn | BlockState::Unknown => Vec::new(),
        }
    }

    /// Who has any of `size` ids from `first` on, as far as their state tells: for ids that an
    /// engine gives a container. Asks about the first few ranges of a longer extent.
    #[must_use]
    pub fn owners_within(&self, first: u32, size: u32) -> Vec<Owner> {
        let start = first - first % Range::LENGTH;
        let bases = (0..4).map_while(|index| start.checked_add(Range::LENGTH * index));
        bases
            .filter_map(Range::from_base)
            .filter(|range| range.overlaps(u64::from(first), u64::from(size)))
            .flat_map(|range| match self.read(range) {
                BlockState::Held(block) if !block.is_deserted(None) => block.into_owners(),
                BlockState::Held(_) | BlockState::Free | BlockState::Torn | BlockState::Unknown => {
                    Vec::new()
                }
            })
            .collect()
    }

    /// Counts `owner` among those who have the range, beside `fellow`, who must have it.
    ///
    /// The state directory of `owner` must exist and be locked by the caller.
    ///
    /// # Errors
    /// [`RangeError::NotHeld`] if `fellow` has gone; [`RangeError::Busy`] or [`RangeError::Io`].
    pub fn join(&self, range: Range, owner: &Owner, fellow: &Owner) -> Result<()> {
        let _locked = self.lock()?;
        match self.read(range) {
            BlockState::Held(mut block) if block.has(fellow) => {
                block.add(owner);
                self.replace(range, &block)
            }
            BlockState::Held(_) | BlockState::Free | BlockState::Torn | BlockState::Unknown => {
                Err(RangeError::NotHeld { range, id: fellow.id.to_string() })
            }
        }
    }

    /// Gives the range back; it is free when the last container of a pod gave it back.
    ///
    /// The container's processes must be dead. A range that is not, or no longer, the owner's is
    /// left alone, so that a delete may be tried again.
    ///
    /// # Errors
    /// [`RangeError::Busy`] or [`RangeError::Io`]; the range stays taken.
    pub fn release(&self, range: Range, owner: &Owner) -> Result<()> {
        let _locked = self.lock()?;
        self.give_back(range, owner)
    }

    /// Gives back every range that the owner has: for a container whose record does not say which.
    ///
    /// # Errors
    /// As [`Ranges::release`].
    pub fn release_all(&self, owner: &Owner) -> Result<()> {
        let _locked = self.lock()?;
        self.taken()?.into_iter().try_for_each(|range| self.give_back(range, owner))
    }

    /// The lock must be held.
    fn give_back(&self, range: Range, owner: &Owner) -> Result<()> {
        let BlockState::Held(mut block) = self.read(range) else { return Ok(()) };
        if !block.has(owner) {
            return Ok(());
        }
        block.remove(owner);
        // Others may be named that were killed half-way, and will give nothing back.
        let done = block.is_empty() || (block.is_deserted(None) && !Maps::default().overlap(range));
        if done { self.unlink(range) } else { self.replace(range, &block) }
    }

    /// Frees every range that nobody has any more, and reads the list of foreign ranges anew.
    ///
    /// Reads all of `/proc`: not for the way of a launch. For `list`, and for a forced delete of
    /// a container without a record. Gives the number of ranges freed.
    ///
    /// # Errors
    /// [`RangeError::Busy`] or [`RangeError::Io`]; what was freed before stays free.
    pub fn reclaim(&self) -> Result<usize> {
        let mut maps = Maps::default();
        let mut freed = 0;
        let _locked = self.lock()?;
        for range in self.taken()? {
            if self.is_free(range, None, &mut maps) {
                self.unlink(range)?;
                freed += 1;
            }
        }
        Foreign::refresh(&self.dir, &mut maps);
        Ok(freed)
    }

    /// Whether a block that has a file is in fact nobody's. The lock must be held.
    ///
    /// `asking` may have its own leftover back.
    fn is_free(&self, range: Range, asking: Option<&Owner>, maps: &mut Maps) -> bool {
        let deserted = match self.read(range) {
            BlockState::Free => return true,
            // Files are written under the lock that we hold: its writer is dead.
            BlockState::Torn => true,
            BlockState::Unknown => false,
            BlockState::Held(block) => block.is_deserted(asking),
        };
        deserted && !maps.overlap(range)
    }

    fn lock(&self) -> Result<Locked<'_>> {
        match dir::lock(&self.dir, LOCK_WAIT) {
            Ok(true) => Ok(Locked(self)),
            Ok(false) => Err(RangeError::Busy { path: self.path.clone() }),
            Err(source) => Err(self.failed("lock", "", source)),
        }
    }

    fn create(&self, range: Range, bytes: &[u8]) -> std::result::Result<(), Errno> {
        let name = range.file_name();
        crash_point(&self.dir, &name, Crash::BeforeCreate);
        let done = dir::create_file(&self.dir, &name, bytes);
        crash_point(&self.dir, &name, Crash::AfterCreate);
        match done {
            Err(source) if source != Errno::EEXIST => {
                // A full file system: an empty file would hold the block for nothing.
                let _ = dir::remove_file(&self.dir, &name);
                Err(source)
            }
            other => other,
        }
    }

    fn replace(&self, range: Range, block: &Block) -> Result<()> {
        let name = range.file_name();
        block
            .to_json()
            .and_then(|bytes| dir::replace_file(&self.dir, &name, TEMPORARY, &bytes))
            .map_err(|source| self.failed("write", &name, source))
    }

    fn unlink(&self, range: Range) -> Result<()> {
        let name = range.file_name();
        match rustix::fs::unlinkat(&self.dir, &name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(self.failed("remove", &name, crate::sys::errno(error))),
        }
        crash_point(&self.dir, &name, Crash::AfterUnlink);
        Ok(())
    }

    fn read(&self, range: Range) -> BlockState {
        match dir::read_file(&self.dir, &range.file_name(), BLOCK_LIMIT_BYTES) {
            Ok(bytes) => Block::parse(&bytes),
            Err(ReadError::Missing) => BlockState::Free,
            Err(ReadError::Kind | ReadError::TooLarge | ReadError::Errno(_)) => BlockState::Unknown,
        }
    }

    /// All blocks that have a file.
    fn taken(&self) -> Result<Vec<Range>> {
        let names = dir::names(&self.dir).map_err(|source| self.failed("list", "", source))?;
        Ok(names.iter().filter_map(|(name, _)| Range::from_file_name(name)).collect())
    }

    fn failed(&self, action: &'static str, name: &str, source: Errno) -> RangeError {
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        RangeError::Io { action, path, source }
    }
}

/// Where tests kill the process; a built program has nothing here.
#[cfg(not(test))]
fn crash_point(_registry: &OwnedFd, _name: &str, _point: Crash) {}
#[cfg(test)]
use self::tests::crash_point;

/// The moments between two changes of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    BeforeCreate,
    AfterCreate,
    AfterUnlink,
}

#[cfg(test)]
mod tests;
