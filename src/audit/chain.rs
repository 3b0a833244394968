//! The chain of digests through an audit file. Pure.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::Event;

/// The `prev` of a file's first line.
pub(super) const NO_LINE: &str = "";

/// A line of the file: an event, and what ties it to the line before.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    #[serde(flatten)]
    pub(super) event: &'a Event,
    /// The line before this one was cut off by a crash, and closed by us.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) torn_tail: bool,
    /// The sha256 of the bytes of the line before, without its end.
    pub(super) prev: &'a str,
}

/// What a check needs of a line.
#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    torn_tail: bool,
    prev: String,
}

/// What breaks the chain. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Not JSON, or without a `prev`; and the next line does not say that a crash cut it.
    #[error("line {line} is not an audit record")]
    Broken {
        /// Which line.
        line: usize,
    },
    /// The line before was changed, or one between them is gone.
    #[error("line {line} does not follow the line before it: one was changed or is missing")]
    Unlinked {
        /// Which line.
        line: usize,
    },
}

/// The sha256 of a line, in hexadecimal.
pub(super) fn digest(line: &[u8]) -> String {
    Sha256::digest(line).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks a whole audit file, and gives the digest of its last line: kept elsewhere, it later
/// shows whether lines at the end were cut off.
///
/// A first line with a `prev` goes on from an older file. A last line without an end is one that
/// a crash cut, or that is being written: it is not judged.
///
/// # Errors
/// The first break.
pub fn check_chain(file: &[u8]) -> Result<String, ChainError> {
    let whole = file.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = file.get(..whole).unwrap_or_default().split_inclusive(|&byte| byte == b'\n');
    let mut before: Option<String> = None;
    let mut unread = None;
    for (line, bytes) in (1..).zip(lines) {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        match serde_json::from_slice::<Link>(bytes) {
            Ok(link) => {
                if before.as_ref().is_some_and(|before| *before != link.prev) {
                    return Err(ChainError::Unlinked { line });
                }
                if let Some(line) = unread.take_if(|_| !link.torn_tail) {
                    return Err(ChainError::Broken { line });
                }
                unread = None;
            }
            Err(_) if unread.is_some() => return Err(ChainError::Broken { line: line - 1 }),
            Err(_) => unread = Some(line),
        }
        before = Some(digest(bytes));
    }
    match unread {
        Some(line) => Err(ChainError::Broken { line }),
        None => Ok(before.unwrap_or_default()),
    }
}
