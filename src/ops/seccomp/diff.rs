//! `seccomp diff`: what two profiles answer differently.

use std::path::Path;

use serde::Serialize;

use super::Setting;
use super::input::{self, Source};
use crate::ops::{OpsError, Result};
use crate::seccomp::{self, Change, Comparison, Request, SeccompError};

/// What two filters answer differently, and whose they are.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// The one.
    pub before: String,
    /// The other.
    pub after: String,
    /// Every difference.
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl DiffReport {
    /// Whether every call is answered alike.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.comparison.abis.is_empty() && self.comparison.calls.is_empty()
    }

    /// Whether anything is refused that was not before, or may be.
    #[must_use]
    pub fn refuses(&self) -> bool {
        let refuses = |change| !matches!(change, Change::Permitted | Change::Answer);
        self.comparison.abis.iter().any(|abi| refuses(abi.change))
            || self.comparison.calls.iter().any(|call| refuses(call.change))
    }
}

/// Compares two profiles under the same circumstances.
///
/// # Errors
/// One of them cannot be read or decided.
pub fn diff(before: &Path, after: &Path, setting: &Setting) -> Result<DiffReport> {
    let doing = "seccomp diff";
    if before == after && before.as_os_str() == "-" {
        return Err(OpsError::failed(doing, "standard input can be one of the two profiles only"));
    }
    let given = setting.circumstances(doing)?;
    let [before, after] = [input::read(doing, before, &given)?, input::read(doing, after, &given)?];
    let waive = setting.waived();
    let [one, other] = [&before, &after]
        .map(|source| setting.request(source.profile.as_ref(), given.native, &waive));
    compare(doing, (&before, &one), (&after, &other))
}

/// Compares two requests, with the addresses of their files.
pub(super) fn compare(
    doing: &str,
    (before, one): (&Source, &Request<'_>),
    (after, other): (&Source, &Request<'_>),
) -> Result<DiffReport> {
    let comparison = seccomp::compare(one, other).map_err(|error| {
        let whose = if fails_alike(one, &error) { before } else { after };
        whose.error(doing, &error)
    })?;
    let mut report =
        DiffReport { before: before.name.clone(), after: after.name.clone(), comparison };
    for call in &mut report.comparison.calls {
        for (cases, source) in [(&mut call.before, before), (&mut call.after, after)] {
            for case in cases {
                case.by = source.addresses.relocate(&case.by);
            }
        }
        let example = &mut call.example;
        example.before_by = before.addresses.relocate(&example.before_by);
        example.after_by = after.addresses.relocate(&example.after_by);
    }
    Ok(report)
}

fn fails_alike(request: &Request<'_>, error: &SeccompError) -> bool {
    seccomp::compile(request).as_ref().err() == Some(error)
}
