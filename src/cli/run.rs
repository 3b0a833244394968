//! `run`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::create::LaunchArgs;
use super::{Outcome, report, seccomp};
use crate::ops::{self, Context, OpsError, ReportRequest, RunRequest};

/// Create a container, start it, wait for its end and delete it
///
/// The exit status is that of the container's program: its own, or 128 and the number of the
/// signal that ended it.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    common: LaunchArgs,

    /// Return as soon as the program has started
    #[arg(long, short)]
    detach: bool,

    /// Do not delete the container when its program has ended
    #[arg(long)]
    keep: bool,

    /// Report what the container's filter refused, with who decided: on standard error when it has
    /// ended, or as JSON to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    seccomp_report: Option<Option<PathBuf>>,

    /// Taken because engines may give it; decides nothing
    #[arg(long, hide = true)]
    no_subreaper: bool,
}

pub(super) fn perform(context: &Context, args: &RunArgs) -> Outcome {
    let mut create = args.common.request();
    create.otherwise.watch.report = match &args.seccomp_report {
        None => ReportRequest::ByPolicy,
        Some(None) if args.detach => {
            return Err(OpsError::failed(
                format!("run `{}`", create.id),
                "with `--detach`, nobody is left to print the report",
            )
            .hint("give a file, `--seccomp-report=FILE`, or use `casemate seccomp log ID`"));
        }
        Some(None) => ReportRequest::ToStandardError,
        Some(Some(file)) => ReportRequest::ToFile(file.clone()),
    };
    let request = RunRequest { create, detach: args.detach, keep: args.keep };
    let ran = ops::run(context, &request)?;
    report::warnings(&format!("run `{}`", request.create.id), &ran.warnings);
    if let Some(refusals) = ran.refusals {
        seccomp::print_refusals(&refusals);
    }
    Ok(ExitCode::from(ran.status))
}
