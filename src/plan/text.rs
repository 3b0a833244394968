//! Values that were checked once and cannot be made unchecked: texts for the kernel, and the
//! two kinds of paths that must never be confused.

use std::ffi::{CStr, CString};
use std::fmt;

use serde::{Deserialize, Serialize};

/// A text for the kernel: UTF-8, without NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Text(CString);

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// A text that holds a NUL, at this byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("holds a NUL at byte {at}")]
pub struct HoldsNul {
    /// Offset of the first NUL, in bytes.
    pub at: usize,
}

impl Text {
    /// Takes a text that holds no NUL.
    ///
    /// # Errors
    /// [`HoldsNul`] says where the first one is.
    pub fn new(text: impl Into<Vec<u8>>) -> Result<Self, HoldsNul> {
        CString::new(text).map(Self).map_err(|error| HoldsNul { at: error.nul_position() })
    }

    /// As the kernel takes it.
    #[must_use]
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// As people read it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// For texts of the program's own, which are UTF-8.
impl From<&'static CStr> for Text {
    fn from(text: &'static CStr) -> Self {
        Self(text.to_owned())
    }
}

impl TryFrom<String> for Text {
    type Error = HoldsNul;
    fn try_from(text: String) -> Result<Self, HoldsNul> {
        Self::new(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An absolute path on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostPath(Text);

impl HostPath {
    /// Takes an absolute path.
    ///
    /// # Errors
    /// A sentence fragment that says what is wrong with it.
    pub fn new(path: &str) -> Result<Self, &'static str> {
        if !path.starts_with('/') {
            return Err("not an absolute path");
        }
        Text::new(path).map(Self).map_err(|_| "holds a NUL")
    }

    /// As the kernel takes it.
    #[must_use]
    pub fn as_c_str(&self) -> &CStr {
        self.0.as_c_str()
    }

    /// As people read it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A path meant inside the container's root: absolute, and without `.`, `..` or `//`.
///
/// Symbolic links in it are resolved when it is used, by a descriptor of the root
/// (`openat2(2)`, `RESOLVE_IN_ROOT`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootedPath(Text);

impl RootedPath {
    /// Cleans `path` as a process inside would walk it: relative paths begin at the root, and
    /// `..` at the root stays there.
    ///
    /// # Errors
    /// [`HoldsNul`].
    pub fn new(path: &str) -> Result<Self, HoldsNul> {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                name => parts.push(name),
            }
        }
        Text::new(format!("/{}", parts.join("/"))).map(Self)
    }

    /// As the kernel takes it.
    #[must_use]
    pub fn as_c_str(&self) -> &CStr {
        self.0.as_c_str()
    }

    /// As people read it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether this path is `other`, or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &str) -> bool {
        let other = other.trim_end_matches('/');
        self.as_str()
            .strip_prefix(other)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The components, from the root on.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.as_str().split('/').filter(|part| !part.is_empty())
    }
}

impl fmt::Debug for RootedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for RootedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that cannot end its line, move the cursor or change colours: names and paths in it
/// come from whoever wrote the bundle.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || ('\u{2028}'..='\u{202e}').contains(&character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooted_path_cannot_climb_above_the_root() {
        let path = RootedPath::new("/../../a/./b/../c//d").unwrap();

        assert_eq!(path.as_str(), "/a/c/d");
    }

    #[test]
    fn a_path_is_within_itself_and_its_parents_but_not_within_a_name_it_begins_with() {
        let path = RootedPath::new("/proc/sys").unwrap();

        assert!(path.is_within("/proc/sys"));
        assert!(path.is_within("/proc"));
        assert!(path.is_within("/"));
        assert!(!RootedPath::new("/process").unwrap().is_within("/proc"));
    }

    #[test]
    fn a_nul_is_found_where_it_is() {
        assert_eq!(Text::new("ab\0c").unwrap_err(), HoldsNul { at: 2 });
    }

    #[test]
    fn what_could_fake_a_line_or_hide_one_is_written_out() {
        let text = "a\nerror: b\r\x1b[31m\u{9b}2J\u{202e}é \u{1f600}";

        assert_eq!(one_line(text), "a\\nerror: b\\r\\u{1b}[31m\\u{9b}2J\\u{202e}é \u{1f600}");
    }
}
