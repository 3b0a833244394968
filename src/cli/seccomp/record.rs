//! `seccomp record`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Outcome, print_refusals};
use crate::cli::report;
use crate::ops::seccomp::{Subject, record};
use crate::ops::{Context, OpsError};

/// Learn a profile: run something, and write down which system calls it needs
///
/// With --bundle the container of that bundle is run, in its box; words after the options replace
/// its arguments. Without, the words are a command of the host's, which runs as it is but for its
/// filter: that needs neither a container nor root.
///
/// A core set of calls that every program makes goes through unseen, and is in every profile. The
/// others are noted with the arguments that matter, and let through, or refused as they would be
/// without the recording; what was refused is told on standard error. The exit status is that of
/// the program.
///
/// The profile is `/linux/seccomp` of a `config.json`, and a file for Podman's and Docker's
/// `--security-opt seccomp=`. It permits what was seen: run the program with all that it does.
#[derive(Debug, Args)]
pub(in crate::cli) struct RecordArgs {
    /// The file that gets the profile
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Run the container of this bundle
    #[arg(long, short, value_name = "DIR")]
    bundle: Option<PathBuf>,

    /// Run a command without the baseline of denials, as on the host
    #[arg(long, conflicts_with = "bundle")]
    no_baseline: bool,

    /// The command and its arguments; with --bundle, what the container runs instead of its own
    #[arg(value_name = "COMMAND", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub(super) fn perform(context: &Context, args: &RecordArgs) -> Outcome {
    let ran = record(context, subject(args)?, &args.output)?;
    report::warnings("seccomp record", &ran.warnings);
    if let Some(report) = ran.refusals {
        print_refusals(&report);
    }
    Ok(ExitCode::from(ran.status))
}

fn subject(args: &RecordArgs) -> Result<Subject, OpsError> {
    let Some(dir) = &args.bundle else {
        if args.words.is_empty() {
            return Err(OpsError::failed("seccomp record", "there is nothing to run").hint(
                "name a command, `casemate seccomp record -o FILE -- COMMAND`, or a bundle",
            ));
        }
        return Ok(Subject::Command { arguments: args.words.clone(), baseline: !args.no_baseline });
    };
    let text = |word: &OsString| {
        word.clone().into_string().map_err(|word| {
            OpsError::failed("seccomp record", format!("not UTF-8: {}", word.to_string_lossy()))
        })
    };
    let words = args.words.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let arguments = Some(words).filter(|words| !words.is_empty());
    Ok(Subject::Bundle { dir: dir.clone(), arguments })
}
