//! `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use super::checkpoint::KeptArgs;
use super::create::note_no_pivot;
use crate::ops::checkpoint::Flags;
use crate::ops::{self, Context, CreateRequest, RestoreRequest};

/// Make a container again from the files that `checkpoint` wrote
///
/// The bundle is read and judged as for `create`. What CRIU makes is compared with it, and with
/// what the container was, before any of it runs; if it is not the same, it is killed.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// Directory that holds `config.json`
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    /// Return as soon as the container runs
    #[arg(long, short)]
    detach: bool,

    /// File to write the process id of the container's first process to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Unix socket to send the container's terminal to
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,

    /// Directory of the images
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    image_path: PathBuf,

    /// Directory for CRIU's log, instead of that of the images
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,

    #[command(flatten)]
    kept: KeptArgs,

    /// Fetch memory when it is used, from a `checkpoint --lazy-pages`
    #[arg(long)]
    lazy_pages: bool,

    /// Label that processes get, as in `apparmor:NAME` or `selinux:LABEL`
    #[arg(long, value_name = "TYPE:NAME")]
    lsm_profile: Option<String>,

    /// SELinux label that mounts get
    #[arg(long, value_name = "LABEL")]
    lsm_mount_context: Option<String>,

    /// Taken because engines may give it; pivot_root is used all the same
    #[arg(long)]
    no_pivot: bool,

    /// Taken because engines may give it; decides nothing
    #[arg(long, hide = true)]
    no_subreaper: bool,
}

pub(super) fn perform(context: &Context, args: &RestoreArgs) -> Outcome {
    let doing = format!("restore `{}`", args.id);
    note_no_pivot(args.no_pivot);
    let request = RestoreRequest {
        create: CreateRequest {
            id: args.id.clone(),
            bundle: args.bundle.clone(),
            pid_file: args.pid_file.clone(),
            console_socket: args.console_socket.clone(),
            ..CreateRequest::default()
        },
        image_path: args.image_path.clone(),
        work_path: args.work_path.clone(),
        detach: args.detach,
        flags: Flags { lazy_pages: args.lazy_pages, ..args.kept.flags(&doing)? },
        empty_network: args.kept.empty_network(),
        lsm_profile: args.lsm_profile.clone(),
        lsm_mount_context: args.lsm_mount_context.clone(),
    };
    ops::restore(context, &request).map(ExitCode::from)
}
