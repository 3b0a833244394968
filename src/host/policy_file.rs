//! Reads the policy file: the administrator's, or one named on the command line.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use super::outer;

/// The administrator's file.
const DEFAULT: &str = "/etc/casemate/policy.toml";

/// More than any policy has, in bytes.
const LIMIT: u64 = 1 << 20;

/// Why a policy file cannot be trusted or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// It cannot be opened or read.
    #[error("read the policy {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// Somebody other than root could have written it.
    #[error("the policy {} {what}; it must be root's, and writable by nobody else", path.display())]
    NotTrusted {
        /// Which file.
        path: PathBuf,
        /// What is wrong, as a clause.
        what: &'static str,
    },
}

/// The policy file's name and text; `None` if none is named and the administrator has none.
///
/// # Errors
/// A file that is there but cannot be trusted: better no container than one under a policy
/// that anyone may have written.
pub fn read(named: Option<&Path>) -> Result<Option<(String, String)>, PolicyFileError> {
    let path = named.unwrap_or(Path::new(DEFAULT));
    let failed = |source: io::Error| PolicyFileError::Read { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) if named.is_none() => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let stat = rustix::fs::fstat(file.as_fd()).map_err(|error| failed(error.into()))?;
    let not_trusted = |what| PolicyFileError::NotTrusted { path: path.to_owned(), what };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(not_trusted("is not a plain file"));
    }
    if stat.st_uid != 0 && !is_outer(stat.st_uid) {
        return Err(not_trusted("belongs to someone else"));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(not_trusted("is writable by others"));
    }
    if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > LIMIT {
        return Err(not_trusted("is larger than 1 MiB"));
    }
    let mut text = String::new();
    std::fs::File::from(file).take(LIMIT).read_to_string(&mut text).map_err(failed)?;
    Ok(Some((path.display().to_string(), text)))
}

/// Whether a user namespace shows an owner that it does not have: root of the host, or any other
/// user. What is at the usual place is root's there; what a caller names is its own choice.
fn is_outer(owner: u32) -> bool {
    owner == OVERFLOW && outer::is_user()
}

/// What owners are shown as that a user namespace does not have. Reference: user_namespaces(7).
const OVERFLOW: u32 = 65_534;
