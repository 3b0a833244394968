//! The rules of a profile, spread over the numbers of each ABI.
//!
//! Which rule decides, in the order of the file: rules with the action of the default are passed
//! over; the first unconditional rule for a call ends the list; of conditional rules before it the
//! strictest that applies decides. Without the baseline an unconditional rule also removes the
//! conditional ones before it, because libseccomp does; with it, the stricter of them stay.

use std::cmp::Reverse;

use super::abi::Abi;
use super::action::Action;
use super::condition::{Test, Width};
use super::errno;
use super::error::{SeccompError, Warning};
use super::multiplex;
use super::profile::{Profile, Rule, rule_pointer};
use super::program::Program;
use super::resolve::{AbiRules, Arm, Block, Chain, Entry, Origin, Resolved, Ruling};
use super::table::{Row, Version, lookup, ranges, rows};
use super::{Baseline, SetIdBits};

/// What is known so far of one number.
#[derive(Debug, Clone, Copy)]
enum Slot {
    /// No rule, or only such as say what the default says.
    Free { named: bool },
    /// An unconditional rule, and nothing before it.
    Fixed(Ruling),
    /// Conditional rules: a place in [`Sheets::drafts`].
    Draft(usize),
}

/// For calls that the author of the profile could not know: libraries fall back on ENOSYS.
const NEWER: Ruling = Ruling { action: Action::Errno(errno::ENOSYS), origin: Origin::Newer };

/// Conditional rules for one number, and the unconditional one after them.
#[derive(Debug, Default)]
struct Draft {
    arms: Vec<Arm>,
    otherwise: Option<Ruling>,
}

/// Every number of one ABI.
#[derive(Debug)]
struct Sheet {
    abi: Abi,
    blocks: Vec<(u32, Vec<Slot>)>,
    /// The largest number that any rule names.
    last: Option<u32>,
}

/// The numbers of all ABIs of a profile.
#[derive(Debug)]
pub(crate) struct Sheets<'a> {
    profile: &'a Profile,
    baseline: Baseline,
    sheets: Vec<Sheet>,
    drafts: Vec<Draft>,
    vintage: Option<Version>,
}

/// A rule on its way to one number.
#[derive(Clone, Copy)]
struct Claim<'a> {
    row: &'static Row,
    ruling: Ruling,
    /// Each a list of tests that must all hold; none: always.
    conditions: &'a [Vec<Test>],
    /// Rules that were made from others, not written, may clash.
    clash: Clash,
}

/// What to do if two rules decide the same calls differently.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clash {
    /// It is the author's error.
    Refuse,
    /// The stricter stays.
    KeepStricter,
}

impl<'a> Sheets<'a> {
    pub(crate) fn new(profile: &'a Profile, baseline: Baseline) -> Self {
        let sheets = profile.abis.iter().map(|abi| Sheet::new(*abi)).collect();
        Self { profile, baseline, sheets, drafts: Vec::new(), vintage: None }
    }

    /// Takes the next rule of the profile.
    ///
    /// # Errors
    /// [`SeccompError::Contradiction`] with an earlier one; [`SeccompError::TooLong`] if one call has
    /// more conditional rules than a program has instructions.
    pub(crate) fn apply(
        &mut self,
        rule: &Rule,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), SeccompError> {
        let ruling = Ruling { action: rule.action, origin: Origin::Rule(rule.index) };
        let is_default = rule.action == self.profile.default;
        let loosens = rule.action.strictness() < self.profile.default.strictness();
        let tests = [tests(rule, Width::Wide), tests(rule, Width::Low)];
        let [wide, low] = &tests;
        let behind = multiplex::conditions(low, self.baseline, loosens);
        for row in &rule.calls {
            self.vintage = self.vintage.max(Some(row.since));
            for sheet in &mut self.sheets {
                if let Some(nr) = row.number(sheet.abi) {
                    sheet.name(nr);
                }
            }
            if is_default {
                continue;
            }
            for sheet in &mut self.sheets {
                let conditions = if sheet.abi.is_wide() { wide } else { low };
                let claim = Claim { row, ruling, conditions, clash: Clash::Refuse };
                let mut desk = Desk { drafts: &mut self.drafts, baseline: self.baseline, warnings };
                if let Some(nr) = row.number(sheet.abi) {
                    sheet.place(nr, &claim, &mut desk)?;
                }
                if let (Abi::X86, Some(conditions)) = (sheet.abi, &behind)
                    && let Some(nr) = multiplex::number(row.name)
                {
                    let claim = Claim { conditions, clash: Clash::KeepStricter, ..claim };
                    sheet.place(nr, &claim, &mut desk)?;
                }
            }
        }
        Ok(())
    }

    /// Everything that the profile alone decides.
    pub(crate) fn finish(mut self) -> Resolved {
        let default = Ruling { action: self.profile.default, origin: Origin::Default };
        let helps = !default.action.is_permissive() && default.action != NEWER.action;
        let vintage = self.vintage.filter(|_| helps);
        let mut abis = Vec::with_capacity(self.sheets.len());
        for mut sheet in std::mem::take(&mut self.sheets) {
            sheet.fold(&mut self.drafts, self.baseline, default.action);
            abis.push(sheet.finish(default, vintage, self.baseline));
        }
        let chains = self.drafts.into_iter().map(|draft| draft.finish(default)).collect();
        Resolved {
            abis,
            chains,
            flags: self.profile.flags,
            set_id_bits: SetIdBits::AsGiven,
            vintage: self.vintage,
            denials: Vec::new(),
        }
    }
}

impl Draft {
    fn finish(mut self, default: Ruling) -> Chain {
        self.arms.sort_by_key(|arm| Reverse(arm.ruling.action.strictness()));
        Chain { arms: self.arms, otherwise: self.otherwise.unwrap_or(default) }
    }
}

impl Sheet {
    fn new(abi: Abi) -> Self {
        let free = |count| vec![Slot::Free { named: false }; count];
        let mut blocks: Vec<_> = ranges(abi).map(|(first, count)| (first, free(count))).collect();
        if abi == Abi::X86 {
            blocks.push((multiplex::FIRST, free(multiplex::COUNT)));
        }
        Self { abi, blocks, last: None }
    }

    fn slot(&mut self, nr: u32) -> Option<&mut Slot> {
        self.blocks.iter_mut().find_map(|(first, slots)| {
            slots.get_mut(usize::try_from(nr.checked_sub(*first)?).ok()?)
        })
    }

    /// Notes that a rule names the number, though it may say what the default says.
    fn name(&mut self, nr: u32) {
        self.last = self.last.max(Some(nr));
        if let Some(Slot::Free { named }) = self.slot(nr) {
            *named = true;
        }
    }

    fn place(
        &mut self,
        nr: u32,
        claim: &Claim<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SeccompError> {
        let Some(slot) = self.slot(nr) else { return Ok(()) };
        match *slot {
            Slot::Fixed(ruling) => {
                desk.warn(claim.row.name, claim.ruling, ruling);
                Ok(())
            }
            Slot::Free { .. } if claim.conditions.is_empty() => {
                *slot = Slot::Fixed(claim.ruling);
                Ok(())
            }
            Slot::Free { .. } => {
                let mut draft = Draft::default();
                draft.add(claim)?;
                *slot = Slot::Draft(desk.drafts.len());
                desk.drafts.push(draft);
                Ok(())
            }
            Slot::Draft(place) => {
                let Some(mut draft) = desk.drafts.get_mut(place).map(std::mem::take) else {
                    return Ok(());
                };
                if let Some(ruling) = draft.otherwise {
                    desk.warn(claim.row.name, claim.ruling, ruling);
                } else if !claim.conditions.is_empty() {
                    draft.add(claim)?;
                } else if !draft.close(claim, desk) {
                    *slot = Slot::Fixed(claim.ruling);
                }
                if let Some(empty) = desk.drafts.get_mut(place) {
                    *empty = draft;
                }
                Ok(())
            }
        }
    }

    /// Makes rules for `socketcall` and `ipc` of the rules for what they stand for, unless an
    /// unconditional rule decides those themselves.
    fn fold(&mut self, drafts: &mut Vec<Draft>, baseline: Baseline, default: Action) {
        let Some((_, slots)) = self.blocks.pop_if(|(first, _)| *first == multiplex::FIRST) else {
            return;
        };
        for (group, (through, _)) in multiplex::THROUGH.iter().enumerate() {
            let mut arms = Vec::new();
            for (place, slot) in slots.iter().enumerate().skip(group * 32).take(32) {
                for arm in slot.arms(drafts) {
                    let loosens = arm.ruling.action.strictness() < default.strictness();
                    let exact = baseline == Baseline::Off || loosens;
                    arms.push(multiplex::selected(place, arm, exact));
                }
            }
            let number = lookup(through).and_then(|row| row.number(Abi::X86));
            let Some(slot) = number.and_then(|nr| self.slot(nr)) else { continue };
            match *slot {
                Slot::Free { .. } if !arms.is_empty() => {
                    *slot = Slot::Draft(drafts.len());
                    drafts.push(Draft { arms, otherwise: None });
                }
                Slot::Draft(place) => match drafts.get_mut(place) {
                    Some(draft) if draft.otherwise.is_none() => draft.arms.extend(arms),
                    Some(_) | None => {}
                },
                Slot::Free { .. } | Slot::Fixed(_) => {}
            }
        }
    }

    fn finish(self, default: Ruling, vintage: Option<Version>, baseline: Baseline) -> AbiRules {
        let last = self.last;
        let is_newer = |nr: u32, since: Option<Version>| match (baseline, vintage) {
            (_, None) => false,
            (Baseline::Off, Some(_)) => last.is_some_and(|last| nr > last),
            (Baseline::Standing, Some(vintage)) => since.is_none_or(|since| since > vintage),
        };
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for (first, slots) in self.blocks {
            let dates = match (vintage, baseline) {
                (Some(_), Baseline::Standing) => dates(self.abi, first, slots.len()),
                (Some(_), Baseline::Off) | (None, _) => vec![None; slots.len()],
            };
            let entries = (first..).zip(slots).zip(dates).map(|((nr, slot), since)| match slot {
                Slot::Fixed(ruling) => Entry::Fixed(ruling),
                Slot::Draft(place) => Entry::Chain(place),
                Slot::Free { named: false } if is_newer(nr, since) => Entry::Fixed(NEWER),
                Slot::Free { .. } => Entry::Fixed(default),
            });
            blocks.push(Block { first, entries: entries.collect() });
        }
        let end = ranges(self.abi).next().map_or(0, |(first, count)| {
            first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX))
        });
        AbiRules {
            abi: self.abi,
            blocks,
            beyond: if is_newer(end, None) { NEWER } else { default },
        }
    }
}

impl Slot {
    /// What was found as a list of arms.
    fn arms(self, drafts: &mut [Draft]) -> Vec<Arm> {
        let always = |ruling| Arm { tests: Vec::new(), ruling };
        match self {
            Self::Free { .. } => Vec::new(),
            Self::Fixed(ruling) => vec![always(ruling)],
            Self::Draft(place) => {
                let draft = drafts.get_mut(place).map(std::mem::take).unwrap_or_default();
                let mut arms = draft.arms;
                arms.extend(draft.otherwise.map(always));
                arms
            }
        }
    }
}

/// What every rule needs on its way.
struct Desk<'a> {
    drafts: &'a mut Vec<Draft>,
    baseline: Baseline,
    warnings: &'a mut Vec<Warning>,
}

impl Desk<'_> {
    /// Notes once that a rule decides nothing, if it is stricter than what does.
    fn warn(&mut self, name: &'static str, lost: Ruling, by: Ruling) {
        if lost.action.strictness() <= by.action.strictness() {
            return;
        }
        let (at, by) = (origin_pointer(lost.origin), origin_pointer(by.origin));
        let warning = Warning::Overruled { at, name, by };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

impl Draft {
    fn add(&mut self, claim: &Claim<'_>) -> Result<(), SeccompError> {
        for tests in claim.conditions {
            let full = self.arms.len() >= Program::MAX;
            let known = self.arms.iter_mut().find(|arm| arm.tests == *tests);
            match known {
                None if full => return Err(SeccompError::TooLong),
                None => self.arms.push(Arm { tests: tests.clone(), ruling: claim.ruling }),
                Some(arm) if arm.ruling.action == claim.ruling.action => {}
                Some(arm) if claim.clash == Clash::KeepStricter => {
                    if claim.ruling.action.strictness() > arm.ruling.action.strictness() {
                        arm.ruling = claim.ruling;
                    }
                }
                Some(arm) => {
                    return Err(SeccompError::Contradiction {
                        at: origin_pointer(claim.ruling.origin),
                        name: claim.row.name,
                        earlier: origin_pointer(arm.ruling.origin),
                    });
                }
            }
        }
        Ok(())
    }

    /// An unconditional rule after conditional ones. Says whether any of those are left.
    fn close(&mut self, claim: &Claim<'_>, desk: &mut Desk<'_>) -> bool {
        if desk.baseline == Baseline::Off {
            for arm in self.arms.drain(..) {
                desk.warn(claim.row.name, arm.ruling, claim.ruling);
            }
            return false;
        }
        let own = claim.ruling.action.strictness();
        self.arms.retain(|arm| arm.ruling.action.strictness() > own);
        self.otherwise = Some(claim.ruling);
        !self.arms.is_empty()
    }
}

fn origin_pointer(origin: Origin) -> String {
    match origin {
        Origin::Rule(index) => rule_pointer(index),
        Origin::Baseline(rule) => rule.id.to_owned(),
        Origin::Newer | Origin::Default | Origin::Abi => "/linux/seccomp/defaultAction".to_owned(),
    }
}

fn tests(rule: &Rule, width: Width) -> Vec<Vec<Test>> {
    let all = |conditions: &Vec<super::profile::Condition>| {
        let mut tests: Vec<_> = conditions
            .iter()
            .map(|given| Test::from_oci(given.arg, given.op, given.values, width))
            .collect();
        tests.sort_unstable_by_key(|test| test.arg);
        tests
    };
    rule.alternatives.iter().map(all).collect()
}

/// When the calls from `first` on appeared; `None` for numbers without a call.
fn dates(abi: Abi, first: u32, count: usize) -> Vec<Option<Version>> {
    let mut dates = vec![None; count];
    for row in rows() {
        let place = row.number(abi).and_then(|nr| usize::try_from(nr.checked_sub(first)?).ok());
        if let Some(date) = place.and_then(|place| dates.get_mut(place)) {
            *date = Some(row.since);
        }
    }
    dates
}
