//! Profile and baseline to one decision per call and ABI: the intermediate form.
//!
//! What is decided here is what the program must do; [`Resolved::judge`] says it for one call
//! without any program, and the tests hold every program against it.

use super::abi::{Abi, X32_BIT};
use super::action::Action;
use super::assign::Sheets;
use super::baseline::{BaselineRule, Part, SetIdBits, baseline_rules, check_waivers};
use super::condition::Test;
use super::errno;
use super::error::{SeccompError, Warning};
use super::interpret::Call;
use super::profile::{self, Profile};
use super::table::{Version, lookup};
use super::{Baseline, Request};

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An element of the profile's `syscalls`.
    Rule(usize),
    /// A denial of the baseline, by its place there.
    Baseline(&'static BaselineRule),
    /// No rule; the call is newer than all that the profile names.
    Newer,
    /// No rule; the profile's default.
    Default,
    /// The ABI is not among those of the profile.
    Abi,
}

/// An answer and who gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) action: Action,
    pub(crate) origin: Origin,
}

/// A ruling for the calls that pass all tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arm {
    pub(crate) tests: Vec<Test>,
    pub(crate) ruling: Ruling,
}

/// The first arm that applies, or else the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) arms: Vec<Arm>,
    pub(crate) otherwise: Ruling,
}

/// What becomes of the calls of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The arguments do not matter.
    Fixed(Ruling),
    /// They do: a place in [`Resolved::chains`].
    Chain(usize),
}

/// Consecutive numbers.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) first: u32,
    pub(crate) entries: Vec<Entry>,
}

/// Every decision for one ABI.
#[derive(Debug)]
pub(crate) struct AbiRules {
    pub(crate) abi: Abi,
    /// Ascending, apart.
    pub(crate) blocks: Vec<Block>,
    /// For numbers outside the blocks.
    pub(crate) beyond: Ruling,
}

/// Every decision.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The kernel's own first.
    pub(crate) abis: Vec<AbiRules>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) flags: u32,
    /// Whether set-id bits are denied: then some rules of the baseline cannot be waived.
    pub(crate) set_id_bits: SetIdBits,
    /// The newest call that the profile names.
    pub(crate) vintage: Option<Version>,
    /// Rules of the baseline that refuse what the profile would have let through.
    pub(crate) denials: Vec<&'static BaselineRule>,
}

/// For calls of an ABI that the profile does not name.
pub(crate) const FOREIGN: Ruling = Ruling { action: Action::KillProcess, origin: Origin::Abi };

/// For x32 calls, if the profile does not name x32.
pub(crate) const NO_X32: Ruling =
    Ruling { action: Action::Errno(errno::ENOSYS), origin: Origin::Abi };

/// The number that a tracer sets to have a call skipped; it is never x32's.
pub(crate) const SKIPPED: u32 = u32::MAX;

/// Decides everything.
///
/// # Errors
/// What [`profile::check`] and [`check_waivers`] refuse, and contradictions between rules.
pub(crate) fn resolve(
    request: &Request<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Resolved>, SeccompError> {
    let profile = match (request.profile, request.baseline) {
        (Some(seccomp), _) => profile::check(seccomp, request, warnings)?,
        (None, Baseline::Standing) => Profile::none(request.native),
        (None, Baseline::Off) => return Ok(None),
    };
    check_waivers(request.waive, request.set_id_bits)?;
    let mut sheets = Sheets::new(&profile, request.baseline);
    for rule in &profile.rules {
        sheets.apply(rule, warnings)?;
    }
    let mut resolved = Resolved { set_id_bits: request.set_id_bits, ..sheets.finish() };
    if request.baseline == Baseline::Standing {
        for rule in baseline_rules() {
            let stands = rule.part == Part::Standing || request.set_id_bits == SetIdBits::Denied;
            if stands && !request.waive.contains(&rule.id) {
                resolved.deny(rule);
            }
        }
    }
    Ok(Some(resolved))
}

impl Profile {
    /// For an engine that gave none.
    fn none(native: Abi) -> Self {
        Self { default: Action::Allow, abis: vec![native], rules: Vec::new(), flags: 0 }
    }
}

impl Resolved {
    /// Everything is permitted.
    pub(crate) fn permissive(native: Abi) -> Self {
        let mut resolved = Sheets::new(&Profile::none(native), Baseline::Off).finish();
        resolved.flags = 0;
        resolved
    }
}

impl Ruling {
    /// The stricter of this and the denial. Of two error numbers the one that the profile named
    /// stays; where it named none, ENOSYS wins, for libraries fall back on it.
    fn raised(self, denial: Self) -> Self {
        let (own, other) = (self.action.strictness(), denial.action.strictness());
        let unnamed = self.origin == Origin::Default;
        let falls_back = unnamed && denial.action == Action::Errno(errno::ENOSYS);
        if other > own || (other == own && falls_back) { denial } else { self }
    }
}

impl Resolved {
    /// The answer to a call, and who gives it.
    pub(crate) fn judge(&self, call: &Call) -> Ruling {
        let rules = self.abis.iter().find(|rules| rules.abi.audit_arch() == call.arch);
        let rules = match rules {
            None => return FOREIGN,
            Some(own) if own.abi == Abi::X86_64 && call.nr >= X32_BIT && call.nr != SKIPPED => {
                match self.abis.iter().find(|rules| rules.abi == Abi::X32) {
                    Some(x32) => x32,
                    None => return NO_X32,
                }
            }
            Some(own) => own,
        };
        match rules.entry(call.nr) {
            Entry::Fixed(ruling) => ruling,
            Entry::Chain(place) => match self.chains.get(place) {
                Some(chain) => chain.judge(&call.args),
                None => FOREIGN,
            },
        }
    }

    /// A filter that lets everything of every interface through.
    pub(crate) fn allowing(native: Abi) -> Self {
        let beyond = Ruling { action: Action::Allow, origin: Origin::Default };
        let rules = |abi: &Abi| AbiRules { abi: *abi, blocks: Vec::new(), beyond };
        Self {
            abis: native.family().iter().map(rules).collect(),
            chains: Vec::new(),
            flags: 0,
            set_id_bits: SetIdBits::AsGiven,
            vintage: None,
            denials: Vec::new(),
        }
    }

    /// Whether calls of the interface are decided one by one.
    pub(crate) fn serves(&self, abi: Abi) -> bool {
        self.abis.iter().any(|rules| rules.abi == abi)
    }

    /// What becomes of the calls of a number.
    pub(crate) fn decision(&self, abi: Abi, number: u32) -> Chain {
        let fixed = |otherwise| Chain { arms: Vec::new(), otherwise };
        match self.abis.iter().find(|rules| rules.abi == abi).map(|rules| rules.entry(number)) {
            Some(Entry::Fixed(ruling)) => fixed(ruling),
            Some(Entry::Chain(place)) => {
                self.chains.get(place).cloned().unwrap_or_else(|| fixed(FOREIGN))
            }
            None if abi == Abi::X32 => fixed(NO_X32),
            None => fixed(FOREIGN),
        }
    }

    /// Merges one denial in.
    fn deny(&mut self, rule: &'static BaselineRule) {
        let denial = Ruling { action: Action::Errno(rule.errno), origin: Origin::Baseline(rule) };
        let alternatives: Vec<Vec<Test>> =
            rule.when.iter().map(|all| all.iter().map(|low| low.test()).collect()).collect();
        let mut bites = false;
        for row in rule.calls.iter().filter_map(|name| lookup(name)) {
            for rules in &mut self.abis {
                let Some(entry) = row.number(rules.abi).and_then(|nr| rules.entry_mut(nr)) else {
                    continue;
                };
                let old = match entry {
                    Entry::Fixed(ruling) => Chain { arms: Vec::new(), otherwise: *ruling },
                    Entry::Chain(place) => match self.chains.get(*place) {
                        Some(chain) => chain.clone(),
                        None => continue,
                    },
                };
                bites |= old.is_looser_than(denial);
                let new = old.cut(&alternatives, denial);
                *entry = if new.arms.is_empty() {
                    Entry::Fixed(new.otherwise)
                } else {
                    self.chains.push(new);
                    Entry::Chain(self.chains.len() - 1)
                };
            }
        }
        if bites {
            self.denials.push(rule);
        }
    }
}

impl Chain {
    fn judge(&self, args: &[u64; 6]) -> Ruling {
        let arm = self.arms.iter().find(|arm| arm.tests.iter().all(|test| test.holds(args)));
        arm.map_or(self.otherwise, |arm| arm.ruling)
    }

    fn is_looser_than(&self, denial: Ruling) -> bool {
        let looser = |ruling: Ruling| ruling.action.strictness() < denial.action.strictness();
        self.arms.iter().any(|arm| looser(arm.ruling)) || looser(self.otherwise)
    }

    /// This chain, but never looser than `denial` where one of the alternatives holds; no
    /// alternatives: everywhere.
    fn cut(self, alternatives: &[Vec<Test>], denial: Ruling) -> Self {
        let raised: Vec<Ruling> = self.arms.iter().map(|arm| arm.ruling.raised(denial)).collect();
        let otherwise = self.otherwise.raised(denial);
        let same = raised.iter().all(|ruling| ruling.action == otherwise.action);
        if alternatives.is_empty() {
            let arms = self.arms.into_iter().zip(raised);
            let arms = arms.map(|(arm, ruling)| Arm { ruling, ..arm });
            return Self { arms: if same { Vec::new() } else { arms.collect() }, otherwise };
        }
        let mut arms = Vec::new();
        for alternative in alternatives {
            if !same {
                for (arm, ruling) in self.arms.iter().zip(&raised) {
                    let tests = alternative.iter().chain(&arm.tests).copied().collect();
                    arms.push(Arm { tests, ruling: *ruling });
                }
            }
            arms.push(Arm { tests: alternative.clone(), ruling: otherwise });
        }
        arms.extend(self.arms);
        Self { arms, otherwise: self.otherwise }
    }
}

impl AbiRules {
    pub(crate) fn entry(&self, nr: u32) -> Entry {
        let entry = self.blocks.iter().find_map(|block| {
            let offset = usize::try_from(nr.checked_sub(block.first)?).ok()?;
            block.entries.get(offset).copied()
        });
        entry.unwrap_or(Entry::Fixed(self.beyond))
    }

    fn entry_mut(&mut self, nr: u32) -> Option<&mut Entry> {
        self.blocks.iter_mut().find_map(|block| {
            let offset = usize::try_from(nr.checked_sub(block.first)?).ok()?;
            block.entries.get_mut(offset)
        })
    }
}
