//! Why a call gets its answer, and what to do about it.

use std::fmt;

use serde::Serialize;

use super::action::Action;
use super::baseline::{BaselineRule, Part, SetIdBits, may_waive};
use super::compile::emit;
use super::condition::Test;
use super::errno;
use super::interpret::{Call, interpret};
use super::paths::reached;
use super::profile::rule_pointer;
use super::resolve::{Chain, Origin, Resolved, Ruling, resolve};
use super::table::{Row, by_number, lookup};
use super::{Abi, Request, SeccompError};

/// What a filter does with one system call, on every ABI that the kernel serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The call's name.
    pub name: String,
    /// The kernel version in which it appeared.
    pub since: String,
    /// One for each ABI, the kernel's own first.
    pub abis: Vec<AbiExplanation>,
}

/// What a filter does with one system call of one ABI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AbiExplanation {
    /// The ABI's name.
    pub abi: String,
    /// The call's number there; `None`: there is no such call.
    pub number: Option<u32>,
    /// The first whose conditions all hold decides; the last has none.
    pub cases: Vec<Case>,
}

/// An answer, who gives it, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// All must hold; none: otherwise, or always.
    pub when: Vec<String>,
    /// The answer in words.
    pub action: String,
    /// Whether the call is made without anybody else's consent.
    pub permitted: bool,
    /// Who decided: an address in `config.json`, or a rule of the baseline.
    pub by: String,
    /// Why.
    pub because: String,
    /// What to change to have the call made; `None` where it is.
    pub hint: Option<String>,
}

/// Explains the answers to the calls of a name. `Ok(None)`: there is no filter, or no such call.
///
/// # Errors
/// As [`compile`](super::compile()).
pub fn explain(request: &Request<'_>, name: &str) -> Result<Option<Explanation>, SeccompError> {
    let Some(row) = lookup(name) else { return Ok(None) };
    let Some(resolved) = resolve(request, &mut Vec::new())? else { return Ok(None) };
    let abis = request.native.family().iter().map(|abi| {
        let number = row.number(*abi);
        let chain = number.map(|number| resolved.decision(*abi, number));
        let cases = chain.map_or(Vec::new(), |chain| cases(&resolved, &chain));
        AbiExplanation { abi: abi.to_string(), number, cases }
    });
    Ok(Some(explained(row, abis.collect())))
}

/// What is said of a call, whoever found it out.
pub(crate) fn explained(row: &Row, abis: Vec<AbiExplanation>) -> Explanation {
    Explanation { name: row.name.to_owned(), since: row.since.to_string(), abis }
}

/// A call that was seen, by name, and the case that decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The ABI that it was made by, if the filter knows it.
    pub abi: Option<String>,
    /// The call's name, if its number is known.
    pub name: Option<String>,
    /// The answer; its conditions are left out, for they hold.
    pub case: Case,
}

/// Says who decides one call that was seen. `Ok(None)`: there is no filter.
///
/// # Errors
/// As [`compile`](super::compile()).
pub fn judge(request: &Request<'_>, call: &Call) -> Result<Option<Judgement>, SeccompError> {
    let Some(resolved) = resolve(request, &mut Vec::new())? else { return Ok(None) };
    let ruling = resolved.judge(call);
    debug_assert_eq!(
        emit(&resolved).map(|program| interpret(&program.instructions, call)),
        Ok(Ok(ruling.action))
    );
    let abi = Abi::of_call(call.arch, call.nr);
    let row = abi.and_then(|abi| by_number(abi, call.nr));
    Ok(Some(Judgement {
        abi: abi.map(|abi| abi.to_string()),
        name: row.map(|row| row.name.to_owned()),
        case: case(&resolved, Vec::new(), ruling),
    }))
}

/// The answers of a decision in order, without those that no call gets.
pub(crate) fn cases(resolved: &Resolved, chain: &Chain) -> Vec<Case> {
    let all = || (vec![true; chain.arms.len()], true);
    let (arms, past) = reached(chain).unwrap_or_else(|_| all());
    let arms = chain.arms.iter().zip(arms).filter(|(_, reached)| *reached).map(|(arm, _)| {
        let when = arm.tests.iter().map(Test::to_string).collect();
        case(resolved, when, arm.ruling)
    });
    let last = past.then(|| case(resolved, Vec::new(), chain.otherwise));
    arms.chain(last).collect()
}

pub(crate) fn case(resolved: &Resolved, when: Vec<String>, ruling: Ruling) -> Case {
    let permitted = ruling.action.is_permissive();
    let (by, because, hint) = reason(resolved, ruling);
    let hint = (!permitted).then_some(hint);
    Case { when, action: ruling.action.to_string(), permitted, by, because, hint }
}

/// Who, why, and what to do.
fn reason(resolved: &Resolved, ruling: Ruling) -> (String, String, String) {
    match ruling.origin {
        Origin::Rule(index) => (
            rule_pointer(index),
            "the engine's profile says so".to_owned(),
            "change the profile that the engine was given".to_owned(),
        ),
        Origin::Baseline(rule) => (
            format!("baseline rule `{}`", rule.id),
            rule.reason.to_owned(),
            waiver(rule, resolved.set_id_bits),
        ),
        Origin::Newer => (
            "/linux/seccomp".to_owned(),
            match resolved.vintage {
                Some(vintage) => {
                    format!("the profile names no call newer than Linux {vintage}")
                }
                None => "the profile names no call".to_owned(),
            },
            "programs fall back on ENOSYS; if one does not, add the call to the profile".to_owned(),
        ),
        Origin::Default if ruling.action == Action::Errno(errno::ENOSYS) => {
            default("the profile does not name the call, and its default is ENOSYS")
        }
        Origin::Default => default("the profile does not name the call"),
        Origin::Abi => (
            "/linux/seccomp/architectures".to_owned(),
            "the profile does not list this ABI".to_owned(),
            "add the ABI to the profile's architectures".to_owned(),
        ),
    }
}

/// What to do about a rule of the baseline.
fn waiver(rule: &BaselineRule, set_id_bits: SetIdBits) -> String {
    let BaselineRule { id, breaks, .. } = rule;
    if may_waive(rule, set_id_bits) {
        format!(
            "an exception in the policy can waive `seccomp.baseline/{id}`; known to need it: {breaks}"
        )
    } else if rule.part == Part::SetIdBits {
        "give the container no writable volume that is id-mapped (annotations cannot change this)"
            .to_owned()
    } else {
        format!("it cannot be waived while set-id bits are denied; known to need it: {breaks}")
    }
}

fn default(because: &str) -> (String, String, String) {
    (
        "/linux/seccomp/defaultAction".to_owned(),
        because.to_owned(),
        "add the call to the profile that the engine was given".to_owned(),
    )
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, since Linux {}", self.name, self.since)?;
        for abi in &self.abis {
            match abi.number {
                None => writeln!(f, "  {:<8} no such call", abi.abi)?,
                Some(number) => writeln!(f, "  {:<8} number {}", abi.abi, number & !0x4000_0000)?,
            }
            for case in &abi.cases {
                write!(f, "{case}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    {}", self.action)?;
        if !self.when.is_empty() {
            write!(f, " if {}", self.when.join(" and "))?;
        }
        writeln!(f, "\n      decided by  {}: {}", self.by, self.because)?;
        match &self.hint {
            Some(hint) => writeln!(f, "      hint        {hint}"),
            None => Ok(()),
        }
    }
}
