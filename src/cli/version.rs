//! `--version`.

use super::{Outcome, output};
use crate::spec::features::OCI_VERSION_MAX;

/// The commit it was built from, as the build says.
const COMMIT: &str = match option_env!("CASEMATE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Prints the three lines that engines read.
pub(super) fn perform() -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    output::print(&format!(
        "casemate version {version}\ncommit: {COMMIT}\nspec: {OCI_VERSION_MAX}\n"
    ))
}
