//! Opens a bundle and reads its `config.json`, and the process file of `exec`.
//!
//! Only regular files of bounded size are read, so that neither a device nor a file of terabytes
//! can hold a command up; a process file may be a pipe that ends in time. What the bytes mean is [`crate::spec`]'s to say.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, open, openat, readlink};

use crate::sys::{Errno, errno};

/// Largest `config.json` or process file, in bytes: 4 MiB, which is 300 times what engines write.
pub const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The name of a bundle's config. Reference: runtime-spec, bundle.md.
const CONFIG_NAME: &str = "config.json";

/// An open bundle, and its config as it was at that moment.
///
/// What happens to the file afterwards has no effect. Reference: runtime-spec, runtime.md, "Create".
#[derive(Debug)]
pub struct Bundle {
    dir: OwnedFd,
    path: PathBuf,
    config: Vec<u8>,
}

/// Why a bundle or a process file could not be read. Nothing was created or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The bundle is missing, or no directory, or not ours to read.
    #[error("cannot open the bundle `{}`", path.display())]
    Open {
        /// The bundle, as it was asked for.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The bundle was found, but where it is cannot be told.
    #[error("the bundle `{}` has no path to keep: {why}", path.display())]
    Nameless {
        /// The bundle, as it was asked for.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The file is missing, or not ours to read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The name leads elsewhere, and what it leads to was not meant by the bundle's author alone.
    #[error("`{}` is a symbolic link; a bundle has its config in itself", path.display())]
    Symlink {
        /// The file.
        path: PathBuf,
    },
    /// Reading it would mean waiting for somebody, or would mean nothing.
    #[error("`{}` is {found}, not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// The file has more than [`MAX_DOCUMENT_BYTES`].
    #[error("`{}` has more than 4194304 bytes (4 MiB)", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl Bundle {
    /// Opens the bundle at `dir` and reads its config.
    ///
    /// The directory may be reached through symbolic links, the config may not be one: root would
    /// read, and quote in errors, what the bundle's author perhaps may not.
    ///
    /// # Errors
    /// See [`BundleError`]. A path that is not UTF-8 is refused: the state document cannot hold it.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(dir, flags, Mode::empty());
        let fd = opened.map_err(|e| BundleError::Open { path: dir.into(), source: errno(e) })?;
        let path = path_of(&fd, dir)?;
        let config = read_at(fd.as_fd(), CONFIG_NAME, &path.join(CONFIG_NAME))?;
        Ok(Self { dir: fd, path, config })
    }

    /// Where the bundle is: absolute, without symbolic links, UTF-8.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory, opened with `O_PATH`: what relative paths of the config start from.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The bytes of the config.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }
}

/// Reads the file that `exec --process` names. The caller chose the name: links are followed, and
/// it may be a pipe, such as a shell's `<(command)`.
///
/// # Errors
/// Those of [`BundleError`] that are about a file; a pipe must end within 10 seconds.
pub fn read_process(path: &Path) -> Result<Vec<u8>, BundleError> {
    let opened = open_document(CWD, path, OFlags::empty());
    let is_pipe = opened
        .as_ref()
        .ok()
        .and_then(|fd| fstat(fd).ok())
        .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    match opened {
        Ok(pipe) if is_pipe => read_pipe(&pipe)
            .map_err(|source| BundleError::Read { path: path.into(), source })?
            .ok_or_else(|| BundleError::TooLarge { path: path.into() }),
        opened => read(opened, path),
    }
}

/// How long a pipe may take to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a pipe to its end; `None` if that is more than [`MAX_DOCUMENT_BYTES`].
fn read_pipe(pipe: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    let most = usize::try_from(MAX_DOCUMENT_BYTES).unwrap_or(usize::MAX);
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::TimedOut)?;
        let mut events = [PollFd::new(pipe, PollFlags::IN)];
        match rustix::event::poll(&mut events, Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match rustix::io::read(pipe, &mut part) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(count) => bytes.extend_from_slice(part.get(..count).unwrap_or_default()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if bytes.len() > most {
            return Ok(None);
        }
    }
}

fn read_at(dir: BorrowedFd<'_>, name: &str, path: &Path) -> Result<Vec<u8>, BundleError> {
    match open_document(dir, Path::new(name), OFlags::NOFOLLOW) {
        Err(rustix::io::Errno::LOOP) => Err(BundleError::Symlink { path: path.into() }),
        opened => read(opened, path),
    }
}

/// Opens without waiting: for the writer of a FIFO, or for a device.
fn open_document(dir: BorrowedFd<'_>, name: &Path, more: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(dir, name, flags | more, Mode::empty())
}

fn read(opened: rustix::io::Result<OwnedFd>, path: &Path) -> Result<Vec<u8>, BundleError> {
    let failed = |source: io::Error| BundleError::Read { path: path.into(), source };
    let fd = match opened {
        Ok(fd) => fd,
        // What open(2) says of a socket.
        Err(rustix::io::Errno::NXIO) => {
            return Err(BundleError::NotAFile { path: path.into(), found: "a socket" });
        }
        Err(e) => return Err(failed(e.into())),
    };
    let stat = fstat(&fd).map_err(|e| failed(e.into()))?;
    if let Some(found) = other_kind(&stat) {
        return Err(BundleError::NotAFile { path: path.into(), found });
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > MAX_DOCUMENT_BYTES {
        return Err(BundleError::TooLarge { path: path.into() });
    }
    // One byte more than the bound: the file may have grown since.
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    let mut bounded = File::from(fd).take(MAX_DOCUMENT_BYTES + 1);
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    if bounded.limit() == 0 {
        return Err(BundleError::TooLarge { path: path.into() });
    }
    Ok(bytes)
}

/// What a file is, if it is not a regular one.
fn other_kind(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a FIFO"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Socket => Some("a socket"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Unknown => Some("of an unknown kind"),
    }
}

/// The path of an open directory, from the kernel: no other directory can take its place between.
fn path_of(fd: &OwnedFd, asked: &Path) -> Result<PathBuf, BundleError> {
    let failed = |e| BundleError::Open { path: asked.into(), source: errno(e) };
    let nameless = |why| BundleError::Nameless { path: asked.into(), why };
    let link = readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new()).map_err(failed)?;
    if fstat(fd).map_err(failed)?.st_nlink == 0 {
        return Err(nameless("it was removed"));
    }
    let path = PathBuf::from(link.into_string().map_err(|_| nameless("it is not UTF-8"))?);
    if path.is_absolute() { Ok(path) } else { Err(nameless("it is outside the root directory")) }
}

#[cfg(test)]
mod tests;
