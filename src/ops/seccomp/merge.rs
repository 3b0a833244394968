//! `seccomp merge`: several profiles to one that permits what any of them permits.

use std::path::{Path, PathBuf};

use super::{Setting, input, output};
use crate::ops::{OpsError, Result};
use crate::seccomp::{self, MergeError, Merged, Part};

/// A merged profile, and what was noticed.
#[derive(Debug, Clone)]
pub struct MergeReport {
    /// The profile.
    pub merged: Merged,
    /// Sentences for whoever merges.
    pub notes: Vec<String>,
}

/// Merges profiles under the same circumstances.
///
/// # Errors
/// One of them cannot be read; what they permit together cannot be written as a profile.
pub fn merge(profiles: &[PathBuf], setting: &Setting) -> Result<MergeReport> {
    let doing = "seccomp merge";
    let given = setting.circumstances(doing)?;
    if profiles.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(OpsError::failed(doing, "standard input can be one of the profiles only"));
    }
    let sources =
        profiles.iter().map(|path| input::read(doing, path, &given)).collect::<Result<Vec<_>>>()?;
    let mut parts = Vec::new();
    for source in &sources {
        let Some(profile) = &source.profile else {
            return Err(OpsError::failed(doing, format!("{} has no profile", source.name)).hint(
                "an engine that sends none permits everything that the baseline does not refuse",
            ));
        };
        parts.push(Part { profile, comments: &source.comments });
    }
    let merged = seccomp::merge(&parts, given.native).map_err(|error| match &error {
        MergeError::Part { part, source } => match sources.get(*part) {
            Some(whose) => whose.error(doing, source),
            None => OpsError::because(doing, &error),
        },
        MergeError::NoRule { name } => OpsError::because(doing, &error).hint(format!(
            "a rule cannot except arguments from another; take the rules for `{name}` out of the \
             profile that compares its arguments, or permit it in one of them"
        )),
        MergeError::Nothing | MergeError::Listeners => OpsError::because(doing, &error),
    })?;
    let mut notes = merged.notes.clone();
    for (part, warning) in &merged.warnings {
        if let Some(source) = sources.get(*part) {
            let said = source.addresses.relocate(&warning.to_string());
            notes.push(format!("{} {said}", source.name));
        }
    }
    Ok(MergeReport { merged, notes })
}

/// Writes a merged profile, replacing the file as a whole.
///
/// # Errors
/// The file cannot be written; what was there before it stays.
pub fn write_profile(path: &Path, text: &str) -> Result<()> {
    output::write_program(path, text.as_bytes())
}
