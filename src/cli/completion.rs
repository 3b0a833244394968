//! `completion`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::arguments::Cli;
use super::{Outcome, output};

/// Print a script that teaches a shell to complete casemate's arguments
///
/// For bash: `casemate completion bash > /usr/share/bash-completion/completions/casemate`.
#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn perform(args: &CompletionArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "casemate", &mut script);
    output::print_bytes(&script)
}
