//! What two filters answer differently, as people read it.

use std::fmt::Write as _;

use super::table::{columns, count};
use crate::ops::seccomp::DiffReport;
use crate::seccomp::{CallDifference, Change, Example, NAMELESS};

/// In the order of what will be asked about first.
const CHANGES: [Change; 5] =
    [Change::Refused, Change::Mixed, Change::Unknown, Change::Permitted, Change::Answer];

/// Every difference, grouped by its direction.
pub(super) fn text(report: &DiffReport) -> String {
    let mut out = String::new();
    for abi in &report.comparison.abis {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(out, "{}, all calls: {} -> {}", abi.abi, abi.before, abi.after);
    }
    if !report.comparison.abis.is_empty() {
        out.push('\n');
    }
    for change in CHANGES {
        let rows = rows(report, change);
        if rows.is_empty() {
            continue;
        }
        let calls = count(rows.len(), "call", "calls");
        let _ = writeln!(out, "{change}, {calls}:");
        let _ =
            writeln!(out, "{}", columns(&["CALL", "ABI", "BEFORE", "AFTER", "DECIDED BY"], &rows));
    }
    out.truncate(out.trim_end().len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// One row for each call, whatever the number of ABIs on which it differs in the same way.
fn rows(report: &DiffReport, change: Change) -> Vec<Vec<String>> {
    let mut groups: Vec<(&CallDifference, Vec<&str>)> = Vec::new();
    for call in report.comparison.calls.iter().filter(|call| call.change == change) {
        let alike = |(known, _): &&mut (&CallDifference, Vec<&str>)| {
            known.name == call.name
                && known.conditional == call.conditional
                && known.example == call.example
        };
        match groups.iter_mut().find(alike) {
            Some((_, abis)) => abis.push(&call.abi),
            None => groups.push((call, vec![&call.abi])),
        }
    }
    groups.into_iter().map(|(call, abis)| row(call, &abis)).collect()
}

fn row(call: &CallDifference, abis: &[&str]) -> Vec<String> {
    let Example { before, after, after_by, before_by, .. } = &call.example;
    let by = if before_by == after_by || call.change != Change::Permitted {
        after_by.clone()
    } else {
        format!("{before_by}, then {after_by}")
    };
    vec![named(call), abis.join(", "), before.clone(), after.clone(), by]
}

/// The call, with the arguments that show the difference if others do not.
fn named(call: &CallDifference) -> String {
    if !call.conditional || call.name == NAMELESS {
        return call.name.clone();
    }
    let used = call.example.args.iter().rposition(|arg| *arg != 0).map_or(1, |last| last + 1);
    let args: Vec<_> = call.example.args.iter().take(used).map(|arg| format!("{arg:#x}")).collect();
    format!("{}({})", call.name, args.join(", "))
}
