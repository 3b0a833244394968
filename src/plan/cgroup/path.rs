//! Where a control group is: `linux.cgroupsPath`, checked component by component.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Driver;
use super::scope::ScopePath;

/// The place of a container's group below the root of each hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupPath {
    /// `linux.cgroupsPath`. Absolute and relative paths mean the same: below the root of the
    /// hierarchy as this process sees it. (The specification lets a runtime choose where
    /// relative paths start; the caller's own group would make the place depend on the caller.)
    Given(RelativePath),
    /// A scope that systemd makes.
    Scope(ScopePath),
    /// No path was given: `casemate-ID.scope`, directly below the root. One level, so that no
    /// directory is shared with other containers and none is left behind. By its ending, tools
    /// that read units off groups (the journal does) tell its processes from the host's.
    ById,
}

/// A path without root, `.`, `..`, empty components or control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

/// What is wrong with a control group path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// The systemd driver was asked for, and the path is not of its form.
    #[error("`{path}` {why}")]
    Scope {
        /// The path as given.
        path: String,
        /// What is wrong with it, as a clause.
        why: &'static str,
    },
    /// The path would climb.
    #[error("`{path}` has a component `..`")]
    Climbs {
        /// The path as given.
        path: String,
    },
    /// Only slashes: the root group is not a container's.
    #[error("`{path}` names the root of the hierarchy")]
    Root {
        /// The path as given.
        path: String,
    },
    /// Not UTF-8, or a control character in it.
    #[error("{path:?} has a byte that a control group's name cannot have")]
    Byte {
        /// The path as given, lossily.
        path: String,
    },
    /// A component over 255 bytes, or a path over 4000.
    #[error("a name in it is longer than 255 bytes, or the whole longer than 4000")]
    TooLong,
}

/// `NAME_MAX`.
const COMPONENT_MAX_BYTES: usize = 255;
/// Below `PATH_MAX`, with room for a file's name.
const PATH_MAX_BYTES: usize = 4000;

impl CgroupPath {
    /// Reads `linux.cgroupsPath`; without one, the container's id decides.
    pub(super) fn parse(path: Option<&Path>, driver: Driver) -> Result<Self, PathFault> {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let text = match path.map(|path| (path, path.to_str())) {
            Some((path, None)) => return Err(PathFault::Byte { path: path.display().to_string() }),
            Some((_, Some(text))) => Some(text),
            None => None,
        };
        match (driver, text) {
            (Driver::Systemd, text) => ScopePath::parse(text).map(Self::Scope),
            (Driver::Cgroupfs, Some(text)) => RelativePath::parse(text).map(Self::Given),
            (Driver::Cgroupfs, None) => Ok(Self::ById),
        }
    }

    /// Whether it has the form that systemd's driver reads, and is a mere name here: as runc has it,
    /// and engines do that do not know which driver is in use.
    pub(super) fn reads_like_a_scope(&self) -> bool {
        match self {
            Self::Given(path) => !path.0.contains('/') && path.0.split(':').count() == 3,
            Self::Scope(_) | Self::ById => false,
        }
    }

    /// The path of one container's group.
    ///
    /// # Errors
    /// [`PathFault`] when the id cannot be a part of a name.
    pub fn resolve(&self, id: &str) -> Result<RelativePath, PathFault> {
        match self {
            Self::Given(path) => Ok(path.clone()),
            Self::Scope(scope) => scope.resolve(id),
            Self::ById if id.contains('/') => Err(PathFault::Byte { path: id.to_owned() }),
            Self::ById => RelativePath::parse(&format!("casemate-{id}.scope")),
        }
    }
}

impl RelativePath {
    /// Checks a path, with or without a slash in front.
    ///
    /// # Errors
    /// [`PathFault`]: what is wrong.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        let path = || text.to_owned();
        if text.chars().any(char::is_control) {
            return Err(PathFault::Byte { path: path() });
        }
        let mut clean = String::with_capacity(text.len());
        for component in text.split('/') {
            match component {
                "" | "." => continue,
                ".." => return Err(PathFault::Climbs { path: path() }),
                _ => {}
            }
            if component.len() > COMPONENT_MAX_BYTES {
                return Err(PathFault::TooLong);
            }
            if !clean.is_empty() {
                clean.push('/');
            }
            clean.push_str(component);
        }
        if clean.is_empty() {
            return Err(PathFault::Root { path: path() });
        }
        if clean.len() > PATH_MAX_BYTES {
            return Err(PathFault::TooLong);
        }
        Ok(Self(clean))
    }

    /// The path, without a slash in front.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory above and the last name; the directory is empty at the top.
    #[must_use]
    pub fn split_leaf(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }
}

impl TryFrom<String> for RelativePath {
    type Error = PathFault;

    fn try_from(text: String) -> Result<Self, PathFault> {
        Self::parse(&text)
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0
    }
}
