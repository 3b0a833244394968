//! A program for people to read: what each instruction does, for which calls, and by whose word.
//!
//! Calls are followed through the program as ranges of numbers, so the notes say what the program
//! does, not what it was meant to do.

use std::fmt;

use serde::Serialize;

use super::action::Action;
use super::compile::emit;
use super::program::Instruction;
use super::resolve::{Origin, Resolved, resolve};
use super::table::by_number;
use super::{Abi, Request, SeccompError};

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its place, from 0.
    pub at: usize,
    /// What it does.
    pub text: String,
    /// Which calls get there, if they are few, else which ABIs.
    pub calls: String,
    /// Addresses in `config.json` and rules of the baseline that it is made from.
    pub origins: Vec<String>,
}

/// More calls than this are not listed one by one.
const FEW: usize = 4;

/// Who decides for ABIs that a profile does not list.
const ABIS: &str = "/linux/seccomp/architectures";

/// The code of a return.
const RETURN: u16 = 0x06;

/// Compiles, and says what came out. `Ok(None)`: there is no filter.
///
/// # Errors
/// As [`compile`](super::compile()).
pub fn disassemble(request: &Request<'_>) -> Result<Option<Vec<Line>>, SeccompError> {
    let Some(resolved) = resolve(request, &mut Vec::new())? else { return Ok(None) };
    let instructions = emit(&resolved)?.instructions;
    let reached = flow(&instructions);
    let lines = instructions.iter().enumerate().zip(&reached);
    Ok(Some(lines.map(|((at, code), here)| here.line(at, *code, &resolved)).collect()))
}

/// Of each ABI, how many of the instructions some call of it gets to; several may share one.
#[must_use]
pub fn sizes(instructions: &[Instruction]) -> Vec<(Abi, usize)> {
    let reached = flow(instructions);
    let count = |abi: Abi| reached.iter().filter(|here| here.abis().contains(&abi)).count();
    Abi::ALL.into_iter().map(|abi| (abi, count(abi))).collect()
}

/// What comes to each instruction.
fn flow(instructions: &[Instruction]) -> Vec<Reached> {
    let mut reached = vec![Reached::default(); instructions.len()];
    if let Some(first) = reached.first_mut() {
        first.ranges.push(Range { arch: None, low: 0, high: u32::MAX });
    }
    for (at, instruction) in instructions.iter().enumerate() {
        let here = reached.get(at).cloned().unwrap_or_default();
        for (to, state) in here.after(at, *instruction) {
            if let Some(next) = reached.get_mut(to) {
                next.join(state);
            }
        }
    }
    reached
}

/// Calls whose numbers are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    /// `None`: any, it was not asked for yet.
    arch: Option<u32>,
    low: u32,
    high: u32,
}

/// What is in the accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Holds {
    #[default]
    Other,
    Arch,
    Number,
}

/// What can come to an instruction.
#[derive(Debug, Clone, Default)]
struct Reached {
    ranges: Vec<Range>,
    holds: Holds,
}

impl Reached {
    fn join(&mut self, other: Self) {
        self.holds = other.holds;
        for range in other.ranges {
            if !self.ranges.contains(&range) {
                self.ranges.push(range);
            }
        }
    }

    /// Where control goes on, and with what.
    fn after(&self, at: usize, instruction: Instruction) -> Vec<(usize, Self)> {
        let Instruction { code, jt, jf, k } = instruction;
        let with = |holds| Self { ranges: self.ranges.clone(), holds };
        match code {
            0x20 => {
                let holds = match k {
                    0 => Holds::Number,
                    4 => Holds::Arch,
                    _ => Holds::Other,
                };
                vec![(at + 1, with(holds))]
            }
            0x05 => {
                let to = usize::try_from(k).ok().and_then(|skip| at.checked_add(1 + skip));
                vec![(to.unwrap_or(usize::MAX), with(self.holds))]
            }
            0x15 | 0x35 | 0x45 => {
                let (yes, no) = self.split(code, k);
                vec![(at + 1 + usize::from(jt), yes), (at + 1 + usize::from(jf), no)]
            }
            0x06 => Vec::new(),
            _ => vec![(at + 1, with(Holds::Other))],
        }
    }

    fn split(&self, code: u16, k: u32) -> (Self, Self) {
        let mut yes = Self { ranges: Vec::new(), holds: self.holds };
        let mut no = yes.clone();
        for range in &self.ranges {
            match (self.holds, code) {
                (Holds::Arch, 0x15) => {
                    if range.arch.is_none_or(|arch| arch == k) {
                        yes.ranges.push(Range { arch: Some(k), ..*range });
                    }
                    if range.arch != Some(k) {
                        no.ranges.push(*range);
                    }
                }
                (Holds::Number, 0x35) => {
                    yes.ranges.extend(range.cut(k, u32::MAX));
                    no.ranges.extend(k.checked_sub(1).and_then(|last| range.cut(0, last)));
                }
                (Holds::Number, 0x15) => {
                    yes.ranges.extend(range.cut(k, k));
                    no.ranges.extend(k.checked_sub(1).and_then(|last| range.cut(0, last)));
                    no.ranges.extend(k.checked_add(1).and_then(|next| range.cut(next, u32::MAX)));
                }
                (Holds::Arch | Holds::Number | Holds::Other, _) => {
                    yes.ranges.push(*range);
                    no.ranges.push(*range);
                }
            }
        }
        (yes, no)
    }

    fn line(&self, at: usize, instruction: Instruction, resolved: &Resolved) -> Line {
        let calls = self.calls();
        let is_return = instruction.code == RETURN;
        let origins = match &calls {
            Some(calls) if is_return || calls.len() <= FEW => origins(resolved, calls, instruction),
            None if is_return => vec![ABIS.to_owned()],
            Some(_) | None => Vec::new(),
        };
        let calls = match calls {
            Some(calls) if calls.len() <= FEW => {
                let name = |(abi, number): &(Abi, u32)| {
                    let name = by_number(*abi, *number).map_or("no call", |row| row.name);
                    format!("{name} ({abi})")
                };
                calls.iter().map(name).collect::<Vec<_>>().join(", ")
            }
            None if is_return => "every other ABI".to_owned(),
            Some(_) | None => {
                self.abis().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
        };
        Line { at, text: text(at, instruction, self.holds), calls, origins }
    }

    /// The calls that exist, by number; `None`: any ABI's, or numbers that nobody counts.
    fn calls(&self) -> Option<Vec<(Abi, u32)>> {
        let mut calls = Vec::new();
        for range in &self.ranges {
            let arch = range.arch?;
            for abi in Abi::ALL.into_iter().filter(|abi| abi.audit_arch() == arch) {
                let numbers = super::table::rows().iter().filter_map(|row| row.number(abi));
                let inside = numbers.filter(|nr| (range.low..=range.high).contains(nr));
                calls.extend(inside.map(|number| (abi, number)));
            }
        }
        Some(calls)
    }

    /// The ABIs of calls that get here, unless any call may.
    fn abis(&self) -> Vec<Abi> {
        let mut abis: Vec<Abi> = Vec::new();
        for range in &self.ranges {
            let Some(arch) = range.arch else { return Vec::new() };
            // The very last number is no ABI's own.
            for number in [range.low, range.high.saturating_sub(1).max(range.low)] {
                abis.extend(Abi::of_call(arch, number).filter(|abi| !abis.contains(abi)));
            }
        }
        abis
    }
}

impl Range {
    fn cut(self, low: u32, high: u32) -> Option<Self> {
        let (low, high) = (self.low.max(low), self.high.min(high));
        (low <= high).then_some(Self { low, high, ..self })
    }
}

/// Whose word an instruction that only these calls reach carries out; of a return, only those who
/// want this answer.
fn origins(resolved: &Resolved, calls: &[(Abi, u32)], instruction: Instruction) -> Vec<String> {
    let answer = (instruction.code == RETURN).then(|| Action::from_ret(instruction.k));
    let mut origins: Vec<String> = Vec::new();
    for (abi, number) in calls {
        let chain = resolved.decision(*abi, *number);
        let rulings = chain.arms.iter().map(|arm| arm.ruling).chain([chain.otherwise]);
        for ruling in rulings.filter(|ruling| answer.is_none_or(|action| action == ruling.action)) {
            let origin = match ruling.origin {
                Origin::Rule(index) => super::profile::rule_pointer(index),
                Origin::Baseline(rule) => rule.id.to_owned(),
                Origin::Newer => "newer than the profile".to_owned(),
                Origin::Default => "default".to_owned(),
                Origin::Abi => ABIS.to_owned(),
            };
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
    }
    origins
}

fn text(at: usize, instruction: Instruction, holds: Holds) -> String {
    let Instruction { code, jt, jf, k } = instruction;
    let branch = |how: &str| {
        let (yes, no) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
        let what = match (holds, Abi::of_call(k, 0)) {
            (Holds::Arch, Some(abi)) => format!("arch is {abi}"),
            (Holds::Arch, None) => format!("arch {how} {k:#x}"),
            (Holds::Number, _) => format!("number {how} {k}"),
            (Holds::Other, _) => format!("it {how} {k:#x}"),
        };
        format!("if {what} go {yes} else {no}")
    };
    match code {
        0x20 => match k {
            0 => "load number".to_owned(),
            4 => "load arch".to_owned(),
            _ => {
                let word = k.saturating_sub(16) / 4;
                let half = if word % 2 == 0 { "low" } else { "high" };
                format!("load argument {}, {half} half", word / 2)
            }
        },
        0x54 => format!("and {k:#x}"),
        0x05 => format!("go {}", u64::from(k) + u64::try_from(at).unwrap_or_default() + 1),
        0x15 => branch("is"),
        0x35 => branch(">="),
        0x45 => branch("has any of"),
        0x06 => Action::from_ret(k).to_string(),
        other => format!("{other:#x} {jt} {jf} {k:#x}"),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes = match (self.calls.is_empty(), self.origins.is_empty()) {
            (_, true) => self.calls.clone(),
            (true, false) => self.origins.join(", "),
            (false, false) => format!("{} by {}", self.calls, self.origins.join(", ")),
        };
        let line = format!("{:>4}  {:<38} {notes}", self.at, self.text);
        f.write_str(line.trim_end())
    }
}
