//! Profiles, from files or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use oci_spec::runtime::LinuxSeccomp;
use serde_json::Value;

use crate::ops::{OpsError, Result};

/// A profile of an ordinary engine has some 15 kB.
const MAX_BYTES: u64 = 4 << 20;

/// Reads a profile: by itself, or out of a whole `config.json`.
pub(super) fn read(doing: &str, path: &Path) -> Result<LinuxSeccomp> {
    let failed = |why: String| OpsError::failed(doing, format!("{}: {why}", path.display()));
    let text = text(path).map_err(|error| failed(error.to_string()))?;
    let mut value: Value =
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let inner = value.pointer_mut("/linux/seccomp").map(Value::take).unwrap_or(value);
    serde_path_to_error::deserialize(inner).map_err(|error| failed(error.to_string()))
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        io::stdin().take(MAX_BYTES).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}
