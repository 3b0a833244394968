//! Where results go: a file that is there complete, or not at all.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::sys::{Errno, errno};

/// A file to be written: its directory, opened beforehand, and its name there.
#[derive(Debug)]
pub struct Output {
    dir: OwnedFd,
    name: String,
    /// What it is called until it is complete.
    temporary: String,
}

/// Why a file cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// It has no name that could be a file's.
    #[error("{} is no name of a file", path.display())]
    Name {
        /// As it was given.
        path: PathBuf,
    },
    /// Something else stands there: a device, a link, a directory.
    #[error("{name} is there, and no plain file")]
    Kind {
        /// Its name.
        name: String,
    },
    /// A system call failed.
    #[error("{what}: {errno:?}")]
    Io {
        /// What was attempted on what.
        what: String,
        /// The kernel's number.
        errno: Errno,
    },
}

impl Output {
    /// Prepares to write `path`: its directory must exist.
    ///
    /// # Errors
    /// [`OutputError`]. Nothing was created.
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        let ends_so = path.as_os_str().as_encoded_bytes().last() != Some(&b'/');
        let Some(name) = name.filter(|_| ends_so) else {
            return Err(OutputError::Name { path: path.to_owned() });
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, parent, flags, Mode::empty()).map_err(|error| {
            OutputError::Io { what: format!("open {}", parent.display()), errno: errno(error) }
        })?;
        let temporary = format!(".{name}.{}.new", std::process::id());
        Self::at(dir, name, temporary)
    }

    /// Prepares to write `name` in a directory; until it is complete it is called `temporary`,
    /// which nobody else must use.
    ///
    /// # Errors
    /// [`OutputError::Kind`].
    pub fn at(dir: OwnedFd, name: &str, temporary: String) -> Result<Self, OutputError> {
        let output = Self { dir, name: name.to_owned(), temporary };
        output.check().map(|()| output)
    }

    /// What would be replaced must be a plain file: never `/dev/stdout`, for one.
    fn check(&self) -> Result<(), OutputError> {
        match rustix::fs::statat(&self.dir, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(()),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Ok(_) => Err(OutputError::Kind { name: self.name.clone() }),
            Err(error) => Err(self.failed("look at", error)),
        }
    }

    fn failed(&self, verb: &str, error: rustix::io::Errno) -> OutputError {
        OutputError::Io { what: format!("{verb} {}", self.name), errno: errno(error) }
    }

    /// Writes the whole file, 0600, in the place of what was there.
    ///
    /// # Errors
    /// [`OutputError`]. What was there stays.
    pub fn write(&self, bytes: &[u8]) -> Result<(), OutputError> {
        self.check()?;
        let temporary = self.temporary.as_str();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&self.dir, temporary, flags, mode)
            .map_err(|error| self.failed("write", error))?;
        let written = write_all(&file, bytes).and_then(|()| {
            rustix::fs::renameat(&self.dir, temporary, &self.dir, self.name.as_str())
        });
        written.map_err(|error| {
            let _ = rustix::fs::unlinkat(&self.dir, temporary, AtFlags::empty());
            self.failed("write", error)
        })
    }

    /// The directory: a descriptor that must stay open.
    pub(super) fn dir(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn write_all(file: &OwnedFd, bytes: &[u8]) -> Result<(), rustix::io::Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(file, rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.json");
        std::fs::write(&path, "old, and longer than the new one").unwrap();

        Output::open(&path).unwrap().write(b"new").unwrap();

        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_plain_file_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        symlink(&target, &link).unwrap();

        assert_eq!(
            Output::open(&link).unwrap_err().to_string(),
            "link is there, and no plain file"
        );
        assert!(Output::open(Path::new("/dev/null")).is_err());
        assert!(Output::open(Path::new("/tmp/")).is_err());
        assert!(Output::open(Path::new("..")).is_err());
        assert_eq!(
            Output::open(&dir.path().join("none/x")).unwrap_err().to_string(),
            format!("open {}: ENOENT", dir.path().join("none").display())
        );
    }
}
