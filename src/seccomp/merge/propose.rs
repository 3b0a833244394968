//! Rules that may say what several profiles permit together.

use std::collections::BTreeSet;

use oci_spec::runtime::{LinuxSeccompAction, LinuxSeccompArg, LinuxSyscall};

use super::{MergedRule, Side};
use crate::seccomp::Action;
use crate::seccomp::compare::rank;

/// Each list of comparisons that makes a rule of its own: one for each comparison where an
/// argument comes twice.
pub(super) fn lists(rule: &LinuxSyscall) -> Vec<Vec<LinuxSeccompArg>> {
    let args = rule.args().clone().unwrap_or_default();
    let indexes: BTreeSet<_> = args.iter().map(LinuxSeccompArg::index).collect();
    if indexes.len() == args.len() {
        vec![args]
    } else {
        args.into_iter().map(|arg| vec![arg]).collect()
    }
}

/// One rule about one call.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) action: Action,
    pub(super) kind: LinuxSeccompAction,
    pub(super) errno: Option<u32>,
    pub(super) args: Vec<LinuxSeccompArg>,
    pub(super) comment: Option<String>,
}

impl Given {
    fn rule(&self, name: &str) -> MergedRule {
        MergedRule {
            names: vec![name.to_owned()],
            action: self.kind,
            errno_ret: self.errno,
            args: self.args.clone(),
            comment: self.comment.clone(),
        }
    }
}

/// Lists of rules that may say what the profiles permit together, the likeliest first.
pub(super) fn propose(sides: &[Side<'_>], default: &Side<'_>, name: &str) -> Vec<Vec<MergedRule>> {
    let default = default.checked.default;
    let all: Vec<Vec<Given>> = sides.iter().map(|side| side.about(name).collect()).collect();
    let mut proposals: Vec<_> = alone(sides, &all, default, name).into_iter().collect();
    let permits = |rule: &&Given| rank(rule.action) > rank(default);
    let conditional = || all.iter().flatten().filter(|rule| !rule.args.is_empty());
    proposals.push(distinct(conditional().filter(permits), name));
    proposals.push(distinct(conditional(), name));
    let refusals = all.iter().map(|rules| {
        let refusing = rules.iter().filter(|rule| !rule.args.is_empty() && !permits(rule));
        distinct(refusing, name)
    });
    proposals.push(refusals.reduce(|one, other| common(&one, &other)).unwrap_or_default());
    proposals.push(Vec::new());
    proposals
}

/// What the profiles say without conditions, if any of them does: the loosest of it. Of what is
/// as loose, a rule goes before a default: its error number was chosen for this call.
fn alone(
    sides: &[Side<'_>],
    all: &[Vec<Given>],
    default: Action,
    name: &str,
) -> Option<Vec<MergedRule>> {
    let fixed = sides.iter().zip(all).filter_map(|(side, rules)| {
        match (rules.iter().find(|rule| rule.args.is_empty()), rules.is_empty()) {
            (Some(rule), _) => Some((rule.action.strictness(), 0, rule.action)),
            (None, true) => Some((side.checked.default.strictness(), 1, side.checked.default)),
            (None, false) => None,
        }
    });
    let (_, _, base) = fixed.min_by_key(|(strictness, silent, _)| (*strictness, *silent))?;
    let same = all.iter().flatten().filter(|rule| rule.args.is_empty() && rule.action == base);
    Some(if base == default { Vec::new() } else { distinct(same, name) })
}

/// Rules about one call, those alike once, with what all their authors say.
fn distinct<'a>(given: impl Iterator<Item = &'a Given>, name: &str) -> Vec<MergedRule> {
    let mut rules: Vec<MergedRule> = Vec::new();
    for one in given.map(|given| given.rule(name)) {
        let alike = |known: &&mut MergedRule| {
            (known.action, known.errno_ret, &known.args) == (one.action, one.errno_ret, &one.args)
        };
        match rules.iter_mut().find(alike) {
            Some(known) => known.comment = both(known.comment.take(), one.comment),
            None => rules.push(one),
        }
    }
    rules
}

fn both(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Some(format!("{one}; {other}")),
        (one, other) => one.or(other),
    }
}

/// More rules than this for one call nobody means.
const MAX_COMMON: usize = 256;

/// What two lists of refusals have in common, where they look at different arguments or say the
/// same.
fn common(refusals: &[MergedRule], others: &[MergedRule]) -> Vec<MergedRule> {
    let mut common = Vec::new();
    for one in refusals {
        for other in others {
            let mut args = one.args.clone();
            args.extend(other.args.iter().filter(|arg| !one.args.contains(arg)));
            common.push(MergedRule { args, ..one.clone() });
        }
    }
    common.truncate(MAX_COMMON);
    common
}
