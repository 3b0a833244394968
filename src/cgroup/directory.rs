//! One directory of a hierarchy, by descriptor: the only door to its files.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io;

use crate::sys::{Errno, Result, errno};

/// An open directory of a control group hierarchy.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
}

/// Nothing but the hierarchy itself: no links, no way up, no other mounts.
const CONFINED: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Directory {
    /// Takes a descriptor of a directory.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens a directory of the host's file system, links included: a hierarchy's root.
    pub(super) fn open_root(path: &std::path::Path) -> Result<Self> {
        rustix::fs::open(path, DIRECTORY, Mode::empty()).map(Self::new).map_err(errno)
    }

    /// The descriptor, readable, close-on-exec.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a directory below; the empty path is this one.
    pub(super) fn open(&self, path: &str) -> Result<Self> {
        let path = if path.is_empty() { "." } else { path };
        self.open_confined(path, DIRECTORY).map(Self::new)
    }

    /// The directory above. Only for one that was opened from there: nothing else keeps it from
    /// leaving the hierarchy.
    pub(super) fn above(&self) -> Result<Self> {
        rustix::fs::openat(&self.fd, "..", DIRECTORY, Mode::empty()).map(Self::new).map_err(errno)
    }

    fn open_confined(&self, path: &str, flags: OFlags) -> Result<OwnedFd> {
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), CONFINED) {
                // A rename somewhere raced with the kernel's check of `..`.
                Err(io::Errno::AGAIN | io::Errno::INTR) => {}
                other => return other.map_err(errno),
            }
        }
    }

    /// Makes a directory directly below; `false` if it was there.
    pub(super) fn make(&self, name: &str) -> Result<bool> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(io::Errno::EXIST) => Ok(false),
            Err(error) => Err(errno(error)),
        }
    }

    /// Removes a directory directly below; one that is not there is removed.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(io::Errno::NOENT | io::Errno::NODEV) => Ok(()),
            Err(error) => Err(errno(error)),
        }
    }

    /// Opens a file of this directory.
    pub(super) fn open_file(&self, file: &str, flags: OFlags) -> Result<OwnedFd> {
        self.open_confined(file, flags | OFlags::CLOEXEC)
    }

    /// Writes a value in one call, as the kernel wants it.
    pub(super) fn write(&self, file: &str, value: &str) -> Result<()> {
        let fd = self.open_file(file, OFlags::WRONLY)?;
        match io::retry_on_intr(|| io::write(&fd, value.as_bytes())).map_err(errno)? {
            written if written == value.len() => Ok(()),
            _ => Err(Errno::EIO),
        }
    }

    /// Reads a whole file.
    pub(super) fn read(&self, file: &str) -> Result<String> {
        read_to_end(&self.open_file(file, OFlags::RDONLY)?)
    }

    /// The names of the directories directly below.
    pub(super) fn children(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(errno)? {
            let entry = entry.map_err(errno)?;
            if entry.file_type() != FileType::Directory {
                continue;
            }
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(name.to_owned()),
                Err(_) => return Err(Errno::EILSEQ),
            }
        }
        Ok(names)
    }
}

/// Reads what is left of a file.
pub(super) fn read_to_end(fd: &OwnedFd) -> Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match io::retry_on_intr(|| io::read(fd, &mut buffer)).map_err(errno)? {
            0 => return String::from_utf8(bytes).map_err(|_| Errno::EILSEQ),
            count => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
}
