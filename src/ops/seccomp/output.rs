//! Files that are written: complete, or not there.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::ops::{OpsError, Result};

/// Writes a program as an array of `struct sock_filter`, in the byte order of this machine: what
/// `bwrap --seccomp FD` and others read.
///
/// # Errors
/// The file cannot be written; what was there before it stays.
pub fn write_program(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes).map_err(|error| {
        let failed = OpsError::failed(format!("write {}", path.display()), said(&error));
        if error.kind() == io::ErrorKind::InvalidInput {
            failed.hint("`-o -` writes to standard output")
        } else {
            failed
        }
    })
}

/// What the system says, without its number.
pub(super) fn said(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Replaces the file at a path as a whole.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
    let name = path.file_name().ok_or_else(|| refused("it names no file"))?;
    // A rename would put the file in the place of a device.
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(refused("something is there that is no regular file"));
    }
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
