//! `man`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::arguments::Cli;
use super::{Outcome, output};
use crate::ops::OpsError;

/// Print the manual page, or write the pages of all subcommands
///
/// To read it at once: `casemate man | man -l -`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write all pages into this directory, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Of the manual: commands for the administrator.
const SECTION: &str = "8";

pub(super) fn perform(args: &ManArgs) -> Outcome {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    match &args.dir {
        None => {
            let page = page(command).map_err(|error| failed("render the manual", &error))?;
            output::print_bytes(&page)
        }
        Some(dir) => write_all(command, dir)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| failed(&format!("write the manual to {}", dir.display()), &error)),
    }
}

fn failed(doing: &str, error: &io::Error) -> OpsError {
    OpsError::failed(doing, output::number(error))
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).section(SECTION).manual("casemate").render(&mut page)?;
    Ok(page)
}

fn write_all(command: clap::Command, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    write_below(&command, "casemate", dir)?;
    fs::write(dir.join(format!("casemate.{SECTION}")), page(command)?)
}

/// The pages of all subcommands, theirs included: `casemate-seccomp-compile.8`.
fn write_below(command: &clap::Command, name: &str, dir: &Path) -> io::Result<()> {
    for sub in command.get_subcommands() {
        let name = format!("{name}-{}", sub.get_name());
        fs::write(dir.join(format!("{name}.{SECTION}")), page(sub.clone())?)?;
        write_below(sub, &name, dir)?;
    }
    Ok(())
}
