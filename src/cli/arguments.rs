//! What the command line looks like, from the program's name down to the subcommands.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use super::global::Global;
use super::try_out;
use super::{
    checkpoint, completion, create, delete, doctor, events, exec, explain, kill, list, man, pause,
    ps, restore, run, seccomp, spec, start, state, update,
};

const EXIT_STATUS: &str = "Exit status: 0 done, 1 failed, 2 the arguments make no sense, \
    3 refused by the policy, \
    4 what was compared differs; `run` and `exec` pass on that of the program they started.";

/// Start OCI containers in a box that holds, or refuse and say why
///
/// casemate takes the place of runc or crun below an engine, or is used by hand on a bundle: a
/// directory with a `config.json` and a root file system. Every container gets a range of host
/// ids of its own, a read-only root, a seccomp filter and no way to gain privileges, whatever the
/// bundle asks for. `casemate explain` prints what is done, and `casemate try` attacks it.
#[derive(Debug, Parser)]
#[command(
    name = "casemate",
    bin_name = "casemate",
    version,
    disable_version_flag = true,
    override_usage = "casemate [OPTIONS] <COMMAND>",
    after_long_help = EXIT_STATUS
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) options: Options,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What stands before the subcommand.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) global: Global,

    /// Print the version, the commit it was built from, and the newest specification it knows
    #[arg(long, short)]
    pub(super) version: bool,
}

/// One for each operation.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Create(create::CreateArgs),
    Run(run::RunArgs),
    Start(start::StartArgs),
    Exec(exec::ExecArgs),
    State(state::StateArgs),
    Kill(kill::KillArgs),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    Ps(ps::PsArgs),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Update(Box<update::UpdateArgs>),
    Events(events::EventsArgs),
    #[command(disable_help_flag = true)]
    Checkpoint(Box<checkpoint::CheckpointArgs>),
    Restore(Box<restore::RestoreArgs>),
    Spec(spec::SpecArgs),
    /// Print what this program can apply, as one JSON document
    ///
    /// The document is that of the runtime specification, features.md. It says what the program
    /// has, not what the host's kernel has.
    Features,
    Explain(explain::ExplainArgs),
    Seccomp(seccomp::SeccompArgs),
    Doctor(doctor::DoctorArgs),
    Try(try_out::TryArgs),
    Completion(completion::CompletionArgs),
    Man(man::ManArgs),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}
