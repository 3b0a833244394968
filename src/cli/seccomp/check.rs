//! `seccomp check`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::table::count;
use super::{Outcome, difference, output};
use crate::cli::DIFFERENT;
use crate::ops::Context;
use crate::ops::seccomp::{CheckReport, Setting, Trial, check};
use crate::seccomp::Weight;

/// Say whether a profile can be used here, and what a bundle would lose by it
///
/// A dry run: the profile is compiled under the policy in force, a child process loads it to see
/// whether this kernel takes it, and it is looked through for what its author cannot have meant.
/// With --bundle, what would be refused that the bundle's filter permits today. Nothing is created.
///
/// Exit status: 0 it can be used, 4 something stands against it or would be newly refused, 1 it
/// is no profile.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The profile: a file, `-`, or builtin:allow-list
    #[arg(value_name = "PROFILE")]
    profile: PathBuf,

    /// A bundle whose filter would be replaced
    ///
    /// Its bounding set also decides which rules of an engine's file stand.
    #[arg(long, short, value_name = "DIR")]
    bundle: Option<PathBuf>,

    /// A capability that the container may have, or `all`, for rules of an engine's file
    #[arg(long = "cap", value_name = "CAP")]
    capabilities: Vec<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn perform(context: &Context, args: &CheckArgs) -> Outcome {
    let setting = Setting { capabilities: args.capabilities.clone(), ..Setting::default() };
    let report = check(context, &args.profile, args.bundle.as_deref(), &setting)?;
    if args.json {
        output::print_pretty(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    Ok(if report.obstacles() == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn text(report: &CheckReport) -> String {
    let line = output::one_line;
    let mut out = format!(
        "{}, {}, Linux {}\n",
        line(&report.profile),
        line(&report.policy),
        line(&report.kernel)
    );
    // Writing to a string does not fail, here and below.
    let _ = writeln!(
        out,
        "{}; {}",
        count(report.instructions, "instruction", "instructions"),
        trial(&report.loads)
    );
    let mut said = String::new();
    for remark in &report.remarks {
        let weight = match remark.weight {
            Weight::Stops => "error",
            Weight::Warns => "warning",
            Weight::Notes => "note",
        };
        let _ = writeln!(said, "{weight}: {}: {}", line(&remark.at), line(&remark.what));
        if let Some(hint) = &remark.hint {
            let _ = writeln!(said, "  hint: {}", line(hint));
        }
    }
    for warning in &report.warnings {
        let _ = writeln!(said, "warning: {}", line(warning));
    }
    if !report.denials.is_empty() {
        let rules: Vec<_> = report.denials.iter().map(|denial| denial.rule).collect();
        let _ = writeln!(
            said,
            "note: the baseline refuses what the profile would let through: {}",
            rules.join(", ")
        );
    }
    if !said.is_empty() {
        let _ = write!(out, "\n{said}");
    }
    if let Some(against) = &report.against {
        let _ = writeln!(out, "\nbeside the filter of {} as it is now:", line(&against.before));
        let _ = if against.is_empty() {
            writeln!(out, "every call is answered as before")
        } else {
            write!(out, "{}", difference::text(against))
        };
    }
    let _ = writeln!(out, "\n{}", verdict(report));
    out
}

fn trial(trial: &Trial) -> String {
    match trial {
        Trial::NoFilter => "there is no filter to load".to_owned(),
        Trial::Taken => "this kernel takes the program".to_owned(),
        Trial::Lacks(what) => format!("this kernel does not have {}", what.join(", ")),
        Trial::Refused(errno) => format!("this kernel refuses the program: {errno}"),
        Trial::Untried(why) => {
            format!("not loaded for a trial, because this process may not: {why}")
        }
    }
}

fn verdict(report: &CheckReport) -> String {
    let refuses = report.against.as_ref().is_some_and(|against| against.refuses());
    match (report.obstacles(), refuses) {
        (0, _) => "it can be used".to_owned(),
        (1, true) => "it can be used, if what is newly refused is not needed".to_owned(),
        (_, _) => "it cannot be used as it is".to_owned(),
    }
}
