//! Several profiles to one that permits what any of them permits, and nothing else.
//!
//! A profile is a list of rules, and a list cannot say everything: what one profile refuses for
//! some arguments and another permits for some of those may have no rule. So the rules for each
//! call are proposed, and then proved: whatever the proposal permits, one of the profiles must
//! permit, and the other way round. What cannot be proved is an error, never a guess.

mod propose;

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};
use serde::Serialize;

use self::propose::{Given, lists, propose};
use super::compare::rank;
use super::paths::walk;
use super::profile::{Profile, check};
use super::resolve::{Chain, Resolved, resolve};
use super::table::{Row, lookup};
use super::{Abi, Baseline, Listener, Request, SeccompError, Warning};

/// A profile to merge, and what its author says of its rules.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The profile.
    pub profile: &'a LinuxSeccomp,
    /// Of each rule, what its author says of it; may be shorter.
    pub comments: &'a [Option<String>],
}

/// What several profiles permit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Merged {
    /// For calls that no rule is about.
    pub default_action: LinuxSeccompAction,
    /// The error number of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// All that any profile lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<Arch>,
    /// All that any profile has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<LinuxSeccompFilterFlag>,
    /// That of the profiles that have one: it must be the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<std::path::PathBuf>,
    /// What it is told; the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules.
    pub syscalls: Vec<MergedRule>,
    /// What was noticed about the profiles: place among those given, and a sentence.
    #[serde(skip)]
    pub warnings: Vec<(usize, Warning)>,
    /// What is not the same as in the profiles, though nothing more or less is permitted.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// One rule of a merged profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MergedRule {
    /// The calls.
    pub names: Vec<String>,
    /// What becomes of them.
    pub action: LinuxSeccompAction,
    /// The error number of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Comparisons that must all hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<LinuxSeccompArg>,
    /// What the authors say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Why profiles cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("no profile is given")]
    Nothing,
    /// One of them is no profile.
    #[error("{source}")]
    Part {
        /// Its place among those given, from 0.
        part: usize,
        /// What is wrong.
        source: SeccompError,
    },
    /// They name different agents.
    #[error("/listenerPath: they name different agents")]
    Listeners,
    /// What they permit together has no rule.
    #[error("`{name}`: no list of rules says what they permit together")]
    NoRule {
        /// The call.
        name: String,
    },
}

/// Merges profiles, for a kernel whose own ABI is `native`.
///
/// # Errors
/// [`MergeError`].
pub fn merge(parts: &[Part<'_>], native: Abi) -> Result<Merged, MergeError> {
    let sides: Vec<Side<'_>> = parts
        .iter()
        .enumerate()
        .map(|(place, part)| {
            Side::new(*part, native).map_err(|source| MergeError::Part { part: place, source })
        })
        .collect::<Result<_, _>>()?;
    let Some(first) = sides.first() else { return Err(MergeError::Nothing) };
    let loosest = sides.iter().min_by_key(|side| side.checked.default.strictness());
    let default = loosest.unwrap_or(first);
    let mut merged = Merged {
        default_action: default.part.profile.default_action(),
        default_errno_ret: default.part.profile.default_errno_ret(),
        architectures: union(parts.iter().map(|part| part.profile.architectures().as_deref())),
        flags: union(parts.iter().map(|part| part.profile.flags().as_deref())),
        listener_path: same(parts, LinuxSeccomp::listener_path)?,
        listener_metadata: same(parts, LinuxSeccomp::listener_metadata)?,
        syscalls: Vec::new(),
        warnings: Vec::new(),
        notes: notes(&sides, default),
    };
    let names: BTreeSet<&str> = sides.iter().flat_map(|side| side.names()).collect();
    let mut groups = Groups::default();
    for name in names {
        let rules = propose(&sides, default, name)
            .into_iter()
            .find(|rules| proves(&sides, &merged, rules, name, native))
            .ok_or_else(|| MergeError::NoRule { name: name.to_owned() })?;
        for rule in rules {
            groups.add(rule);
        }
    }
    merged.syscalls = groups.rules;
    let warnings = sides.into_iter().enumerate();
    let warnings =
        warnings.flat_map(|(part, side)| side.warnings.into_iter().map(move |w| (part, w)));
    merged.warnings = warnings.collect();
    Ok(merged)
}

/// One of the profiles, checked and decided as it is written.
struct Side<'a> {
    part: Part<'a>,
    checked: Profile,
    resolved: Resolved,
    warnings: Vec<Warning>,
}

impl<'a> Side<'a> {
    fn new(part: Part<'a>, native: Abi) -> Result<Self, SeccompError> {
        let request = bare(part.profile, native);
        let mut warnings = Vec::new();
        let checked = check(part.profile, &request, &mut Vec::new())?;
        let resolved = resolve(&request, &mut warnings)?;
        let resolved = resolved.unwrap_or_else(|| Resolved::allowing(native));
        Ok(Self { part, checked, resolved, warnings })
    }

    /// Every call that a rule is about.
    fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.checked.rules.iter().flat_map(|rule| rule.calls.iter().map(|row| row.name))
    }

    /// The rules about a call, in order, as they are written.
    fn about<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Given> + 's {
        let rules = self.part.profile.syscalls().iter().flatten();
        let about = self.checked.rules.iter().zip(rules).filter(move |(checked, _)| {
            checked.action != self.checked.default
                && checked.calls.iter().any(|row| row.name == name)
        });
        about.flat_map(|(checked, rule)| {
            let comment = self.part.comments.get(checked.index).cloned().flatten();
            lists(rule).into_iter().map(move |args| Given {
                action: checked.action,
                kind: rule.action(),
                errno: rule.errno_ret(),
                args,
                comment: comment.clone(),
            })
        })
    }
}

fn bare(profile: &LinuxSeccomp, native: Abi) -> Request<'_> {
    Request {
        baseline: Baseline::Off,
        listener: Listener::Provided,
        ..Request::new(Some(profile), native)
    }
}

/// Whether the rules permit exactly what one or other of the profiles permits, on every ABI that
/// all of them list.
fn proves(
    sides: &[Side<'_>],
    merged: &Merged,
    rules: &[MergedRule],
    name: &str,
    native: Abi,
) -> bool {
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(merged.default_action)
        .set_default_errno_ret(merged.default_errno_ret)
        .set_architectures(Some(merged.architectures.clone()))
        .set_syscalls(Some(rules.iter().map(oci).collect()));
    let request = bare(&profile, native);
    let Ok(Some(proposed)) = resolve(&request, &mut Vec::new()) else { return false };
    let Some(row) = lookup(name) else { return rules.is_empty() };
    let shared = |abi: &&Abi| sides.iter().all(|side| side.resolved.serves(**abi));
    native.family().iter().filter(shared).all(|abi| is_union(sides, &proposed, row, *abi))
}

fn is_union(sides: &[Side<'_>], proposed: &Resolved, row: &Row, abi: Abi) -> bool {
    let Some(number) = row.number(abi) else { return true };
    let decisions: Vec<Chain> =
        sides.iter().map(|side| side.resolved.decision(abi, number)).collect();
    let own = proposed.decision(abi, number);
    let chains: Vec<&Chain> = decisions.iter().chain([&own]).collect();
    let mut equal = true;
    let walked = walk(&chains, &mut |meeting| {
        if let Some((own, parts)) = meeting.rulings.split_last() {
            let best = parts.iter().map(|ruling| rank(ruling.action)).max().unwrap_or_default();
            equal &= rank(own.action) == best;
        }
    });
    walked.is_ok() && equal
}

fn oci(rule: &MergedRule) -> LinuxSyscall {
    let mut call = LinuxSyscall::default();
    call.set_names(rule.names.clone())
        .set_action(rule.action)
        .set_errno_ret(rule.errno_ret)
        .set_args((!rule.args.is_empty()).then(|| rule.args.clone()));
    call
}

fn union<'a, T: Copy + PartialEq + 'a>(lists: impl Iterator<Item = Option<&'a [T]>>) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for one in lists.flatten().flatten() {
        if !all.contains(one) {
            all.push(*one);
        }
    }
    all
}

/// What all that say it say alike.
fn same<T: Clone + PartialEq>(
    parts: &[Part<'_>],
    property: fn(&LinuxSeccomp) -> &Option<T>,
) -> Result<Option<T>, MergeError> {
    let mut given = parts.iter().filter_map(|part| property(part.profile).as_ref());
    let Some(first) = given.next() else { return Ok(None) };
    if given.all(|other| other == first) {
        Ok(Some(first.clone()))
    } else {
        Err(MergeError::Listeners)
    }
}

fn notes(sides: &[Side<'_>], default: &Side<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if sides.iter().any(|side| side.checked.default != default.checked.default) {
        notes.push(format!(
            "the defaults differ; the loosest of them stands: {}",
            default.checked.default
        ));
    }
    for abi in Abi::ALL {
        let count = sides.iter().filter(|side| side.resolved.serves(abi)).count();
        if count > 0 && count < sides.len() {
            notes.push(format!(
                "only {count} of {} list {abi}; there the rules of all of them stand",
                sides.len()
            ));
        }
    }
    notes
}

/// Rules, those alike put together.
#[derive(Default)]
struct Groups {
    rules: Vec<MergedRule>,
    places: BTreeMap<String, usize>,
}

impl Groups {
    fn add(&mut self, rule: MergedRule) {
        let key = format!("{:?}", (&rule.action, rule.errno_ret, &rule.args, &rule.comment));
        match self.places.get(&key).and_then(|place| self.rules.get_mut(*place)) {
            Some(known) if known.names.iter().all(|name| !rule.names.contains(name)) => {
                known.names.extend(rule.names);
            }
            // The same rule twice says it once.
            Some(_) => {}
            None => {
                self.places.insert(key, self.rules.len());
                self.rules.push(rule);
            }
        }
    }
}
