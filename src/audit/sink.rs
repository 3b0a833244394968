//! Appends records to the audit file.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, RawMode};

use super::chain::{Line, NO_LINE, digest};
use super::event::Event;
use crate::sys::Errno;

/// Where records go unless a policy says otherwise.
pub const DEFAULT_FILE: &str = "/var/log/casemate/audit.jsonl";

const DIR_MODE: RawMode = 0o700;
const FILE_MODE: RawMode = 0o600;
const OTHERS_WRITE: RawMode = 0o022;
/// A record that would be longer loses its lists of changes, then the end of its reason.
const LINE_LIMIT_BYTES: usize = 16 << 10;
const REASON_LIMIT_CHARS: usize = 1024;
/// How far back the end of the line before is looked for: twice what we write.
const TAIL_LIMIT_BYTES: usize = 32 << 10;
/// Enough for the usual line, so that mostly one read does.
const TAIL_FIRST_BYTES: usize = 2 << 10;
/// Others hold the lock for microseconds; a stopped one must not stop every launch.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The file or its directory can be written or replaced by others.
    #[error("audit file {}: {fault}", path.display())]
    Unsafe {
        /// The file or the directory.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },

    /// Another writer did not let go of the file.
    #[error("audit file {} is busy for more than 2 s", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },

    /// The record is too long even without its list, or cannot be put into JSON.
    #[error("the audit record cannot be put into a line of {LINE_LIMIT_BYTES} bytes")]
    Record,

    /// A system call failed. A part of the line may stand in the file; the next writer marks it.
    #[error("{action} audit file {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
}

/// An audit file, open for appending.
#[derive(Debug)]
pub struct Sink {
    path: PathBuf,
    file: OwnedFd,
}

impl Sink {
    /// Opens the file at `path`; it and its directory are made, 0600 and 0700, if missing.
    ///
    /// # Errors
    /// [`AuditError::Unsafe`] if others could write either; [`AuditError::Io`].
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(unsafe_file(path, "its path does not end in a name"));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let dir = open_dir(parent)?;
        let failed = |error| failed("open", path, error);

        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(FILE_MODE);
        let file = match rustix::fs::openat(&dir, name, flags, mode) {
            Err(rustix::io::Errno::NOENT) => {
                let file = rustix::fs::openat(&dir, name, flags | OFlags::CREATE, mode);
                let file = file.map_err(failed)?;
                rustix::fs::fchmod(&file, mode).map_err(failed)?;
                file
            }
            Err(rustix::io::Errno::LOOP) => return Err(unsafe_file(path, "it is a symbolic link")),
            other => other.map_err(failed)?,
        };
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(unsafe_file(path, "it is not a regular file"));
        }
        check_ours(path, stat.st_uid, stat.st_mode)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends one record, in one write.
    ///
    /// It is in the file when this returns, and on the disk when the kernel sees fit; see
    /// [`Sink::sync`].
    ///
    /// # Errors
    /// [`AuditError::Busy`], [`AuditError::Record`] or [`AuditError::Io`].
    pub fn append(&self, event: &Event) -> Result<(), AuditError> {
        self.lock()?;
        let done = self.append_locked(event);
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        done
    }

    /// Waits until everything is on the disk: some milliseconds. For what must outlive a power
    /// loss, such as a refusal or an exception.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn sync(&self) -> Result<(), AuditError> {
        rustix::fs::fdatasync(&self.file).map_err(|error| failed("sync", &self.path, error))
    }

    fn append_locked(&self, event: &Event) -> Result<(), AuditError> {
        let tail = self.last_line()?;
        let prev = match &tail.line {
            Some(line) => digest(line),
            None => NO_LINE.to_owned(),
        };
        let mut bytes = Vec::with_capacity(TAIL_FIRST_BYTES);
        if tail.torn {
            bytes.push(b'\n');
        }
        bytes.extend(to_line(event, tail.torn, &prev)?);
        bytes.push(b'\n');
        let written = rustix::io::write(&self.file, &bytes)
            .map_err(|error| failed("write", &self.path, error))?;
        if written < bytes.len() {
            // The disk is full. What stands there counts as cut off by a crash.
            return Err(failed("write", &self.path, rustix::io::Errno::NOSPC));
        }
        Ok(())
    }

    /// Reads the last line, whole or cut.
    fn last_line(&self) -> Result<Tail, AuditError> {
        let read_failed = |error| failed("read", &self.path, error);
        let stat = rustix::fs::fstat(&self.file).map_err(read_failed)?;
        let size_bytes = u64::try_from(stat.st_size).unwrap_or_default();
        let mut want = TAIL_FIRST_BYTES;
        loop {
            let mut bytes = vec![0; want.min(usize::try_from(size_bytes).unwrap_or(want))];
            let from = size_bytes - u64::try_from(bytes.len()).unwrap_or_default();
            let length =
                rustix::io::pread(&self.file, bytes.as_mut_slice(), from).map_err(read_failed)?;
            bytes.truncate(length);
            if bytes.is_empty() {
                return Ok(Tail { line: None, torn: false });
            }
            let (text, torn) = match bytes.strip_suffix(b"\n") {
                Some(text) => (text, false),
                None => (bytes.as_slice(), true),
            };
            let start = text.iter().rposition(|&byte| byte == b'\n').map(|end| end + 1);
            if start.is_some() || from == 0 {
                let line = text.get(start.unwrap_or_default()..).map(<[u8]>::to_vec);
                return Ok(Tail { line, torn });
            }
            if want >= TAIL_LIMIT_BYTES {
                return Err(unsafe_file(&self.path, "its last line is none that we write"));
            }
            want *= 4;
        }
    }

    fn lock(&self) -> Result<(), AuditError> {
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed("lock", &self.path, error)),
            }
            if Instant::now() >= deadline {
                return Err(AuditError::Busy { path: self.path.clone() });
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// The end of the file: its last line, without the line's end.
struct Tail {
    line: Option<Vec<u8>>,
    /// It has no end: whoever wrote it was killed, or the machine was.
    torn: bool,
}

fn to_line(event: &Event, torn_tail: bool, prev: &str) -> Result<Vec<u8>, AuditError> {
    let write = |event: &Event| {
        serde_json::to_vec(&Line { event, torn_tail, prev }).map_err(|_| AuditError::Record)
    };
    let line = write(event)?;
    if line.len() <= LINE_LIMIT_BYTES {
        return Ok(line);
    }
    let cut = |reason: &String| reason.chars().take(REASON_LIMIT_CHARS).collect();
    let reason = event.reason.as_ref().map(cut);
    let (changes, limits) = (Vec::new(), Vec::new());
    let line = write(&Event { changes, limits, reason, ..event.clone() })?;
    if line.len() > LINE_LIMIT_BYTES { Err(AuditError::Record) } else { Ok(line) }
}

fn open_dir(path: &Path) -> Result<OwnedFd, AuditError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(CWD, path, flags, Mode::empty());
    let failed = |error| failed("open the directory of the", path, error);
    let dir = match open() {
        Err(rustix::io::Errno::NOENT) => {
            let mode = Mode::from_raw_mode(DIR_MODE);
            match rustix::fs::mkdir(path, mode) {
                Ok(()) => {
                    let dir = open().map_err(failed)?;
                    rustix::fs::fchmod(dir.as_fd(), mode).map_err(failed)?;
                    dir
                }
                Err(rustix::io::Errno::EXIST) => open().map_err(failed)?,
                Err(error) => return Err(failed(error)),
            }
        }
        other => other.map_err(failed)?,
    };
    let stat = rustix::fs::fstat(&dir).map_err(failed)?;
    check_ours(path, stat.st_uid, stat.st_mode)?;
    Ok(dir)
}

fn check_ours(path: &Path, owner: u32, mode: RawMode) -> Result<(), AuditError> {
    if owner != rustix::process::geteuid().as_raw() {
        return Err(unsafe_file(path, "it belongs to another user"));
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(unsafe_file(path, "it can be written by other users"));
    }
    Ok(())
}

fn unsafe_file(path: &Path, fault: &'static str) -> AuditError {
    AuditError::Unsafe { path: path.to_owned(), fault }
}

fn failed(action: &'static str, path: &Path, error: rustix::io::Errno) -> AuditError {
    let source = Errno::from_raw(error.raw_os_error());
    AuditError::Io { action, path: path.to_owned(), source }
}
