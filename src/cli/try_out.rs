//! `try`.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use clap::Args;

use super::{Outcome, output};
use crate::ops::Context;
use crate::ops::try_out::{TryRequest, try_out};
use crate::selftest;
use crate::selftest::report::{Detail, Paint};

/// Start a container that attacks its box, and print which promises hold
///
/// The bundle is made out of this program alone, in a temporary directory, and started under the
/// policy in force. Inside, everything is attempted that must not work: mounts, namespaces, more
/// privileges, the host's processes and devices. The exit status is 0 only if every promise holds.
#[derive(Debug, Args)]
pub(super) struct TryArgs {
    /// Print the report as one JSON document
    #[arg(long)]
    json: bool,

    /// Print every attempt, not only those that failed
    #[arg(long, short)]
    verbose: bool,

    /// Make the attempts: for the first process of the container
    #[arg(long, hide = true)]
    inside: bool,

    /// Take out a defence, to see its line turn red
    #[cfg(feature = "fault")]
    #[arg(long, value_name = "NAME", hide = true)]
    weaken: Option<String>,
}

pub(super) fn perform(context: &Context, args: &TryArgs) -> Outcome {
    if args.inside {
        return Ok(selftest::inside());
    }
    let report = try_out(context, &request(args))?;
    let printed = if args.json {
        output::print_pretty(&report.json())
    } else {
        let detail = if args.verbose { Detail::Attempts } else { Detail::Promises };
        output::print(&report.table(detail, paint()))
    };
    printed.map(|_| ExitCode::from(report.exit_status()))
}

#[cfg(feature = "fault")]
fn request(args: &TryArgs) -> TryRequest {
    TryRequest { weaken: args.weaken.clone() }
}

#[cfg(not(feature = "fault"))]
fn request(_: &TryArgs) -> TryRequest {
    TryRequest { weaken: None }
}

/// Colours for a person, unless `NO_COLOR` asks for none (<https://no-color.org>).
fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stdout().is_terminal() && !unwanted { Paint::Colour } else { Paint::Plain }
}
