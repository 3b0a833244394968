//! `seccomp compile`: a profile to a program.

use std::fmt;
use std::path::Path;

use super::input;
use crate::ops::{OpsError, Result};
use crate::seccomp::{self, Abi};

/// What became of a profile.
#[derive(Debug, Clone, serde::Serialize)]
pub struct CompileReport {
    /// How many instructions the program has.
    pub instructions: usize,
    /// What its author would want to know.
    pub warnings: Vec<String>,
}

/// Compiles the profile at a path.
///
/// # Errors
/// It cannot be read or compiled.
pub fn compile(path: &Path) -> Result<CompileReport> {
    let doing = "seccomp compile";
    let profile = input::read(doing, path)?;
    let native = Abi::native()
        .ok_or_else(|| OpsError::failed(doing, "there is no table for this processor"))?;
    let compiled = seccomp::compile(&seccomp::Request::new(Some(&profile), native))
        .map_err(|error| OpsError::failed(doing, error.to_string()))?;
    let Some(compiled) = compiled else { return Err(OpsError::failed(doing, "nothing to do")) };
    Ok(CompileReport {
        instructions: compiled.program.instructions.len(),
        warnings: compiled.warnings.iter().map(ToString::to_string).collect(),
    })
}

impl fmt::Display for CompileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} instructions", self.instructions)?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}
