//! `explain`: what `create` would do, and why, without doing it.

use std::path::Path;

use super::prepare::{self, Otherwise};
use super::{Context, Result};
use crate::plan::LaunchPlan;

/// A plan, and its digest.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What would be done.
    pub plan: LaunchPlan,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// Explains a bundle.
///
/// # Errors
/// What `create` would say.
pub fn explain(context: &Context, bundle: &Path) -> Result<Explanation> {
    let doing = format!("explain {}", bundle.display());
    let prepared = prepare::prepare(context, &doing, bundle, None, &Otherwise::default())?;
    Ok(Explanation { plan: prepared.plan, digest: prepared.digest })
}
