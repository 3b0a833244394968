//! Talks to CRIU, the program that writes processes to files and makes processes from files.
//!
//! CRIU runs as a child for one request (`criu swrk`), and says at each point of its work how far
//! it is: that is how a restored container can be looked at before anything of it runs. It gets
//! no environment but a search path, and is looked for where an administrator installs programs,
//! or where the policy says; neither a bundle nor a caller's environment has a say in it.
//!
//! This module decides nothing about containers: what is dumped, what must be there after a
//! restore and whether that is enough is for `engine` and `verify`.

mod error;
mod message;
mod session;
mod wire;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use error::CriuError;
pub use message::{Flags, Kind, Options, Outcome, PageServer};
pub use session::{Notice, OnNotice, Seat, error_in};

/// Where it is looked for, in this order, if nobody says.
const PLACES: [&str; 4] =
    ["/usr/local/sbin/criu", "/usr/local/bin/criu", "/usr/sbin/criu", "/usr/bin/criu"];

/// The oldest version that is used: 3.14, which knows cgroup v2 and time namespaces.
const OLDEST: i64 = 31_400;

/// CRIU, as it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criu {
    program: PathBuf,
}

impl Criu {
    /// Finds it: at `given`, or else in the usual places.
    ///
    /// # Errors
    /// [`CriuError::Missing`]; [`CriuError::Unsafe`] if somebody other than root could have
    /// written it, for it is run as root.
    pub fn find(given: Option<&Path>) -> Result<Self, CriuError> {
        let places: Vec<&Path> = match given {
            Some(path) => vec![path],
            None => PLACES.iter().map(Path::new).collect(),
        };
        for program in places {
            let Ok(metadata) = fs::metadata(program) else { continue };
            if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
                continue;
            }
            if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
                return Err(CriuError::Unsafe { program: program.to_owned() });
            }
            return Ok(Self { program: program.to_owned() });
        }
        Err(CriuError::Missing { given: given.map(Path::to_owned) })
    }

    /// Finds one that this host can use: it is new enough, and finds in the kernel what it needs.
    ///
    /// # Errors
    /// Those of [`Criu::find`]; [`CriuError::TooOld`], [`CriuError::Unusable`].
    pub fn find_usable(given: Option<&Path>) -> Result<Self, CriuError> {
        let criu = Self::find(given)?;
        let unusable = |error: CriuError| CriuError::Unusable {
            program: criu.program.clone(),
            source: Box::new(error),
        };
        let outcome = criu.ask(Kind::Version, None, &mut Seat::default()).map_err(unusable)?;
        let found = outcome.version.unwrap_or_default();
        if found < OLDEST {
            return Err(CriuError::TooOld { program: criu.program, found });
        }
        criu.check().map_err(unusable)?;
        Ok(criu)
    }

    /// The program's file.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_may_write_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("criu");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        for (mode, expected) in [(0o755, true), (0o775, false), (0o757, false)] {
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();

            assert_eq!(Criu::find(Some(&program)).is_ok(), expected, "{mode:o}");
        }
    }

    #[test]
    fn what_is_not_there_is_missing() {
        let error = Criu::find(Some(Path::new("/nowhere/criu"))).unwrap_err();

        assert_eq!(error.to_string(), "there is no CRIU at /nowhere/criu");
        assert!(error.hint().contains("criu"));
    }
}
