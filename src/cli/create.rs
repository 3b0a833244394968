//! `create`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Outcome, report};
use crate::ops::{self, Context, CreateRequest, Otherwise, WatchRequest};
use crate::plan::build::CreateOptions;

/// Create a container: everything up to the point where its program would start
///
/// The container waits, without having run anything, until `casemate start` lets it go on or
/// `casemate delete` removes it. If it cannot be created, nothing is left behind.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    common: LaunchArgs,
}

/// What `create` and `run` have in common.
#[derive(Debug, Args)]
pub(super) struct LaunchArgs {
    /// Name of the container, unique on this host: letters, digits and `_+-.`
    #[arg(value_name = "ID")]
    id: String,

    /// Directory that holds `config.json`
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    /// File to write the process id of the container's first process to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Unix socket to send the container's terminal to
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,

    /// Unix socket to send a pidfd of the container's first process to
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,

    /// Keep the session keyring of the caller
    #[arg(long)]
    no_new_keyring: bool,

    /// How many descriptors after standard error the program inherits
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,

    /// Record a seccomp profile: what the container's program needs, written when it has ended
    ///
    /// Every call that is permitted is let through after it was noted, but for a core set that
    /// every program needs. What is refused stays refused.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Taken because engines may give it; pivot_root is used all the same
    ///
    /// Without it the host's file systems would stay within reach. On a host whose root is a
    /// ramdisk the kernel refuses it, and so does this command.
    #[arg(long)]
    no_pivot: bool,
}

impl LaunchArgs {
    /// What is asked of the operation.
    pub(super) fn request(&self) -> CreateRequest {
        note_no_pivot(self.no_pivot);
        CreateRequest {
            id: self.id.clone(),
            bundle: self.bundle.clone(),
            pid_file: self.pid_file.clone(),
            console_socket: self.console_socket.clone(),
            pidfd_socket: self.pidfd_socket.clone(),
            options: CreateOptions {
                keep_keyring: self.no_new_keyring,
                preserve: self.preserve_fds,
            },
            otherwise: Otherwise {
                watch: WatchRequest { record: self.record.clone(), ..WatchRequest::default() },
                arguments: None,
            },
        }
    }
}

/// Says what becomes of `--no-pivot`. What it is for, a root that is a ramdisk, is refused by the
/// step that needs the other kind.
pub(super) fn note_no_pivot(asked: bool) {
    if asked {
        tracing::debug!("--no-pivot: pivot_root is used all the same");
    }
}

pub(super) fn perform(context: &Context, args: &CreateArgs) -> Outcome {
    let request = args.common.request();
    let warnings = ops::create(context, &request)?;
    report::warnings(&format!("create `{}`", request.id), &warnings);
    Ok(ExitCode::SUCCESS)
}
