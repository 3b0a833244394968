//! `casemate seccomp`: what is said of profiles and filters, as the person reads it.

mod allow_list;
mod bad_input;
mod compare;
mod compile;
mod explain;
mod waive;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Runtime;

/// A directory with files for one test.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and gives its path as a word of a command line.
    fn with(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// A profile that allows what its rules say.
fn allowing(rules: &str) -> String {
    format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#)
}

fn golden(name: &str) -> String {
    format!("{}/integration/golden/seccomp/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

fn seccomp(words: &[&str]) -> crate::support::Ran {
    Runtime::new().call(["seccomp"].iter().chain(words))
}

#[track_caller]
fn said(words: &[&str]) -> String {
    seccomp(words).ok()
}

#[track_caller]
fn document(words: &[&str]) -> Value {
    serde_json::from_str(&said(words)).unwrap()
}

/// The last line of standard error, of a call that fails.
#[track_caller]
fn refused(words: &[&str]) -> String {
    let text = seccomp(words).failed(1);
    text.lines().last().unwrap_or_default().to_owned()
}

fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}
