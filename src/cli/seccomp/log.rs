//! `seccomp log`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::{Outcome, output};
use crate::ops::seccomp::{Refusal, follow_log, log};
use crate::ops::{Context, OpsError};

/// Tell what the filter of a container refused: which call, whose, by which rule, and what to do
///
/// That is noted where the policy has it: `report` in [seccomp] of the policy file is `notify`
/// or `kernel-log`; for one container, `run --seccomp-report`. It lasts as long as the container.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogArgs {
    /// The container
    #[arg(value_name = "ID")]
    id: String,

    /// Print one JSON document; with --follow, one object on each line
    #[arg(long)]
    json: bool,

    /// Go on until the container has ended
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn perform(context: &Context, args: &LogArgs) -> Outcome {
    if args.follow {
        follow_log(context, &args.id, &mut |refusal| show(refusal, args.json))?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = log(context, &args.id)?;
    if args.json {
        return output::print_pretty(&log.report);
    }
    let text = log.report.to_string();
    let notes = log.notes.iter().map(|note| format!("note: {note}"));
    let lines = text.lines().map(output::one_line).chain(notes);
    let mut lines: Vec<String> = lines.collect();
    lines.push(String::new());
    output::print(&lines.join("\n"))
}

fn show(refusal: &Refusal, json: bool) -> Result<(), OpsError> {
    let failed = |error: &dyn std::error::Error| OpsError::because("seccomp log", error);
    let text = if json {
        serde_json::to_string(refusal).map_err(|error| failed(&error))?
    } else {
        let text = refusal.to_string();
        text.lines().map(output::one_line).collect::<Vec<_>>().join("\n")
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| failed(&error))
}
