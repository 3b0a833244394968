//! `doctor`: is this host ready?

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Context, RANGES};
use crate::doctor::{self, Finding, Places};
use crate::host::outer;
use crate::store::rfc3339;

/// Looks at the host. Changes nothing.
#[must_use]
pub fn doctor(context: &Context) -> Vec<Finding> {
    let now = rfc3339(SystemTime::now());
    let caller = outer::caller().ok().flatten();
    let audit = super::record::file();
    doctor::examine(&Places {
        root: &context.root,
        ranges: Path::new(RANGES),
        policy: context.policy.as_deref(),
        audit: &audit,
        caller: caller.as_ref(),
        today: now.split('T').next().unwrap_or_default(),
        etc: PathBuf::from("/"),
    })
}
