//! The name of a container, checked once, before any path is built from it.
//!
//! An id becomes a directory below the state root and part of a cgroup's name. A value of this
//! type can be joined to either without another look: it holds no separator, is never `.` or
//! `..`, never begins with the dot of the store's own files, and fits a file name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most bytes an id may have.
///
/// A file name has 255 (`NAME_MAX`); 15 are left for the prefix and the suffix that a cgroup's
/// name puts around the id (`casemate-` and `.scope`).
pub const MAX_LENGTH_BYTES: usize = 240;

/// A container id that keeps to the grammar `[A-Za-z0-9_+-][A-Za-z0-9_+.-]*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// Why a text is no container id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// No characters at all.
    #[error("the container id is empty; give it at least one letter or digit")]
    Empty,

    /// More than [`MAX_LENGTH_BYTES`].
    #[error(
        "the container id has {length_bytes} bytes; it names a directory, so use at most \
         {MAX_LENGTH_BYTES}"
    )]
    TooLong {
        /// How long it is.
        length_bytes: usize,
    },

    /// A leading dot: `.`, `..`, or a name that is the store's own.
    #[error(
        "the container id {id:?} begins with `.`; begin with a letter, a digit, `_`, `+` or `-`"
    )]
    LeadingDot {
        /// The text as given.
        id: String,
    },

    /// A character outside the grammar.
    #[error(
        "the container id {id:?} has {found:?} as character {position}; use only letters, digits, \
         `_`, `+`, `-` and `.`"
    )]
    Character {
        /// The text as given.
        id: String,
        /// The first character that does not belong.
        found: char,
        /// Where it stands, counted from 1.
        position: usize,
    },
}

impl ContainerId {
    /// Parses an id.
    ///
    /// # Errors
    /// [`IdError`], which names the first fault and what to do about it.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        // Before anything that would copy the text: an argument may have 128 KiB.
        if text.len() > MAX_LENGTH_BYTES {
            return Err(IdError::TooLong { length_bytes: text.len() });
        }
        if text.starts_with('.') {
            return Err(IdError::LeadingDot { id: text.to_owned() });
        }
        match (1..).zip(text.chars()).find(|&(_, found)| !belongs(found)) {
            None => Ok(Self(text.to_owned())),
            Some((position, found)) => {
                Err(IdError::Character { id: text.to_owned(), found, position })
            }
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn belongs(found: char) -> bool {
    found.is_ascii_alphanumeric() || matches!(found, '_' | '+' | '-' | '.')
}

impl FromStr for ContainerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ContainerId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> String {
        ContainerId::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_engines_use_is_an_id() {
        for text in ["web-1", "_", "+x", "-x", "0a.b_c+d-e", &"a".repeat(64), &"a".repeat(240)] {
            assert_eq!(ContainerId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn an_empty_id_is_refused() {
        assert_eq!(said(""), "the container id is empty; give it at least one letter or digit");
    }

    #[test]
    fn a_long_id_is_refused_without_repeating_it() {
        assert_eq!(
            said(&"L".repeat(1100)),
            "the container id has 1100 bytes; it names a directory, so use at most 240"
        );
    }

    #[test]
    fn a_leading_dot_is_refused() {
        for text in [".", "..", "../x", ".ranges"] {
            assert!(said(text).contains("begins with `.`"), "{text}");
        }
    }

    #[test]
    fn a_foreign_character_is_named_with_its_place() {
        assert_eq!(
            said("a/b"),
            "the container id \"a/b\" has '/' as character 2; use only letters, digits, `_`, `+`, \
             `-` and `.`"
        );
        assert!(said("a\u{1b}[2J").contains("'\\u{1b}' as character 2"));
        assert!(said("käse").contains("'ä' as character 2"));
        assert!(said("x\n").contains("'\\n'"));
    }

    #[test]
    fn json_is_checked_like_an_argument() {
        assert!(serde_json::from_str::<ContainerId>(r#""../x""#).is_err());
        assert_eq!(serde_json::from_str::<ContainerId>(r#""x""#).unwrap().as_str(), "x");
    }

    proptest! {
        #[test]
        fn an_accepted_id_is_one_plain_path_component(text in "\\PC{0,300}|[a-zA-Z0-9_+.-]{0,260}") {
            if let Ok(id) = ContainerId::parse(&text) {
                let path = std::path::Path::new("/r").join(id.as_str());
                prop_assert_eq!(path.components().count(), 3);
                prop_assert!(!id.as_str().starts_with('.') && id.as_str().len() <= 240);
            }
        }
    }
}
