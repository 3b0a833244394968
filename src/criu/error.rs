//! Why CRIU did not do what it was asked.

use std::path::PathBuf;

use crate::sys::Errno;

/// Why CRIU did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CriuError {
    /// It is not installed.
    #[error("{}", missing(given.as_ref()))]
    Missing {
        /// Where the policy says it is.
        given: Option<PathBuf>,
    },

    /// Its file could be anybody's work.
    #[error("{} is not root's alone to write, and it would run as root", program.display())]
    Unsafe {
        /// The file.
        program: PathBuf,
    },

    /// It does not know what is needed.
    #[error("{} is version {}, and 3.14 is needed", program.display(), version(*found))]
    TooOld {
        /// The file.
        program: PathBuf,
        /// Its version: 31 400 is 3.14.
        found: i64,
    },

    /// It cannot work on this host.
    #[error("{} cannot work on this kernel", program.display())]
    Unusable {
        /// The file.
        program: PathBuf,
        /// What it said.
        source: Box<CriuError>,
    },

    /// It could not be started.
    #[error("start {}", program.display())]
    Start {
        /// The file.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },

    /// The conversation with it broke.
    #[error("talk to CRIU: {errno:?}")]
    Conversation {
        /// What the kernel said.
        errno: Errno,
    },

    /// It said nothing that could be understood.
    #[error("CRIU gave an answer that is none")]
    Answer,

    /// It ended before it was done.
    #[error("CRIU ended before it was done")]
    Ended,

    /// It could not do it.
    #[error("CRIU could not: {said}")]
    Failed {
        /// Its own words, or a number of the kernel's.
        said: String,
    },

    /// What was to be done at a point of its work could not be done.
    #[error("{said}")]
    Stopped {
        /// Why not.
        said: String,
    },
}

impl CriuError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "install the package `criu`, or name its file in the policy: `[checkpoint]`, `criu`"
            }
            Self::Unsafe { .. } => "give the file to root, with mode 0755",
            Self::TooOld { .. } | Self::Unusable { .. } => {
                "install a newer CRIU: one as new as the kernel is; `criu check --all` says more"
            }
            Self::Start { .. }
            | Self::Conversation { .. }
            | Self::Answer
            | Self::Ended
            | Self::Failed { .. }
            | Self::Stopped { .. } => "CRIU's own log says more",
        }
    }
}

fn missing(given: Option<&PathBuf>) -> String {
    match given {
        Some(path) => format!("there is no CRIU at {}", path.display()),
        None => "CRIU is not installed".to_owned(),
    }
}

fn version(number: i64) -> String {
    format!("{}.{}", number / 10_000, number / 100 % 100)
}
