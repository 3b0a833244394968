//! The state root: which containers there are.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dir;
use super::entry::{self, Entry};
use super::error::StoreError;
use super::record::{Phase, Record, RecordError, Status};
use super::root;
use crate::spec::id::ContainerId;
use crate::sys::Errno;

/// Where state is kept when no `--root` is given.
pub const DEFAULT_ROOT: &str = "/run/casemate";

/// How long a command waits for another that holds the same container.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(10);
const RESERVE_TRIES: u32 = 64;

/// All containers below one root. A root that does not exist has none.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    root: Option<OwnedFd>,
    lock_wait: Duration,
}

/// What can be told of a container without its lock.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredState {
    /// The record, once the creating command wrote one.
    pub record: Option<Record>,
    /// The status at the time of reading.
    pub status: Status,
}

impl Store {
    /// Opens the root at `path`; it need not exist.
    ///
    /// # Errors
    /// The `Root…` variants of [`StoreError`] if it is not ours alone, [`StoreError::Io`] if it
    /// cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { root: root::find(path)?, path: path.to_owned(), lock_wait: LOCK_WAIT })
    }

    /// The root, as given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a new id: makes its directory, and the root if need be, and holds it.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the id is taken; of many that ask at the same time, all
    /// but one get it. [`StoreError::Io`] otherwise.
    pub fn reserve(&self, id: &ContainerId) -> Result<Entry, StoreError> {
        let path = entry::path_of(&self.path, id);
        let failed = |source| StoreError::Io { action: "create", path: path.clone(), source };
        let root = match &self.root {
            Some(root) => root.try_clone().map_err(|error| failed(from_io(&error)))?,
            None => root::make(&self.path)?,
        };
        // A forced delete may take the directory between its making and its locking: then the id
        // is free again. That it happens time after time means that the root itself was removed.
        for _ in 0..RESERVE_TRIES {
            let dir = match dir::make_dir(&root, id.as_str()) {
                Ok(dir) => dir,
                Err(Errno::EEXIST) => return Err(StoreError::AlreadyExists { id: id.clone() }),
                Err(Errno::ENOENT) => continue,
                Err(source) => return Err(failed(source)),
            };
            if self.lock_dir(id, &root, &dir)? {
                return Ok(Entry::new(id.clone(), path, root, dir));
            }
        }
        Err(failed(Errno::ENOENT))
    }

    /// Holds the container `id`, waiting up to 10 s for another command to let go of it.
    ///
    /// # Errors
    /// [`StoreError::DoesNotExist`], also if it went away while we waited;
    /// [`StoreError::Busy`] with the holder; [`StoreError::Io`].
    pub fn lock(&self, id: &ContainerId) -> Result<Entry, StoreError> {
        loop {
            let (root, dir) = self.open_entry(id)?;
            if self.lock_dir(id, root, &dir)? {
                let path = entry::path_of(&self.path, id);
                let root = root.try_clone().map_err(|error| {
                    let source = from_io(&error);
                    StoreError::Io { action: "open", path: self.path.clone(), source }
                })?;
                return Ok(Entry::new(id.clone(), path, root, dir));
            }
        }
    }

    /// Tells of the container `id` without waiting for anybody.
    ///
    /// # Errors
    /// [`StoreError::DoesNotExist`]; [`StoreError::Record`] if the record cannot be used, though
    /// not if there is none yet; [`StoreError::Io`].
    pub fn read(&self, id: &ContainerId) -> Result<StoredState, StoreError> {
        let (_, dir) = self.open_entry(id)?;
        let record = match entry::read_record(&dir, id) {
            Ok(record) => Some(record),
            Err(StoreError::Record { source: RecordError::Missing { .. }, .. }) => None,
            Err(error) => return Err(error),
        };
        let complete = record.as_ref().filter(|record| record.phase == Phase::Created);
        let status = match (complete, &record) {
            (Some(record), _) => record.status(|| entry::start_socket_exists(dir.as_fd())),
            // Whoever creates holds the lock until the end.
            (None, _) if dir::is_locked(&dir).unwrap_or(true) => Status::Creating,
            (None, Some(record)) => record.status(|| false),
            (None, None) => Status::Stopped,
        };
        Ok(StoredState { record, status })
    }

    /// Reads the plan of the container `id` without waiting for anybody: it is written once.
    ///
    /// # Errors
    /// [`StoreError::DoesNotExist`]; [`StoreError::Record`] if there is no plan, or none that can
    /// be read; [`StoreError::Io`].
    pub fn read_plan(&self, id: &ContainerId) -> Result<Vec<u8>, StoreError> {
        let (_, dir) = self.open_entry(id)?;
        entry::read_plan(&dir, id)
    }

    /// Reads what the filter of the container `id` refused, as whoever watches it wrote it; `None`
    /// if nobody has.
    ///
    /// # Errors
    /// [`StoreError::DoesNotExist`]; [`StoreError::Record`] if it cannot be read;
    /// [`StoreError::Io`].
    pub fn read_refusals(&self, id: &ContainerId) -> Result<Option<Vec<u8>>, StoreError> {
        let (_, dir) = self.open_entry(id)?;
        entry::read_refusals(&dir, id)
    }

    /// Tells of every container, by id in order.
    ///
    /// Names that are no ids are none of ours, and left out; so is what goes away meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the root cannot be listed. What is wrong with one container stands
    /// beside its id.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let Some(root) = &self.root else { return Ok(Vec::new()) };
        let names = dir::names(root).map_err(|source| StoreError::Io {
            action: "list",
            path: self.path.clone(),
            source,
        })?;
        let mut ids: Vec<_> = names
            .into_iter()
            .filter(|&(_, may_be_dir)| may_be_dir)
            .filter_map(|(name, _)| ContainerId::parse(&name).ok())
            .collect();
        ids.sort_unstable();
        let read = ids.into_iter().map(|id| {
            let state = self.read(&id);
            (id, state)
        });
        Ok(read
            .filter(|(_, state)| !matches!(state, Err(StoreError::DoesNotExist { .. })))
            .collect())
    }

    fn open_entry(&self, id: &ContainerId) -> Result<(&OwnedFd, OwnedFd), StoreError> {
        let missing = || StoreError::DoesNotExist { id: id.clone() };
        let root = self.root.as_ref().ok_or_else(missing)?;
        match dir::open_dir(root, id.as_str()) {
            Ok(dir) => Ok((root, dir)),
            Err(Errno::ENOENT) => Err(missing()),
            Err(source) => {
                let path = entry::path_of(&self.path, id);
                Err(StoreError::Io { action: "open the directory", path, source })
            }
        }
    }

    /// Locks a directory; `false` if by then it is no longer the one at its path.
    fn lock_dir(
        &self,
        id: &ContainerId,
        root: &OwnedFd,
        dir: &OwnedFd,
    ) -> Result<bool, StoreError> {
        let failed = |source| {
            let path = entry::path_of(&self.path, id);
            StoreError::Io { action: "lock", path, source }
        };
        if !dir::lock(dir, self.lock_wait).map_err(failed)? {
            let (holder, waited_sec) = (dir::holder(dir), self.lock_wait.as_secs());
            return Err(StoreError::Busy { id: id.clone(), holder, waited_sec });
        }
        dir::is_at(dir, root, id.as_str()).map_err(failed)
    }

    #[cfg(test)]
    pub(super) fn with_lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }
}

/// One line of [`Store::list`].
pub type Listed = (ContainerId, Result<StoredState, StoreError>);

fn from_io(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}
