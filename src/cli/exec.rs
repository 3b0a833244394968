//! `exec`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;

use super::Outcome;
use crate::ops::{self, Context, ExecRequest};
use crate::plan::GroupBelow;
use crate::plan::exec::{ExecAsked, check_variable};

const EXIT_STATUS: &str = "Exit status: that of the program; 126 if it cannot be executed, 127 if \
    it is not found, 255 if it could not be started for another reason, 3 if the policy refused.";

/// Run another program in a container that is created or running
///
/// The program enters the same box as the container's first process: the same namespaces, ids,
/// filter, control group and limits, and never more capabilities. What that box is stands in the
/// plan that made the container; the bundle is not read again.
///
/// Without `--process`, the program runs as the container's first process does, but for what the
/// options say. Options end at the first word of the program.
#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct ExecArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// The program and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required_unless_present = "process")]
    command: Vec<String>,

    /// File that describes the process: what config.json has as /process
    #[arg(long, short, value_name = "FILE")]
    process: Option<PathBuf>,

    /// Return as soon as the program has started
    #[arg(long, short)]
    detach: bool,

    /// File to write the process id of the program to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Give the program a terminal
    #[arg(long, short)]
    tty: bool,

    /// Unix socket to send the program's terminal to
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,

    /// Unix socket to send a pidfd of the program to
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,

    /// Working directory inside the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,

    /// Variable of the program's environment; may be given more than once
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,

    /// User id inside the container, and group id; numbers only
    #[arg(long, short, value_name = "UID[:GID]", value_parser = user)]
    user: Option<(u32, Option<u32>)>,

    /// Further group id; may be given more than once
    #[arg(long, short = 'g', value_name = "GID", value_parser = id)]
    additional_gids: Vec<u32>,

    /// Further capability, within those of the container; may be given more than once
    #[arg(long, short, value_name = "CAPABILITY", value_parser = capability)]
    cap: Vec<u64>,

    /// The program, and all it starts, can gain no privileges
    #[arg(long)]
    no_new_privs: bool,

    /// SELinux label of the program
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,

    /// AppArmor profile of the program
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,

    /// How many descriptors after standard error the program inherits
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,

    /// Control group below the container's own to run in; with a controller of cgroup v1 before
    /// it, only there. Must exist; may be given more than once
    #[arg(long, value_name = "[CONTROLLER:]PATH", value_parser = group)]
    cgroup: Vec<GroupBelow>,

    /// Enter a paused container: the program starts once that goes on
    #[arg(long)]
    ignore_paused: bool,
}

fn variable(text: &str) -> Result<String, &'static str> {
    check_variable(text).map(|()| text.to_owned())
}

/// A number and nothing else: names are the image's, and mean what the image wants.
fn id(text: &str) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<u32>().ok().filter(|number| is_number && *number != u32::MAX);
    number.ok_or_else(|| format!("`{text}` is not an id: give a number"))
}

fn user(text: &str) -> Result<(u32, Option<u32>), String> {
    match text.split_once(':') {
        None => Ok((id(text)?, None)),
        Some((user, group)) => Ok((id(user)?, Some(id(group)?))),
    }
}

fn capability(text: &str) -> Result<u64, String> {
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    caps::Capability::from_str(&name)
        .map(|capability| capability.bitmask())
        .map_err(|_| format!("`{text}` is no capability"))
}

fn group(text: &str) -> Result<GroupBelow, &'static str> {
    GroupBelow::parse(text)
}

pub(super) fn perform(context: &Context, args: &ExecArgs) -> Outcome {
    let asked = ExecAsked {
        document: None,
        arguments: args.command.clone(),
        environment: args.env.clone(),
        directory: args.cwd.clone(),
        user: args.user,
        groups: args.additional_gids.clone(),
        capabilities: args.cap.iter().fold(0, |set, capability| set | capability),
        terminal: args.tty,
        no_new_privileges: args.no_new_privs,
        apparmor: args.apparmor.clone(),
        label: args.process_label.clone(),
    };
    let request = ExecRequest {
        id: args.id.clone(),
        process: args.process.clone(),
        asked,
        below: args.cgroup.clone(),
        console_socket: args.console_socket.clone(),
        pidfd_socket: args.pidfd_socket.clone(),
        pid_file: args.pid_file.clone(),
        detach: args.detach,
        preserve: args.preserve_fds,
        ignore_paused: args.ignore_paused,
    };
    ops::exec(context, &request).map(ExitCode::from)
}
