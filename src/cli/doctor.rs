//! `doctor`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Outcome, output};
use crate::doctor::{self, Health};
use crate::ops::{self, Context};

/// Check whether this host is ready, and say what to do where it is not
///
/// Looks at the kernel, at control groups, at host ids, at casemate's own files and policy, and at
/// the configuration of the engines that are installed. Nothing is changed, and no engine is
/// called. The exit status is 0 if containers can be started, and 1 if something has to be done
/// first.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print the findings as one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn perform(context: &Context, args: &DoctorArgs) -> Outcome {
    let findings = ops::doctor(context);
    let is_ready = findings.iter().all(|finding| finding.health < Health::Ill);
    let printed = if args.json {
        output::print_pretty(&json!({"ready": is_ready, "findings": findings}))
    } else {
        output::print(&doctor::text(&findings))
    };
    printed.map(|status| if is_ready { status } else { ExitCode::FAILURE })
}
