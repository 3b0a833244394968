//! The rules of a profile, spread over the numbers of each ABI.
//!
//! Which rule decides, in the order of the file: rules with the action of the default are passed
//! over; the first unconditional rule for a call ends the list; of conditional rules before it the
//! strictest that applies decides. Without the baseline an unconditional rule also removes the
//! conditional ones before it, because libseccomp does; with it, the stricter of them stay.

use std::cmp::Reverse;

use super::Baseline;
use super::abi::Abi;
use super::action::{Action, errno};
use super::condition::{Test, Width};
use super::error::{SeccompError, Warning};
use super::multiplex::multiplexed;
use super::profile::{Profile, Rule, rule_pointer};
use super::resolve::{AbiRules, Arm, Block, Chain, Entry, Origin, Resolved, Ruling};
use super::table::{Row, Version, lookup, ranges, rows};

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
struct Claim<'a> {
    name: &'static str,
    ruling: Ruling,
    index: usize,
    /// Each a list of tests that must all hold; none: always.
    alternatives: &'a [Vec<Test>],
    /// Whether rules that were made from others, not written, may clash.
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
        let sheet = |abi: &Abi| Sheet {
            abi: *abi,
            blocks: ranges(*abi)
                .map(|(first, count)| (first, vec![Slot::Free { named: false }; count]))
                .collect(),
            last: None,
        };
        let sheets = profile.abis.iter().map(sheet).collect();
        Self { profile, baseline, sheets, drafts: Vec::new(), vintage: None }
    }

    /// Takes the next rule of the profile.
    ///
    /// # Errors
    /// [`SeccompError::Contradiction`] with an earlier one.
    pub(crate) fn apply(
        &mut self,
        rule: &Rule,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), SeccompError> {
        let ruling = Ruling { action: rule.action, origin: Origin::Rule(rule.index) };
        let wide = tests(rule, Width::Wide);
        let low = tests(rule, Width::Low);
        for row in &rule.calls {
            self.vintage = self.vintage.max(Some(row.since));
            for sheet in &mut self.sheets {
                let alternatives = if sheet.abi.is_wide() { &wide } else { &low };
                let claim = Claim {
                    name: row.name,
                    ruling,
                    index: rule.index,
                    alternatives,
                    clash: Clash::Refuse,
                };
                if let Some(nr) = row.number(sheet.abi) {
                    sheet.last = sheet.last.max(Some(nr));
                    if rule.action == self.profile.default {
                        sheet.name(nr);
                    } else {
                        sheet.place(nr, &claim, &mut self.drafts, self.baseline, warnings)?;
                    }
                }
                if sheet.abi == Abi::X86 && rule.action != self.profile.default {
                    let loosens = rule.action.strictness() < self.profile.default.strictness();
                    if let Some((through, alternatives)) =
                        self_multiplexed(row, &low, self.baseline, loosens)
                    {
                        let claim = Claim {
                            alternatives: &alternatives,
                            clash: Clash::KeepStricter,
                            ..claim
                        };
                        sheet.place(through, &claim, &mut self.drafts, self.baseline, warnings)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything that the profile alone decides.
    pub(crate) fn finish(self) -> Resolved {
        let default = Ruling { action: self.profile.default, origin: Origin::Default };
        let newer = Ruling { action: Action::Errno(errno::ENOSYS), origin: Origin::Newer };
        let helps = !default.action.is_permissive() && default.action != newer.action;
        let vintage = self.vintage.filter(|_| helps);
        let mut abis = Vec::with_capacity(self.sheets.len());
        for sheet in self.sheets {
            let is_newer = |nr: u32, since: Option<Version>| match (self.baseline, vintage) {
                (_, None) => false,
                (Baseline::Off, _) => sheet.last.is_some_and(|last| nr > last),
                (Baseline::Standing, Some(vintage)) => since.is_none_or(|since| since > vintage),
            };
            let mut blocks = Vec::with_capacity(sheet.blocks.len());
            for (first, slots) in sheet.blocks {
                let dates = if vintage.is_some() {
                    dates(sheet.abi, first, slots.len())
                } else {
                    vec![None; slots.len()]
                };
                let entries =
                    (first..).zip(slots).zip(dates).map(|((nr, slot), since)| match slot {
                        Slot::Fixed(ruling) => Entry::Fixed(ruling),
                        Slot::Draft(place) => Entry::Chain(place),
                        Slot::Free { named: false } if is_newer(nr, since) => Entry::Fixed(newer),
                        Slot::Free { .. } => Entry::Fixed(default),
                    });
                blocks.push(Block { first, entries: entries.collect() });
            }
            let end = ranges(sheet.abi).next().map_or(0, |(first, count)| {
                first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX))
            });
            let beyond = if is_newer(end, None) { newer } else { default };
            abis.push(AbiRules { abi: sheet.abi, blocks, beyond });
        }
        let chains = self.drafts.into_iter().map(|draft| draft.finish(default)).collect();
        Resolved {
            abis,
            chains,
            flags: self.profile.flags,
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
    fn slot(&mut self, nr: u32) -> Option<&mut Slot> {
        self.blocks.iter_mut().find_map(|(first, slots)| {
            slots.get_mut(usize::try_from(nr.checked_sub(*first)?).ok()?)
        })
    }

    /// Notes that a rule names the number, though it says what the default says.
    fn name(&mut self, nr: u32) {
        if let Some(Slot::Free { named }) = self.slot(nr) {
            *named = true;
        }
    }

    fn place(
        &mut self,
        nr: u32,
        claim: &Claim<'_>,
        drafts: &mut Vec<Draft>,
        baseline: Baseline,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), SeccompError> {
        let Some(slot) = self.slot(nr) else { return Ok(()) };
        let decided = match *slot {
            Slot::Fixed(ruling) => Some(ruling),
            Slot::Draft(place) => drafts.get(place).and_then(|draft| draft.otherwise),
            Slot::Free { .. } => None,
        };
        if let Some(ruling) = decided {
            warnings.extend(overruled(claim.name, claim.ruling, ruling));
            return Ok(());
        }
        if claim.alternatives.is_empty() {
            *slot = match *slot {
                Slot::Draft(place) => {
                    let draft = drafts.get_mut(place);
                    let left = draft.is_some_and(|draft| draft.close(claim, baseline, warnings));
                    if left { Slot::Draft(place) } else { Slot::Fixed(claim.ruling) }
                }
                Slot::Fixed(_) | Slot::Free { .. } => Slot::Fixed(claim.ruling),
            };
            return Ok(());
        }
        let place = match *slot {
            Slot::Draft(place) => place,
            Slot::Fixed(_) | Slot::Free { .. } => {
                drafts.push(Draft::default());
                drafts.len() - 1
            }
        };
        *slot = Slot::Draft(place);
        match drafts.get_mut(place) {
            Some(draft) => draft.add(claim),
            None => Ok(()),
        }
    }
}

impl Draft {
    fn add(&mut self, claim: &Claim<'_>) -> Result<(), SeccompError> {
        for tests in claim.alternatives {
            let known = self.arms.iter_mut().find(|arm| arm.tests == *tests);
            match known {
                None => self.arms.push(Arm { tests: tests.clone(), ruling: claim.ruling }),
                Some(arm) if arm.ruling.action == claim.ruling.action => {}
                Some(arm) if claim.clash == Clash::KeepStricter => {
                    if claim.ruling.action.strictness() > arm.ruling.action.strictness() {
                        arm.ruling = claim.ruling;
                    }
                }
                Some(arm) => {
                    return Err(SeccompError::Contradiction {
                        at: rule_pointer(claim.index),
                        name: claim.name,
                        earlier: origin_pointer(arm.ruling.origin),
                    });
                }
            }
        }
        Ok(())
    }

    /// An unconditional rule after conditional ones. Says whether any of those are left.
    fn close(
        &mut self,
        claim: &Claim<'_>,
        baseline: Baseline,
        warnings: &mut Vec<Warning>,
    ) -> bool {
        let stricter =
            |arm: &Arm| arm.ruling.action.strictness() > claim.ruling.action.strictness();
        if baseline == Baseline::Off {
            for arm in &self.arms {
                warnings.extend(overruled(claim.name, arm.ruling, claim.ruling));
            }
            return false;
        }
        self.arms.retain(stricter);
        self.otherwise = Some(claim.ruling);
        !self.arms.is_empty()
    }
}

/// A warning, if what is lost was stricter than what decides.
fn overruled(name: &'static str, lost: Ruling, by: Ruling) -> Option<Warning> {
    (lost.action.strictness() > by.action.strictness()).then(|| Warning::Overruled {
        at: origin_pointer(lost.origin),
        name,
        by: origin_pointer(by.origin),
    })
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

/// The rule as one about `socketcall` or `ipc`, whose other arguments no filter can see.
///
/// Without the baseline: libseccomp's, which puts the selector in the place of argument 0. With
/// it: what a conditional rule would loosen stays tight, and what it would tighten is tight whole.
fn self_multiplexed(
    row: &Row,
    alternatives: &[Vec<Test>],
    baseline: Baseline,
    loosens: bool,
) -> Option<(u32, Vec<Vec<Test>>)> {
    let call = multiplexed(row.name)?;
    let number = lookup(call.through)?.number(Abi::X86)?;
    let selected = Test::low_equals(0, call.selector.into());
    let alternatives = match (baseline, alternatives) {
        // The kernel ignores the high half of the selector of `ipc`.
        (Baseline::Standing, _) if !loosens => {
            vec![vec![Test::low_masked(0, 0xffff, call.selector.into())]]
        }
        (_, []) => vec![vec![selected]],
        (Baseline::Standing, _) => return None,
        (Baseline::Off, given) => given
            .iter()
            .map(|tests| {
                let others = tests.iter().filter(|test| test.arg != 0).copied();
                std::iter::once(selected).chain(others).collect()
            })
            .collect(),
    };
    Some((number, alternatives))
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
