//! The file that gets init's process id: complete or not there, and never through a link.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes the bare decimal number, by renaming a complete file into place.
pub(super) fn write(path: &Path, pid: i32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
    let written =
        file.write_all(pid.to_string().as_bytes()).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
