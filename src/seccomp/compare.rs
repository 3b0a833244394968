//! What two filters answer differently: for every call, and every argument that either looks at.

use std::fmt;

use serde::Serialize;

use super::action::Action;
use super::explain::{Case, case, cases};
use super::paths::{Meeting, walk};
use super::resolve::{Chain, Resolved, Ruling, resolve};
use super::table::rows;
use super::{Abi, Request, SeccompError};

/// Every difference between two filters for the same kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Interfaces that only one of the two decides call by call.
    pub abis: Vec<AbiDifference>,
    /// Calls of the others.
    pub calls: Vec<CallDifference>,
}

/// An interface that only one of two filters decides call by call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AbiDifference {
    /// Its name.
    pub abi: String,
    /// What becomes of its calls by the one.
    pub before: String,
    /// And by the other.
    pub after: String,
    /// Whether more is permitted, or less.
    pub change: Change,
}

/// A call that two filters answer differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallDifference {
    /// Its name; of numbers that have none: [`NAMELESS`].
    pub name: String,
    /// The interface.
    pub abi: String,
    /// In which direction.
    pub change: Change,
    /// Whether some arguments are answered alike.
    pub conditional: bool,
    /// The answers of the one, in order.
    pub before: Vec<Case>,
    /// And of the other.
    pub after: Vec<Case>,
    /// A call that shows it.
    pub example: Example,
}

/// One call, and two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The smallest arguments that show the difference.
    pub args: [u64; 6],
    /// The one answer.
    pub before: String,
    /// Who gives it.
    pub before_by: String,
    /// The other.
    pub after: String,
    /// Who gives that.
    pub after_by: String,
}

/// The direction of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Something that was refused is not.
    Permitted,
    /// Something that was permitted is not.
    Refused,
    /// Both, for different arguments.
    Mixed,
    /// Permitted or refused as before, in another way: an errno, a log entry.
    Answer,
    /// There are too many conditions to tell.
    Unknown,
}

/// Stands for numbers that no known call has.
pub const NAMELESS: &str = "(numbers without a call)";

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permitted => "newly permitted",
            Self::Refused => "newly refused",
            Self::Mixed => "more and less",
            Self::Answer => "other answer",
            Self::Unknown => "cannot be compared",
        })
    }
}

/// Compares what two requests come to. Both must be for the same kernel.
///
/// # Errors
/// As [`compile`](super::compile()), for the first that cannot be.
pub fn compare(before: &Request<'_>, after: &Request<'_>) -> Result<Comparison, SeccompError> {
    let sides = [resolved(before)?, resolved(after)?];
    let mut found = Comparison::default();
    for abi in before.native.family() {
        let [one, other] = [&sides[0], &sides[1]].map(|side| side.serves(*abi));
        match (one, other) {
            (true, true) => found.calls.extend(calls(&sides, *abi)),
            (false, false) => {}
            _ => found.abis.push(AbiDifference {
                abi: abi.to_string(),
                before: fate(&sides[0], *abi),
                after: fate(&sides[1], *abi),
                change: if other { Change::Permitted } else { Change::Refused },
            }),
        }
    }
    Ok(found)
}

/// No profile and no baseline is a filter too: one that lets everything through.
fn resolved(request: &Request<'_>) -> Result<Resolved, SeccompError> {
    let nothing = || Resolved::allowing(request.native);
    Ok(resolve(request, &mut Vec::new())?.unwrap_or_else(nothing))
}

/// What becomes of the calls of an interface.
fn fate(side: &Resolved, abi: Abi) -> String {
    if side.serves(abi) {
        "each call as the rules say".to_owned()
    } else {
        side.decision(abi, 0).otherwise.action.to_string()
    }
}

fn calls(sides: &[Resolved; 2], abi: Abi) -> Vec<CallDifference> {
    let named = rows().iter().filter_map(|row| row.number(abi).map(|number| (row.name, number)));
    named
        .chain([(NAMELESS, beyond(abi))])
        .filter_map(|(name, number)| {
            let chains = [&sides[0], &sides[1]].map(|side| side.decision(abi, number));
            (chains[0] != chains[1]).then(|| call(sides, abi, name, &chains)).flatten()
        })
        .collect()
}

/// A number that no call has nor will have for long.
fn beyond(abi: Abi) -> u32 {
    if abi == Abi::X32 { super::abi::X32_BIT | 0xffff } else { 0xffff }
}

fn call(
    sides: &[Resolved; 2],
    abi: Abi,
    name: &str,
    chains: &[Chain; 2],
) -> Option<CallDifference> {
    let mut seen = Seen::default();
    let walked = walk(&[&chains[0], &chains[1]], &mut |meeting| seen.note(meeting));
    let change = match walked {
        Ok(()) => seen.change(),
        Err(_) => Some(Change::Unknown),
    }?;
    Some(CallDifference {
        name: name.to_owned(),
        abi: abi.to_string(),
        change,
        conditional: seen.alike,
        before: cases(&sides[0], &chains[0]),
        after: cases(&sides[1], &chains[1]),
        example: seen.example(sides),
    })
}

/// What was met on a walk.
#[derive(Debug, Default)]
struct Seen {
    alike: bool,
    /// For each of more, less, and otherwise: the first that was met.
    first: [Option<([u64; 6], Ruling, Ruling)>; 3],
}

impl Seen {
    fn note(&mut self, meeting: &Meeting) {
        let [before, after] = meeting.rulings.as_slice() else { return };
        if before.action == after.action {
            self.alike = true;
            return;
        }
        let place = match rank(before.action).cmp(&rank(after.action)) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Equal => 2,
        };
        if let Some(first) = self.first.get_mut(place) {
            first.get_or_insert((meeting.args, *before, *after));
        }
    }

    fn change(&self) -> Option<Change> {
        match &self.first {
            [Some(_), Some(_), _] => Some(Change::Mixed),
            [Some(_), None, _] => Some(Change::Permitted),
            [None, Some(_), _] => Some(Change::Refused),
            [None, None, Some(_)] => Some(Change::Answer),
            [None, None, None] => None,
        }
    }

    /// What is lost first: that is what somebody will ask about.
    fn example(&self, sides: &[Resolved; 2]) -> Example {
        let [more, less, otherwise] = self.first;
        let Some((args, before, after)) = less.or(more).or(otherwise) else {
            let unknown = String::new;
            let (before, after) = (unknown(), unknown());
            return Example {
                args: [0; 6],
                before,
                before_by: unknown(),
                after,
                after_by: unknown(),
            };
        };
        let [one, other] = sides;
        let by = |side, ruling| case(side, Vec::new(), ruling).by;
        Example {
            args,
            before: before.action.to_string(),
            before_by: by(one, before),
            after: after.action.to_string(),
            after_by: by(other, after),
        }
    }
}

/// Refused, left to somebody else, or made.
pub(crate) fn rank(action: Action) -> u8 {
    match (action.is_permissive(), action) {
        (true, _) => 2,
        (false, Action::Notify) => 1,
        (false, _) => 0,
    }
}
