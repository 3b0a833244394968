//! Copies what the image has at a place into the scratch memory that will cover it.
//!
//! Only plain content: directories, files, links. By descriptors, never following a link,
//! within bounds; the image's bytes are moved, not read.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};

use crate::engine::cause::Cause;
use crate::plan::text::RootedPath;
use crate::sys::{Errno, errno, fd};

/// More than this is not what scratch directories hold: it belongs into a volume.
const MOST_ENTRIES: u32 = 10_000;
/// Deeper than this is refused: the walk uses the stack.
const DEEPEST: u32 = 32;
/// All files together, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// What may still be copied.
struct Budget {
    entries: u32,
    bytes: u64,
}

/// Copies the content of the directory `from`, inside `root`, into `to`, with its owners and
/// modes; `to` gets its owner. A missing directory, or something else in its place, is nothing to copy.
pub(in crate::engine) fn copy(
    root: BorrowedFd<'_>,
    from: &RootedPath,
    to: BorrowedFd<'_>,
) -> Result<(), Cause> {
    let source = match fd::open_in_root(root, from.as_c_str(), OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(source) => source,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut budget = Budget { entries: MOST_ENTRIES, bytes: MOST_BYTES };
    take_over(source.as_fd(), to)?;
    copy_directory(source.as_fd(), to, &mut budget, DEEPEST)
}

/// Gives `to` the owner of `from`. What mode it has was decided when it was made.
fn take_over(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Cause> {
    let stat = rustix::fs::fstat(from).map_err(errno)?;
    let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    // Through descriptors that were opened for their path only, hence by their empty name.
    Ok(rustix::fs::chownat(to, c"", Some(owner.0), Some(owner.1), AtFlags::EMPTY_PATH)
        .map_err(errno)?)
}

fn copy_directory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    budget: &mut Budget,
    depth: u32,
) -> Result<(), Cause> {
    let depth = depth.checked_sub(1).ok_or_else(|| too_much("nested too deeply"))?;
    let mut entries = Dir::read_from(from).map_err(errno)?;
    while let Some(entry) = entries.read() {
        let entry = entry.map_err(errno)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        budget.entries =
            budget.entries.checked_sub(1).ok_or_else(|| too_much("more than 10000 entries"))?;
        copy_entry(from, to, name, budget, depth)?;
    }
    Ok(())
}

fn too_much(what: &str) -> Cause {
    Cause::with_detail(Errno::E2BIG, format!("what the image has there is {what}"))
}

fn copy_entry(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    budget: &mut Budget,
    depth: u32,
) -> Result<(), Cause> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(errno)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o1777);
    let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700)).map_err(errno)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = rustix::fs::openat(from, name, flags, Mode::empty()).map_err(errno)?;
            let made = rustix::fs::openat(to, name, flags, Mode::empty()).map_err(errno)?;
            copy_directory(below.as_fd(), made.as_fd(), budget, depth)?;
            rustix::fs::fchown(&made, owner.0, owner.1).map_err(errno)?;
            rustix::fs::fchmod(&made, mode).map_err(errno)?;
        }
        FileType::RegularFile => copy_file(from, to, name, budget)?,
        FileType::Symlink => {
            let target: CString = rustix::fs::readlinkat(from, name, Vec::new()).map_err(errno)?;
            rustix::fs::symlinkat(&target, to, name).map_err(errno)?;
            rustix::fs::chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(errno)?;
        }
        // Sockets, pipes and devices of an image do nothing in scratch memory.
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => {}
    }
    Ok(())
}

fn copy_file(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    budget: &mut Budget,
) -> Result<(), Cause> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, read, Mode::empty()).map_err(errno)?;
    let stat = rustix::fs::fstat(&source).map_err(errno)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    budget.bytes = budget.bytes.checked_sub(size).ok_or_else(|| too_much("more than 64 MiB"))?;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let made = rustix::fs::openat(to, name, write, Mode::from_raw_mode(0o600)).map_err(errno)?;
    let mut left = size;
    while left > 0 {
        let chunk = usize::try_from(left).unwrap_or(usize::MAX);
        let moved = rustix::fs::sendfile(&made, &source, None, chunk).map_err(errno)?;
        if moved == 0 {
            break;
        }
        left = left.saturating_sub(u64::try_from(moved).unwrap_or(0));
    }
    let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(&made, Some(owner.0), Some(owner.1)).map_err(errno)?;
    // Without set-id bits: scratch memory carries none.
    Ok(rustix::fs::fchmod(&made, Mode::from_raw_mode(stat.st_mode & 0o777)).map_err(errno)?)
}
