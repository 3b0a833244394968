//! `spec`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Outcome, output};
use crate::ops::{self, OpsError};
use crate::spec::default;

/// Write a config.json to start from
///
/// It runs a shell on a terminal, in the root file system `rootfs` beside it. A file that is
/// there already is not touched.
#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// Directory to write `config.json` into
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    /// Always refused: this version starts containers for root alone
    #[arg(long)]
    rootless: bool,
}

pub(super) fn perform(args: &SpecArgs) -> Outcome {
    if args.rootless {
        let why = "this version starts containers for root alone";
        let hint = "leave `--rootless` out: every container has a range of host ids of its own";
        return Err(OpsError::failed("spec --rootless", why).hint(hint));
    }
    let path = args.bundle.join("config.json");
    let text = output::pretty(&default::config(ops::groups()))?;
    write(&path, &text).map(|()| ExitCode::SUCCESS).map_err(|error| {
        let doing = format!("write {}", path.display());
        if error.kind() == io::ErrorKind::AlreadyExists {
            OpsError::failed(doing, "the file exists")
                .hint("move it away, or name another directory with `--bundle`")
        } else {
            OpsError::failed(doing, output::number(&error))
        }
    })
}

fn write(path: &std::path::Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}
