//! What commands print: whole texts, and nothing besides.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::Outcome;
use crate::ops::OpsError;
pub(super) use crate::plan::text::one_line;
use crate::sys::Errno;

const DOING: &str = "write to standard output";

/// Prints a text.
pub(super) fn print(text: &str) -> Outcome {
    print_bytes(text.as_bytes())
}

/// A sentence beside what is printed, for people.
pub(super) fn note(sentence: &str) {
    // Nobody is left to tell if it fails.
    let _ = writeln!(io::stderr().lock(), "note: {}", one_line(sentence));
}

/// Prints bytes. A reader who has seen enough and gone is no failure.
pub(super) fn print_bytes(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(OpsError::failed(DOING, number(&error))),
    }
}

/// Prints a document for people and programs.
pub(super) fn print_pretty(document: &impl Serialize) -> Outcome {
    print(&pretty(document)?)
}

/// Prints a document in one line.
pub(super) fn print_compact(document: &impl Serialize) -> Outcome {
    let line = serde_json::to_string(document).map_err(|error| OpsError::because(DOING, &error))?;
    print(&format!("{line}\n"))
}

/// Prints a document in one line of many. `false` when nobody reads them any more.
pub(super) fn print_line(document: &impl Serialize) -> Result<bool, OpsError> {
    let line = serde_json::to_string(document).map_err(|error| OpsError::because(DOING, &error))?;
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(OpsError::failed(DOING, number(&error))),
    }
}

/// A document on several lines.
pub(super) fn pretty(document: &impl Serialize) -> Result<String, OpsError> {
    let mut text =
        serde_json::to_string_pretty(document).map_err(|error| OpsError::because(DOING, &error))?;
    text.push('\n');
    Ok(text)
}

/// The name of the kernel's error: engines look for its words elsewhere, and read more into them.
pub(super) fn number(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{:?}", Errno::from_raw(number)),
        None => error.to_string(),
    }
}
