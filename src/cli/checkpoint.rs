//! `checkpoint`.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, ValueEnum};

use super::arguments::Cli;
use super::{Outcome, output};
use crate::ops::checkpoint::{Flags, PageServer};
use crate::ops::{self, CheckpointRequest, Context, OpsError};

/// Write a running container to files, from which `restore` makes it again
///
/// CRIU does it, and must be installed. A container is only written if it can be made again
/// exactly: with the same ids, mounts, capabilities, filter and group. A container in a user
/// namespace of its own cannot, and so none of the level `hardened`. Unless it is left running,
/// the container is gone afterwards, as after `delete`.
#[derive(Debug, Args)]
pub(super) struct CheckpointArgs {
    /// Name of the container
    #[arg(value_name = "ID", required_unless_present = "help")]
    id: Option<String>,

    /// Directory for the images
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    image_path: PathBuf,

    /// Directory for CRIU's log, instead of that of the images
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,

    /// Directory of an earlier `--pre-dump`, relative to that of the images
    #[arg(long, value_name = "DIR", value_parser = parse_parent)]
    parent_path: Option<PathBuf>,

    /// Leave the container running
    #[arg(long)]
    leave_running: bool,

    #[command(flatten)]
    kept: KeptArgs,

    /// Leave out TCP connections that are not yet established
    #[arg(long)]
    tcp_skip_in_flight: bool,

    /// Give files that have no name any more one for as long as the images last
    #[arg(long)]
    link_remap: bool,

    /// Keep memory here, and hand it out when `restore --lazy-pages` asks for it
    #[arg(long)]
    lazy_pages: bool,

    /// Descriptor that gets a zero byte once memory can be asked for
    #[arg(long, value_name = "FD")]
    status_fd: Option<RawFd>,

    /// Send memory to a CRIU page server
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_server)]
    page_server: Option<PageServer>,

    /// Write only memory, and leave the container running
    #[arg(long)]
    pre_dump: bool,

    /// Print help; fails where CRIU does not work
    #[arg(long, short)]
    help: bool,
}

/// What `checkpoint` and `restore` have in common.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that is given or not")]
pub(super) struct KeptArgs {
    /// Keep TCP connections that are established
    #[arg(long)]
    tcp_established: bool,

    /// Keep unix sockets whose other end is outside of the container
    #[arg(long)]
    ext_unix_sk: bool,

    /// Allow a controlling terminal that is the caller's
    #[arg(long)]
    shell_job: bool,

    /// Keep locks of files
    #[arg(long)]
    file_locks: bool,

    /// What becomes of control groups: they are always made from the plan
    #[arg(long, value_name = "MODE", default_value = "soft")]
    manage_cgroups_mode: CgroupsMode,

    /// Leave this namespace empty: `network`
    #[arg(long, value_name = "NAMESPACE")]
    empty_ns: Vec<EmptyNamespace>,

    /// Free memory in earlier images that is in these
    #[arg(long)]
    auto_dedup: bool,
}

/// Words for what CRIU would do with control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CgroupsMode {
    Soft,
    Ignore,
    Full,
    Strict,
}

/// Namespaces that can be left empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EmptyNamespace {
    Network,
}

impl KeptArgs {
    /// The switches, or why there are none.
    pub(super) fn flags(&self, doing: &str) -> Result<Flags, OpsError> {
        match self.manage_cgroups_mode {
            CgroupsMode::Soft | CgroupsMode::Ignore => {}
            CgroupsMode::Full | CgroupsMode::Strict => {
                return Err(OpsError::failed(
                    doing,
                    "--manage-cgroups-mode: the limits of the images would take the place of the \
                     bundle's",
                )
                .hint("leave it out: the group is made from the bundle, as `create` does"));
            }
        }
        Ok(Flags {
            tcp_established: self.tcp_established,
            external_unix_sockets: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            auto_dedup: self.auto_dedup,
            ..Flags::default()
        })
    }

    pub(super) fn empty_network(&self) -> bool {
        self.empty_ns.contains(&EmptyNamespace::Network)
    }
}

pub(super) fn perform(context: &Context, args: &CheckpointArgs) -> Outcome {
    let Some(id) = args.id.as_ref().filter(|_| !args.help) else { return help(context) };
    let flags = Flags {
        leave_running: args.leave_running,
        tcp_skip_in_flight: args.tcp_skip_in_flight,
        link_remap: args.link_remap,
        lazy_pages: args.lazy_pages,
        ..args.kept.flags(&format!("checkpoint `{id}`"))?
    };
    let request = CheckpointRequest {
        id: id.clone(),
        image_path: args.image_path.clone(),
        work_path: args.work_path.clone(),
        parent_path: args.parent_path.clone(),
        flags,
        pre_dump: args.pre_dump,
        empty_network: args.kept.empty_network(),
        page_server: args.page_server.clone(),
        status_fd: args.status_fd,
    };
    ops::checkpoint(context, &request).map(|()| ExitCode::SUCCESS)
}

/// Engines take a help that succeeds for the word that a checkpoint would.
fn help(context: &Context) -> Outcome {
    let mut command = Cli::command();
    command.build();
    if let Some(checkpoint) = command.find_subcommand_mut("checkpoint") {
        output::print(&checkpoint.render_long_help().to_string())?;
    }
    ops::criu_works(context).map(|()| ExitCode::SUCCESS)
}

fn parse_parent(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Err("it must be relative to the directory of the images".to_owned());
    }
    Ok(path)
}

fn parse_server(text: &str) -> Result<PageServer, String> {
    let wrong = || format!("`{text}` is no address and port, as in `192.0.2.1:5000`");
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    if address.is_empty() {
        return Err(wrong());
    }
    Ok(PageServer { address: address.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_server_has_an_address_and_a_port() {
        let server = parse_server("[2001:db8::1]:5000").unwrap();

        assert_eq!((server.address.as_str(), server.port), ("[2001:db8::1]", 5000));
        for text in ["", ":5000", "host", "host:", "host:70000"] {
            assert!(parse_server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn earlier_images_lie_below_the_later_ones() {
        assert!(parse_parent("../parent").is_ok());
        assert!(parse_parent("/parent").is_err());
    }
}
