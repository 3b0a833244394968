//! `explain`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Outcome, output};
use crate::ops::{self, Context};
use crate::plan;

/// Print what `create` would do, and why, without doing it
///
/// Every step in order, each with who asked for it: a JSON pointer into `config.json`, a rule of
/// the policy, or casemate itself; and every change to what the bundle asks for.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Directory that holds `config.json`
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    /// Print the plan and its digest as one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn perform(context: &Context, args: &ExplainArgs) -> Outcome {
    let explained = ops::explain(context, &args.bundle)?;
    if args.json {
        return output::print_pretty(&json!({
            "digest": explained.digest,
            "plan": explained.plan,
        }));
    }
    output::print(&plan::explain::text(&explained.plan, &explained.digest))
}
