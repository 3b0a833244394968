//! The directories that CRIU reads and writes, and what casemate keeps beside its images.

use std::fs::{DirBuilder, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat, renameat};
use serde::{Deserialize, Serialize};

use super::Before;
use crate::criu::error_in;
use crate::engine::restore::Outside;
use crate::ops::{OpsError, Result};
use crate::store::Record;
use crate::sys::fd;

/// The file beside the images.
const FILE: &str = "casemate.json";

/// What it is called until it is complete.
const TEMPORARY: &str = ".casemate.json.new";

/// The form of that file, and the only one that is read.
const VERSION: u32 = 1;

/// A container has some hundred processes at most, and as many mounts.
const LIMIT_BYTES: u64 = 16 << 20;

/// What is kept beside the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ops) struct Saved {
    version: u32,
    /// The container that was written.
    pub id: String,
    /// The digest of its plan.
    pub plan_digest: String,
    /// What lay outside of it.
    pub outside: Outside,
    /// What it was.
    pub before: Before,
}

impl Saved {
    pub(super) fn new(record: &Record, outside: Outside, before: Before) -> Self {
        let (id, plan_digest) = (record.id.to_string(), record.plan_digest.clone());
        Self { version: VERSION, id, plan_digest, outside, before }
    }
}

/// The directories, open and kept across exec.
#[derive(Debug)]
pub(in crate::ops) struct Images {
    path: PathBuf,
    work_path: PathBuf,
    dir: OwnedFd,
    work: Option<OwnedFd>,
}

impl Images {
    /// Makes the directories that are missing, nobody else's to read.
    pub(super) fn make(doing: &str, path: &Path, work: Option<&Path>) -> Result<Self> {
        for dir in std::iter::once(path).chain(work) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|error| said(doing, "make", dir, &error))?;
        }
        Self::open(doing, path, work)
    }

    /// Opens the directories.
    pub(in crate::ops) fn open(doing: &str, path: &Path, work: Option<&Path>) -> Result<Self> {
        let open = |dir: &Path| -> Result<OwnedFd> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = openat(CWD, dir, flags, Mode::empty())
                .map_err(|error| said(doing, "open", dir, &error.into()))?;
            check(doing, dir, &opened)?;
            fd::keep_across_exec(opened.as_raw_fd())
                .map_err(|errno| OpsError::failed(doing, format!("{errno:?}")))?;
            Ok(opened)
        };
        Ok(Self {
            path: path.to_owned(),
            work_path: work.unwrap_or(path).to_owned(),
            dir: open(path)?,
            work: work.map(open).transpose()?,
        })
    }

    pub(in crate::ops) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    pub(in crate::ops) fn work(&self) -> Option<BorrowedFd<'_>> {
        self.work.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn save(&self, doing: &str, saved: &Saved) -> Result<()> {
        let path = self.path.join(FILE);
        let bytes = serde_json::to_vec(saved).map_err(|error| OpsError::because(doing, &error))?;
        let write = || {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(0o600);
            let file = openat(&self.dir, TEMPORARY, flags | OFlags::CLOEXEC, mode)?;
            File::from(file).write_all(&bytes)?;
            renameat(&self.dir, TEMPORARY, &self.dir, FILE).map_err(std::io::Error::from)
        };
        write().map_err(|error| said(doing, "write", &path, &error))
    }

    /// Reads what was kept.
    pub(in crate::ops) fn saved(&self, doing: &str) -> Result<Saved> {
        let path = self.path.join(FILE);
        let mut bytes = Vec::new();
        let read = |bytes: &mut Vec<u8>| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = File::from(openat(&self.dir, FILE, flags, Mode::empty())?);
            file.take(LIMIT_BYTES).read_to_end(bytes)
        };
        read(&mut bytes).map_err(|error| {
            said(doing, "read", &path, &error)
                .hint("restore what `casemate checkpoint` has written: others leave no such file")
        })?;
        let saved: Saved = serde_json::from_slice(&bytes).map_err(|error| {
            OpsError::failed(doing, format!("{} is no checkpoint of ours: {error}", path.display()))
        })?;
        if saved.version != VERSION {
            let message = format!("{} has version {}", path.display(), saved.version);
            return Err(OpsError::failed(doing, message));
        }
        Ok(saved)
    }

    pub(super) fn log_path(&self, log: &str) -> PathBuf {
        self.work_path.join(log)
    }

    /// The first error that CRIU's log tells of, of those that end its work.
    pub(super) fn first_error(&self, log: &str) -> Option<String> {
        let file = File::open(self.log_path(log)).ok()?;
        let lines = BufReader::new(file).lines().map_while(std::io::Result::ok);
        lines.filter_map(|line| error_in(&line).map(ToOwned::to_owned)).next()
    }
}

/// CRIU reads and writes here as root: whoever else may write here decides what is made of the
/// memory of programs, and which files are overwritten.
fn check(doing: &str, path: &Path, dir: &OwnedFd) -> Result<()> {
    let found = fstat(dir).map_err(|error| said(doing, "look at", path, &error.into()))?;
    let ours = found.st_uid == 0 || found.st_uid == rustix::process::geteuid().as_raw();
    if ours && found.st_mode & 0o022 == 0 {
        return Ok(());
    }
    let place = path.display();
    let message = if ours {
        format!("{place} can be written by others (mode {:04o})", found.st_mode & 0o7777)
    } else {
        format!("{place} belongs to user {}", found.st_uid)
    };
    Err(OpsError::failed(doing, message)
        .fact("undone", "nothing was created")
        .hint(format!("give a directory of root's that nobody else can write: chmod go-w {place}")))
}

fn said(doing: &str, verb: &str, path: &Path, error: &std::io::Error) -> OpsError {
    OpsError::failed(doing, format!("{verb} {}: {error}", path.display()))
}
