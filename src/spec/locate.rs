//! Where in a document a parser stopped: from a number of bytes to an address.
//!
//! A parser that keeps the address of every value while it reads is the whole parser a second
//! time, for a question that is asked of documents which are refused.

use super::pointer::Pointer;

/// An object or array that is open at some place.
enum Open {
    /// With the name of the member that was begun last.
    Object(Option<String>),
    /// With the number of the element.
    Array(usize),
}

/// The address of the value at which a parser stopped that had read the first `read` bytes of
/// `text`, a valid document.
///
/// Behind the end of an object or array, that is the object or array itself.
pub(super) fn value_at(text: &str, read: usize) -> Pointer {
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text.get(..read).unwrap_or(text);
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        match (next, open.last_mut()) {
            ('{', _) => open.push(Open::Object(None)),
            ('[', _) => open.push(Open::Array(0)),
            ('}' | ']', _) => drop(open.pop()),
            (',', Some(Open::Array(index))) => *index = index.saturating_add(1),
            (',', Some(Open::Object(name))) => *name = None,
            ('"', frame) => {
                taken = string_bytes(rest);
                if let (Some(Open::Object(name @ None)), Some(string)) = (frame, rest.get(..taken))
                {
                    *name = serde_json::from_str(string).ok();
                }
            }
            _ => {}
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    open.into_iter().fold(Pointer::root(), |at, frame| match frame {
        Open::Object(Some(name)) => at.key(&name),
        Open::Object(None) => at,
        Open::Array(index) => at.index(index),
    })
}

/// The length of the string that `text` begins with, its quotes included.
fn string_bytes(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address at the mark `^`, which is no part of the document.
    fn at(marked: &str) -> String {
        let (before, after) = marked.split_once('^').unwrap();
        value_at(&format!("{before}{after}"), before.len()).as_str().to_owned()
    }

    #[test]
    fn a_member_and_an_element_are_named_before_and_behind_their_value() {
        for (marked, address) in [
            (r#"^{"a":1}"#, ""),
            (r#"{"a":^1}"#, "/a"),
            (r#"{"a":1^}"#, "/a"),
            (r#"{"a":1}^"#, ""),
            (r#"{"a":1,"b":{"c":[true,{"d":2^}]}}"#, "/b/c/1/d"),
            (r#"{"a":1,"b":{"c":[true,{"d":2}^]}}"#, "/b/c/1"),
            (r#"{"a":1,"b":{"c":[true,^{"d":2}]}}"#, "/b/c/1"),
            (r#"{"a":[[],[0,1^]]}"#, "/a/1/1"),
            (r#"["x",^"y"]"#, "/1"),
        ] {
            assert_eq!(at(marked), address, "{marked}");
        }
    }

    #[test]
    fn what_strings_hold_is_no_structure() {
        assert_eq!(at(r#"{"a{[,\"":"}],\\","b/~":^0}"#), "/b~1~0");
        assert_eq!(at(r#"{"ä\u00e4":["é,",^0]}"#), "/ää/1");
    }

    #[test]
    fn a_place_inside_or_behind_the_text_is_some_address() {
        assert_eq!(value_at("{\"a\":\"bc", 7).as_str(), "/a");
        assert_eq!(value_at("[1", 100).as_str(), "/0");
        assert_eq!(value_at("[\"ä\"]", 3).as_str(), "");
    }
}
