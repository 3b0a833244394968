//! RFC 6901 addresses: how a refusal names the property it speaks of.

use std::fmt;

/// Longest pointer that is shown whole, in characters; keys come from outside.
const SHOWN_CHARS: usize = 256;

/// The address of one value in a JSON document, such as `/mounts/3/options/0`.
///
/// The empty pointer is the whole document. Reference: RFC 6901.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(String);

impl Pointer {
    /// The whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// An address that is written in the source of this program, escapes included.
    ///
    /// A missing leading slash is added, so that the result is always a pointer.
    #[must_use]
    pub fn of(literal: &'static str) -> Self {
        match literal.as_bytes().first() {
            None | Some(b'/') => Self(literal.to_owned()),
            Some(_) => Self(format!("/{literal}")),
        }
    }

    /// The address of the member `name` of the object at this address.
    #[must_use]
    pub fn key(mut self, name: &str) -> Self {
        self.push_key(name);
        self
    }

    /// The address of the element `index` of the array at this address.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push('/');
        self.0.push_str(&index.to_string());
        self
    }

    /// The address as RFC 6901 writes it, whole and unaltered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the address `other`, or of something inside it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The address of the enclosing object or array, and the last token, unescaped.
    #[must_use]
    pub fn split_last(&self) -> Option<(&str, String)> {
        let (parent, token) = self.0.rsplit_once('/')?;
        Some((parent, token.replace("~1", "/").replace("~0", "~")))
    }

    fn push_key(&mut self, name: &str) {
        self.0.push('/');
        for c in name.chars() {
            match c {
                '~' => self.0.push_str("~0"),
                '/' => self.0.push_str("~1"),
                other => self.0.push(other),
            }
        }
    }
}

/// For people: control characters escaped, cut after 256 characters.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the document");
        }
        super::words::write_shown(f, &self.0, SHOWN_CHARS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_slash_and_tilde_is_escaped_and_comes_back() {
        let at = Pointer::of("/annotations").key("a/b~c");

        assert_eq!(at.as_str(), "/annotations/a~1b~0c");
        assert_eq!(at.split_last(), Some(("/annotations", "a/b~c".to_owned())));
    }

    #[test]
    fn a_pointer_is_within_its_parents_but_not_within_a_longer_name() {
        let at = Pointer::of("/linux/intelRdt").key("closID");

        assert!(at.is_within(&Pointer::of("/linux/intelRdt")));
        assert!(at.is_within(&Pointer::root()));
        assert!(!at.is_within(&Pointer::of("/linux/intel")));
    }

    #[test]
    fn a_shown_pointer_has_no_control_characters_and_an_end() {
        let at = Pointer::root().key(&format!("a\nb{}", "x".repeat(1000)));

        let shown = at.to_string();

        assert!(shown.starts_with("/a\\nbxxx"), "{shown}");
        assert!(shown.ends_with('…') && shown.chars().count() < 300, "{shown}");
    }
}
