//! `seccomp explain`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::setting::SettingArgs;
use super::{Outcome, output};
use crate::ops::seccomp::{Answer, Explained, Whose, explain};
use crate::ops::{Context, OpsError};
use crate::seccomp::{Abi, is_call};

/// Say what a filter does with a system call, who decided, and what to do about it
///
/// The verdict for each ABI, with the rule that gives it: one of the profile that the engine sent,
/// or one of the baseline. For a container the answer is that of the filter it was started with.
/// In a directory that is a bundle, `casemate seccomp explain mount` is enough.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A container's ID, then system calls: names, or numbers as the kernel's log has them
    ///
    /// The first word is an ID unless it is the name or a number of a system call, or one of
    /// --id, --bundle and --profile is given.
    #[arg(value_name = "[ID] SYSCALL", required = true, num_args = 1..)]
    words: Vec<String>,

    /// The container, whatever its ID looks like
    #[arg(long, value_name = "ID", conflicts_with_all = ["bundle", "profile"])]
    id: Option<String>,

    /// A bundle: what its container would get under the policy in force
    #[arg(long, short, value_name = "DIR", conflicts_with = "profile")]
    bundle: Option<PathBuf>,

    /// A profile: a file, `-`, builtin:baseline or builtin:allow-list
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,

    /// Which ABI numbers are of, if not the kernel's own
    #[arg(long, value_name = "ABI")]
    abi: Option<Abi>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    setting: SettingArgs,
}

pub(super) fn perform(context: &Context, args: &ExplainArgs) -> Outcome {
    let setting = args.setting.setting();
    let (whose, calls) = match (&args.id, &args.bundle, &args.profile, args.words.as_slice()) {
        (Some(id), _, _, calls) => (Whose::Container(id), calls),
        (None, Some(bundle), _, calls) => (Whose::Bundle(bundle), calls),
        (None, None, Some(profile), calls) => (Whose::Profile(profile, &setting), calls),
        (None, None, None, [id, calls @ ..]) if !is_call(id) => (Whose::Container(id), calls),
        (None, None, None, calls) => (Whose::Bundle(here()?), calls),
    };
    if !matches!(whose, Whose::Profile(..)) && args.setting.is_given() {
        return Err(OpsError::failed(
            "seccomp explain",
            "--arch, --kernel, --cap, --no-baseline, --waive and --keep-set-id are for --profile",
        )
        .hint("a container and a bundle have a policy, which says these things"));
    }
    if calls.is_empty() {
        return Err(OpsError::failed("seccomp explain", "no system call is named").hint(format!(
            "name one: casemate seccomp explain {} mount",
            args.words.first().map_or("ID", String::as_str)
        )));
    }
    let explained = explain(context, whose, calls, args.abi)?;
    if args.json { output::print_pretty(&explained) } else { output::print(&text(&explained)) }
}

/// The current directory, if it is a bundle.
fn here() -> Result<&'static Path, OpsError> {
    let here = Path::new(".");
    if here.join("config.json").exists() {
        return Ok(here);
    }
    Err(OpsError::failed(
        "seccomp explain",
        "whose filter? no container is named, and the current \
        directory is no bundle",
    )
    .hint("put a container's ID before the call, or give --bundle DIR or --profile FILE"))
}

fn text(explained: &Explained) -> String {
    // Writing to a string does not fail, here and below.
    let mut out = format!("{}\n", output::one_line(&explained.of));
    for note in &explained.notes {
        let _ = writeln!(out, "note: {}", output::one_line(note));
    }
    for answer in &explained.calls {
        out.push('\n');
        let said = match answer {
            Answer::Call(call) => call.to_string(),
            Answer::Number { number, abi, case } => {
                format!("number {number} of {abi}, which no known call has\n{case}")
            }
        };
        // Only line ends of our own: what comes from files is shown as text.
        for line in said.lines() {
            let _ = writeln!(out, "{}", output::one_line(line));
        }
    }
    out
}
