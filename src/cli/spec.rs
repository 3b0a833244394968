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

    /// Ask for nothing that only a control group holds, which a user without root may not have
    #[arg(long)]
    rootless: bool,
}

pub(super) fn perform(args: &SpecArgs) -> Outcome {
    let path = args.bundle.join("config.json");
    let mut config = default::config(ops::groups());
    if let Some(linux) = config.get_mut("linux").filter(|_| args.rootless) {
        linux.as_object_mut().map(|linux| linux.remove("resources"));
    }
    let text = output::pretty(&config)?;
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
