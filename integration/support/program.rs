//! Programs that a test makes, to be executed soon after.
//!
//! Another process writes them. A descriptor of ours would for a moment be in whatever other threads
//! start just then, and what somebody may write to, nobody can execute (`ETXTBSY`).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Copies a program.
#[track_caller]
pub(crate) fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let copied = Command::new("cp").arg("--").arg(from.as_ref()).arg(to.as_ref()).status();
    assert!(copied.unwrap().success(), "{}", to.as_ref().display());
}

/// Makes a program with these contents, which everybody may execute.
#[track_caller]
pub(crate) fn make_program(at: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(at.as_ref())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(contents.as_ref()).unwrap();
    assert!(writer.wait().unwrap().success(), "{}", at.as_ref().display());
}
