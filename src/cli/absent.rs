//! Subcommands of other runtimes that this version does not have, and words that are none.
//!
//! Engines probe for some of them by their exit status: it must not be 0 until they are there.

use std::ffi::{OsStr, OsString};

use super::Outcome;
use crate::ops::OpsError;

const ABSENT: [&str; 2] = ["checkpoint", "restore"];

/// Whether other runtimes have the subcommand that these words begin with.
pub(super) fn is_known(words: &[OsString]) -> bool {
    words.first().is_some_and(|name| ABSENT.iter().any(|known| name == known))
}

/// Says that there is no such subcommand, whatever follows it.
pub(super) fn perform(words: &[OsString]) -> Outcome {
    let words: Vec<_> = words.iter().map(OsString::as_os_str).map(OsStr::to_string_lossy).collect();
    let (name, rest) = words.split_first().map_or(("", words.as_slice()), |(n, rest)| (n, rest));
    let sentence = format!("this version of casemate has no `{name}`");
    // An option that lacks its value, as podman gives it, is told so by every runtime.
    if name == "restore" && rest.len() == 1 && rest.contains(&"--lsm-mount-context".into()) {
        let lacks = format!("flag needs an argument: --lsm-mount-context; {sentence}");
        return Err(OpsError::failed("restore", lacks));
    }
    Err(OpsError::failed("", sentence))
}
