//! Files and directories of the store, by descriptor: never by path, never through a link.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RawMode, RenameFlags, Stat};

use super::error::Holder;
use crate::sys::{Errno, Result, errno};

/// What a directory of ours is opened with. No link is followed as the last component.
pub(super) const OPEN_DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const DIR_MODE: RawMode = 0o700;
const FILE_MODE: RawMode = 0o600;
/// The permission bits of `st_mode`.
pub(super) const PERMISSIONS: RawMode = 0o7777;
/// Where whoever must not be able to write would be allowed to.
pub(super) const OTHERS_WRITE: RawMode = 0o022;

/// Why a file of the store was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadError {
    Missing,
    /// A link, a FIFO, a socket, a device or a directory stands there.
    Kind,
    TooLarge,
    Errno(Errno),
}

/// Opens a directory that must be one, and no link.
pub(super) fn open_dir(at: impl AsFd, name: &str) -> Result<OwnedFd> {
    rustix::fs::openat(at, name, OPEN_DIR, Mode::empty()).map_err(errno)
}

/// Makes a directory that must not exist, 0700 whatever the umask, and opens it.
pub(super) fn make_dir(at: impl AsFd, name: &str) -> Result<OwnedFd> {
    rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(DIR_MODE)).map_err(errno)?;
    let dir = open_dir(&at, name)?;
    exact_mode(&dir, DIR_MODE)?;
    Ok(dir)
}

/// The umask can only have taken bits away, so nobody had too much for a moment.
fn exact_mode(fd: &OwnedFd, mode: RawMode) -> Result<()> {
    let has = rustix::fs::fstat(fd).map_err(errno)?.st_mode & PERMISSIONS;
    if has == mode {
        return Ok(());
    }
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)).map_err(errno)
}

/// Reads a whole regular file of at most `limit_bytes`. Nothing planted there can make us wait.
pub(super) fn read_file(
    at: impl AsFd,
    name: &str,
    limit_bytes: usize,
) -> std::result::Result<Vec<u8>, ReadError> {
    let fail = |error: rustix::io::Errno| ReadError::Errno(errno(error));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(at, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Err(ReadError::Missing),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Err(ReadError::Kind),
        Err(error) => return Err(fail(error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ReadError::Kind);
    }
    let size_bytes = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
    if size_bytes > limit_bytes {
        return Err(ReadError::TooLarge);
    }
    let mut bytes = vec![0; size_bytes];
    let mut filled = 0;
    // A file is replaced, never written in place: shorter than it was means cut from outside.
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Creates a file that must not exist, 0600 whatever the umask, and writes it.
///
/// When writing fails, or the process is killed, a part of the file stays.
pub(super) fn create_file(at: impl AsFd, name: &str, bytes: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(at, name, flags, Mode::from_raw_mode(FILE_MODE)).map_err(errno)?;
    exact_mode(&file, FILE_MODE)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(&file, rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(errno(error)),
        }
    }
    Ok(())
}

/// Puts a complete file in the place of `name`. One writer at a time may use `temporary`.
///
/// An old file is exchanged with the new one and then removed. To readers that is what a rename
/// over it is; but ext4 writes out the new file's blocks when it sees such a rename, and that
/// takes 180 to 430 µs for a safety against power loss that we have no use for.
pub(super) fn replace_file(at: impl AsFd, name: &str, temporary: &str, bytes: &[u8]) -> Result<()> {
    match create_file(&at, temporary, bytes) {
        Err(Errno::EEXIST) => {
            // Of a writer that was killed.
            remove_file(&at, temporary)?;
            create_file(&at, temporary, bytes)?;
        }
        other => other?,
    }
    match rustix::fs::renameat_with(&at, temporary, &at, name, RenameFlags::EXCHANGE) {
        Ok(()) => remove_file(&at, temporary),
        // Nothing to exchange with, or a file system that cannot.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => {
            rustix::fs::renameat(&at, temporary, &at, name).map_err(errno)
        }
        Err(error) => Err(errno(error)),
    }
}

/// Removes a name that is not a directory; one that is not there is removed already.
pub(super) fn remove_file(at: impl AsFd, name: &str) -> Result<()> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(errno(error)),
    }
}

/// What stands at a name, itself if it is a link; `None` if nothing does.
pub(super) fn stat_at(at: impl AsFd, name: &str) -> Result<Option<Stat>> {
    match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(errno(error)),
    }
}

/// Whether a descriptor is what now stands at a name.
pub(super) fn is_at(fd: impl AsFd, at: impl AsFd, name: &str) -> Result<bool> {
    let held = rustix::fs::fstat(fd).map_err(errno)?;
    let found = stat_at(at, name)?;
    Ok(found.is_some_and(|found| (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)))
}

/// The names in a directory, without `.` and `..`, and whether each may be a directory.
///
/// A name that is not UTF-8 is none of ours; it is given with its bad bytes replaced.
pub(super) fn names(dir: impl AsFd) -> Result<Vec<(String, bool)>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir).map_err(errno)? {
        let entry = entry.map_err(errno)?;
        let name = entry.file_name().to_string_lossy();
        if name != "." && name != ".." {
            let may_be_dir = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            names.push((name.into_owned(), may_be_dir));
        }
    }
    Ok(names)
}

/// Takes the lock on a file or directory, or gives `false` when it was not free in time.
///
/// flock(2) has no timeout, and an alarm would need a signal handler: so it is asked again, soon
/// at first, for most holders are done in a millisecond.
pub(super) fn lock(fd: impl AsFd, within: Duration) -> Result<bool> {
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_micros(100);
    loop {
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(errno(error)),
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Gives the lock back for every copy of the descriptor, those of children included.
pub(super) fn unlock(fd: impl AsFd) {
    // It can only fail for a bad descriptor, and then there is nothing to give back.
    let _ = rustix::fs::flock(fd, FlockOperation::Unlock);
}

/// Whether somebody holds the lock right now.
pub(super) fn is_locked(fd: impl AsFd) -> Result<bool> {
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            unlock(fd);
            Ok(false)
        }
        Err(rustix::io::Errno::AGAIN) => Ok(true),
        Err(error) => Err(errno(error)),
    }
}

/// Who holds the lock, best effort: proc_locks(5) knows only those our pid namespace shows.
pub(super) fn holder(fd: impl AsFd) -> Holder {
    let find = || {
        let inode = rustix::fs::fstat(fd).ok()?.st_ino.to_string();
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let pid: i32 = locks.lines().find_map(|line| holder_pid(line, &inode))?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some((pid, name.trim_end().to_owned()))
    };
    Holder(find())
}

/// `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; a waiter has `->` as its second word.
fn holder_pid(line: &str, inode: &str) -> Option<i32> {
    let mut words = line.split_ascii_whitespace();
    if words.nth(1)? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    (words.next()?.rsplit(':').next()? == inode && pid > 0).then_some(pid)
}
