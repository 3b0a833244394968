//! One container's directory, held under its lock.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType};

use super::dir::{self, ReadError};
use super::error::StoreError;
use super::ranges::Owner;
use super::record::{Record, RecordError, Status};
use super::salvage;
use super::state::LOCK_WAIT;
use crate::spec::id::ContainerId;
use crate::sys::{Errno, errno};

/// The [`Record`], as JSON.
pub const STATE_FILE: &str = "state.json";
/// The launch plan, as bytes that the store does not look into.
pub const PLAN_FILE: &str = "plan.json";
/// The socket at which a created init waits; whoever makes it does so through [`Entry::dir`].
pub const START_SOCKET: &str = "start.sock";

/// What its filter refused, as whoever watches it writes it.
pub const REFUSALS_FILE: &str = "refusals.json";
/// The socket at which whoever watches it takes the listeners of further filters.
pub const WATCH_SOCKET: &str = "watch.sock";
/// What [`REFUSALS_FILE`] is called until it is complete.
pub const REFUSALS_TEMPORARY: &str = ".refusals.json.new";

const STATE_TEMPORARY: &str = ".state.json.new";
const PLAN_TEMPORARY: &str = ".plan.json.new";
/// The directory that a container finds its notification socket in.
const NOTIFY_DIR: &str = "notify";
/// All files that an entry may hold, in the order of removal: the record last, for it tells the next
/// try what there is to clean up.
const OURS: [&str; 8] = [
    START_SOCKET,
    WATCH_SOCKET,
    REFUSALS_TEMPORARY,
    REFUSALS_FILE,
    PLAN_TEMPORARY,
    PLAN_FILE,
    STATE_TEMPORARY,
    STATE_FILE,
];

/// An annotation may be long, but a record is no place to hide a disk image.
pub(super) const STATE_LIMIT_BYTES: usize = 4 << 20;
const PLAN_LIMIT_BYTES: usize = 32 << 20;
const REFUSALS_LIMIT_BYTES: usize = 4 << 20;

/// A container's directory, locked. The lock is given back on drop, for children too.
#[derive(Debug)]
pub struct Entry {
    id: ContainerId,
    path: PathBuf,
    root: OwnedFd,
    dir: OwnedFd,
}

impl Entry {
    /// Takes over a directory that is locked and stands at `id` below `root`.
    pub(super) fn new(id: ContainerId, path: PathBuf, root: OwnedFd, dir: OwnedFd) -> Self {
        Self { id, path, root, dir }
    }

    /// Whose directory this is.
    #[must_use]
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The path of the directory, as it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory. The descriptor carries the lock: a process that outlives this one must
    /// not keep a copy.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The name under which this container takes an id range: its id, and where its state is.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the root's own path cannot be told, or is not UTF-8.
    pub fn owner(&self) -> Result<Owner, StoreError> {
        use std::os::fd::AsRawFd;
        let link = format!("/proc/self/fd/{}", self.root.as_raw_fd());
        let name = rustix::fs::readlink(link, Vec::new())
            .map_err(|error| self.failed("find the path of the root above", errno(error)))?;
        let root = name
            .into_string()
            .map_err(|_| self.failed("find the path of the root above", Errno::EILSEQ))?;
        Ok(Owner { root, id: self.id.clone() })
    }

    /// Writes the record, replacing the one before it as a whole.
    ///
    /// # Errors
    /// [`StoreError::Record`] if it belongs to another id, else [`StoreError::Io`]. The record
    /// before it stays.
    pub fn write_state(&self, record: &Record) -> Result<(), StoreError> {
        let unusable = |source| StoreError::Record { id: self.id.clone(), source };
        if record.id != self.id {
            let fault = "is not that of its directory";
            return Err(unusable(RecordError::Value { field: "id", fault }));
        }
        let bytes = record.to_json().map_err(unusable)?;
        dir::replace_file(&self.dir, STATE_FILE, STATE_TEMPORARY, &bytes)
            .map_err(|source| self.failed("write state.json in", source))
    }

    /// Lets other commands work on the container, while this one waits for it.
    pub fn unlock(&self) {
        dir::unlock(&self.dir);
    }

    /// Holds the container again after [`Entry::unlock`]. What was read of it before may be old.
    ///
    /// # Errors
    /// As [`super::Store::lock`].
    pub fn lock_again(&self) -> Result<(), StoreError> {
        let failed = |source| self.failed("lock", source);
        if !dir::lock(&self.dir, LOCK_WAIT).map_err(failed)? {
            let (holder, waited_sec) = (dir::holder(&self.dir), LOCK_WAIT.as_secs());
            return Err(StoreError::Busy { id: self.id.clone(), holder, waited_sec });
        }
        let there = dir::is_at(&self.dir, &self.root, self.id.as_str()).map_err(failed)?;
        there.then_some(()).ok_or_else(|| StoreError::DoesNotExist { id: self.id.clone() })
    }

    /// Reads the record.
    ///
    /// # Errors
    /// [`StoreError::Record`] if there is none, or none that can be used.
    pub fn read_state(&self) -> Result<Record, StoreError> {
        read_record(&self.dir, &self.id)
    }

    /// What can be told from a record that [`Entry::read_state`] cannot read.
    #[must_use]
    pub fn salvage_state(&self) -> Option<Record> {
        let bytes = dir::read_file(&self.dir, STATE_FILE, STATE_LIMIT_BYTES).ok()?;
        salvage::salvage(&bytes, &self.id)
    }

    /// The status, for a command that came after the creating one.
    ///
    /// `record` is what [`Entry::read_state`] gave. We hold the lock, so nobody is creating:
    /// without a record the container is a wreck, and counts as stopped.
    #[must_use]
    pub fn status(&self, record: Option<&Record>) -> Status {
        record.map_or(Status::Stopped, |record| record.status(|| self.start_socket_exists()))
    }

    /// Keeps the plan beside the record.
    ///
    /// # Errors
    /// [`StoreError::Io`]. The plan before it stays.
    pub fn write_plan(&self, plan: &[u8]) -> Result<(), StoreError> {
        dir::replace_file(&self.dir, PLAN_FILE, PLAN_TEMPORARY, plan)
            .map_err(|source| self.failed("write plan.json in", source))
    }

    /// Reads the plan: bytes that the caller parses, and compares with the record's digest.
    ///
    /// # Errors
    /// [`StoreError::Record`] if there is none, or none that can be read.
    pub fn read_plan(&self) -> Result<Vec<u8>, StoreError> {
        read_plan(&self.dir, &self.id)
    }

    /// The directory once more, without the lock: for a process that outlives this one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_again(&self) -> Result<OwnedFd, StoreError> {
        dir::open_dir(&self.dir, ".").map_err(|source| self.failed("open again", source))
    }

    /// Whether init waits for `start`.
    #[must_use]
    pub fn start_socket_exists(&self) -> bool {
        start_socket_exists(self.dir.as_fd())
    }

    /// Takes the start socket away, so that a second `start` finds none.
    ///
    /// # Errors
    /// [`StoreError::Io`]; that it is gone already is none.
    pub fn unlink_start_socket(&self) -> Result<(), StoreError> {
        dir::remove_file(&self.dir, START_SOCKET)
            .map_err(|source| self.failed("remove start.sock in", source))
    }

    /// Removes the directory with all that the store made in it, whatever state that is in.
    ///
    /// When it fails or is killed half-way, a later try goes on from there.
    ///
    /// # Errors
    /// [`StoreError::ForeignFile`] if there is anything else in it: then nothing was removed.
    /// [`StoreError::Io`] otherwise.
    pub fn remove(self) -> Result<(), StoreError> {
        let held = dir::names(&self.dir).map_err(|source| self.failed("list", source))?;
        let is_ours = |name: &str| OURS.contains(&name) || name == NOTIFY_DIR;
        if let Some((name, _)) = held.iter().find(|(name, _)| !is_ours(name)) {
            let path = self.path.clone();
            return Err(StoreError::ForeignFile { path, name: name.clone() });
        }
        for name in OURS.into_iter().filter(|ours| held.iter().any(|(name, _)| name == ours)) {
            dir::remove_file(&self.dir, name)
                .map_err(|source| self.failed("remove a file in", source))?;
        }
        if held.iter().any(|(name, _)| name == NOTIFY_DIR) {
            self.remove_notify_dir()?;
        }
        match rustix::fs::unlinkat(&self.root, self.id.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", errno(error))),
        }
    }

    /// Makes the directory in which the container will find its notification socket: to be
    /// entered, and not written to, by everybody who can reach it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn make_notify_dir(&self) -> Result<OwnedFd, StoreError> {
        let failed = |source| self.failed("make a directory in", source);
        let dir = dir::make_dir(&self.dir, NOTIFY_DIR).map_err(failed)?;
        rustix::fs::fchmod(&dir, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(|error| failed(errno(error)))?;
        Ok(dir)
    }

    /// That directory, if it was made.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_notify_dir(&self) -> Result<Option<OwnedFd>, StoreError> {
        match dir::open_dir(&self.dir, NOTIFY_DIR) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::ENOENT) => Ok(None),
            Err(source) => Err(self.failed("open a directory in", source)),
        }
    }

    /// Nothing but the socket can be in there: the container's mount of it is read-only.
    fn remove_notify_dir(&self) -> Result<(), StoreError> {
        let failed = |source| self.failed("remove a directory in", source);
        if let Some(dir) = self.open_notify_dir()? {
            for (name, _) in dir::names(&dir).map_err(failed)? {
                dir::remove_file(&dir, &name).map_err(failed)?;
            }
        }
        rustix::fs::unlinkat(&self.dir, NOTIFY_DIR, AtFlags::REMOVEDIR)
            .map_err(|error| failed(errno(error)))
    }

    fn failed(&self, action: &'static str, source: Errno) -> StoreError {
        StoreError::Io { action, path: self.path.clone(), source }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Closing would not do while a child holds a copy of the descriptor.
        dir::unlock(&self.dir);
    }
}

/// Reads the record of container `id` from its directory.
pub(super) fn read_record(dir: &OwnedFd, id: &ContainerId) -> Result<Record, StoreError> {
    dir::read_file(dir, STATE_FILE, STATE_LIMIT_BYTES)
        .map_err(|error| read_failed(STATE_FILE, STATE_LIMIT_BYTES, error))
        .and_then(|bytes| Record::from_json(&bytes, id))
        .map_err(|source| StoreError::Record { id: id.clone(), source })
}

/// Reads the plan of container `id` from its directory.
pub(super) fn read_plan(dir: &OwnedFd, id: &ContainerId) -> Result<Vec<u8>, StoreError> {
    dir::read_file(dir, PLAN_FILE, PLAN_LIMIT_BYTES).map_err(|error| {
        let source = read_failed(PLAN_FILE, PLAN_LIMIT_BYTES, error);
        StoreError::Record { id: id.clone(), source }
    })
}

/// Reads what the filter refused; `None` if nobody watches it, or nothing was refused yet.
pub(super) fn read_refusals(
    dir: &OwnedFd,
    id: &ContainerId,
) -> Result<Option<Vec<u8>>, StoreError> {
    match dir::read_file(dir, REFUSALS_FILE, REFUSALS_LIMIT_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReadError::Missing) => Ok(None),
        Err(error) => {
            let source = read_failed(REFUSALS_FILE, REFUSALS_LIMIT_BYTES, error);
            Err(StoreError::Record { id: id.clone(), source })
        }
    }
}

/// Whether a socket stands at the name where init waits.
pub(super) fn start_socket_exists(dir: BorrowedFd<'_>) -> bool {
    let stat = dir::stat_at(dir, START_SOCKET).ok().flatten();
    stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

fn read_failed(file: &'static str, limit_bytes: usize, error: ReadError) -> RecordError {
    match error {
        ReadError::Missing => RecordError::Missing { file },
        ReadError::Kind => RecordError::Kind { file },
        ReadError::TooLarge => RecordError::TooLarge { file, limit_bytes },
        ReadError::Errno(source) => RecordError::Io { file, source },
    }
}

/// The path of a container's directory, for messages.
pub(super) fn path_of(root: &Path, id: &ContainerId) -> PathBuf {
    root.join(id.as_str())
}
