//! Comparisons of arguments: as rules state them, and as the words that a program can load.

use std::fmt;

use oci_spec::runtime::LinuxSeccompOperator as Operator;

/// Every bit of a low half.
const LOW: u64 = 0xffff_ffff;

/// One comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Test {
    /// Which argument, 0 to 5.
    pub(crate) arg: u8,
    /// What is asked of it.
    compare: Compare,
    /// Whether the opposite is asked.
    negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Compare {
    /// The argument, cut to `mask`, is `value`.
    Masked { mask: u64, value: u64 },
    /// The argument, or its low half, is not below `value`.
    AtLeast { value: u64, wide: bool },
}

/// One comparison of one 32-bit word: what a few instructions can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Atom {
    /// Argument number times two, plus one for the high half.
    pub(crate) word: u8,
    pub(crate) compare: WordCompare,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum WordCompare {
    /// The word, cut to `mask`, is `value`.
    Masked { mask: u32, value: u32 },
    /// The word is not below this.
    AtLeast(u32),
}

/// Where a test goes on after one of its atoms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// To another of its atoms.
    Step(u8),
    /// The test holds, or does not.
    Done(bool),
}

/// One atom of a test and where its outcomes lead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) atom: Atom,
    pub(crate) yes: Next,
    pub(crate) no: Next,
}

/// More atoms than this no test has.
pub(crate) const MAX_STEPS: u8 = 3;

impl Test {
    /// What a rule of a profile asks of an argument, on an ABI whose arguments have 64 bits
    /// (`wide`) or 32; of the latter, values are cut to 32 bits too, as libseccomp does.
    pub(crate) fn from_oci(arg: u8, op: Operator, values: [u64; 2], width: Width) -> Self {
        let all = width.mask();
        let [first, second] = values.map(|value| value & all);
        let at_least = |value| Compare::AtLeast { value, wide: width == Width::Wide };
        let above = |value: u64| match value.checked_add(1) {
            Some(next) if value < all => (at_least(next), false),
            // Nothing is above the largest value.
            Some(_) | None => (Compare::Masked { mask: 0, value: 0 }, true),
        };
        let (compare, negated) = match op {
            Operator::ScmpCmpEq => (Compare::Masked { mask: all, value: first }, false),
            Operator::ScmpCmpNe => (Compare::Masked { mask: all, value: first }, true),
            Operator::ScmpCmpGe => (at_least(first), false),
            Operator::ScmpCmpLt => (at_least(first), true),
            Operator::ScmpCmpGt => above(first),
            Operator::ScmpCmpLe => {
                let (compare, negated) = above(first);
                (compare, !negated)
            }
            Operator::ScmpCmpMaskedEq => {
                (Compare::Masked { mask: first, value: second & first }, false)
            }
        };
        Self { arg, compare, negated }
    }

    /// The low half of the argument is `value`.
    pub(crate) fn low_equals(arg: u8, value: u32) -> Self {
        Self::low_masked(arg, u32::MAX, value)
    }

    /// The low half of the argument, cut to `mask`, is `value`.
    pub(crate) fn low_masked(arg: u8, mask: u32, value: u32) -> Self {
        let compare = Compare::Masked { mask: mask.into(), value: (mask & value).into() };
        Self { arg, compare, negated: false }
    }

    /// The opposite.
    pub(crate) fn not(self) -> Self {
        Self { negated: !self.negated, ..self }
    }

    /// Whether a call with these arguments passes.
    pub(crate) fn holds(self, args: &[u64; 6]) -> bool {
        let arg = args.get(usize::from(self.arg)).copied().unwrap_or_default();
        let plain = match self.compare {
            Compare::Masked { mask, value } => arg & mask == value,
            Compare::AtLeast { value, wide: true } => arg >= value,
            Compare::AtLeast { value, wide: false } => arg & LOW >= value,
        };
        plain != self.negated
    }

    /// The atom at this place of the test, which begins at 0.
    pub(crate) fn step(self, place: u8) -> Step {
        let (compare, high, yes, no) = match self.compare {
            Compare::Masked { mask, value } => {
                let [low_mask, high_mask] = halves(mask);
                let [low, high] = halves(value);
                if place == 0 && high_mask != 0 {
                    let compare = WordCompare::Masked { mask: high_mask, value: high };
                    (compare, true, Next::Step(1), Next::Done(false))
                } else {
                    let compare = WordCompare::Masked { mask: low_mask, value: low };
                    (compare, false, Next::Done(true), Next::Done(false))
                }
            }
            Compare::AtLeast { value, wide: false } => {
                let [low, _] = halves(value);
                (WordCompare::AtLeast(low), false, Next::Done(true), Next::Done(false))
            }
            Compare::AtLeast { value, wide: true } => Self::wide_step(value, place),
        };
        let word = self.arg * 2 + u8::from(high);
        Step { atom: Atom { word, compare }, yes: self.turned(yes), no: self.turned(no) }
    }

    /// High half above: yes. Equal: the low half decides. Else: no.
    fn wide_step(value: u64, place: u8) -> (WordCompare, bool, Next, Next) {
        let [low, high] = halves(value);
        let done = Next::Done;
        match (place, high.checked_add(1)) {
            (0, _) if low == 0 => (WordCompare::AtLeast(high), true, done(true), done(false)),
            (0, Some(above)) => (WordCompare::AtLeast(above), true, done(true), Next::Step(1)),
            (0 | 1, _) => {
                (WordCompare::Masked { mask: !0, value: high }, true, Next::Step(2), done(false))
            }
            (_, _) => (WordCompare::AtLeast(low), false, done(true), done(false)),
        }
    }

    fn turned(self, next: Next) -> Next {
        match next {
            Next::Done(holds) => Next::Done(holds != self.negated),
            Next::Step(step) => Next::Step(step),
        }
    }
}

/// How many bits of an argument count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// All 64.
    Wide,
    /// The low 32.
    Low,
}

impl Width {
    fn mask(self) -> u64 {
        match self {
            Self::Wide => u64::MAX,
            Self::Low => LOW,
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.negated { "is not" } else { "is" };
        match self.compare {
            Compare::Masked { mask: u64::MAX, value } => {
                write!(f, "argument {} {is} {value:#x}", self.arg)
            }
            Compare::Masked { mask: LOW, value } => {
                write!(f, "argument {}, low half, {is} {value:#x}", self.arg)
            }
            Compare::Masked { mask, value: 0 } => {
                let has = if self.negated { "some" } else { "none" };
                write!(f, "argument {} has {has} of the bits {mask:#x}", self.arg)
            }
            Compare::Masked { mask, value } => {
                write!(f, "argument {} & {mask:#x} {is} {value:#x}", self.arg)
            }
            Compare::AtLeast { value, wide } => {
                let half = if wide { "" } else { ", low half," };
                let than = if self.negated { "below" } else { "at least" };
                write!(f, "argument {}{half} is {than} {value:#x}", self.arg)
            }
        }
    }
}

impl Atom {
    /// What is known of this comparison when `fact` came out as `outcome`.
    pub(crate) fn implied_by(self, fact: Self, outcome: bool) -> Option<bool> {
        use WordCompare::{AtLeast, Masked};
        if self.word != fact.word {
            return None;
        }
        if self.compare == fact.compare {
            return Some(outcome);
        }
        match (self.compare, fact.compare) {
            (Masked { mask, value }, Masked { mask: known, value: bits }) if outcome => {
                if (value ^ bits) & mask & known != 0 {
                    Some(false)
                } else {
                    (mask & !known == 0).then_some(true)
                }
            }
            (AtLeast(least), Masked { mask: u32::MAX, value }) if outcome => Some(value >= least),
            (AtLeast(least), AtLeast(bound)) if outcome => (bound >= least).then_some(true),
            (AtLeast(least), AtLeast(bound)) => (bound <= least).then_some(false),
            (Masked { mask: u32::MAX, value }, AtLeast(bound)) => {
                ((value >= bound) != outcome).then_some(false)
            }
            (Masked { .. } | AtLeast(_), Masked { .. }) | (Masked { .. }, AtLeast(_)) => None,
        }
    }

    /// What is known of a word when the comparison came out so.
    pub(crate) fn words(self, outcome: bool) -> String {
        let half = if self.word.is_multiple_of(2) { "low" } else { "high" };
        let what = format!("argument {}, {half} half,", self.word / 2);
        let is = if outcome { "is" } else { "is not" };
        match self.compare {
            WordCompare::Masked { mask: u32::MAX, value } => format!("{what} {is} {value:#x}"),
            WordCompare::Masked { mask, value: 0 } => {
                let has = if outcome { "none" } else { "some" };
                format!("{what} has {has} of the bits {mask:#x}")
            }
            WordCompare::Masked { mask, value } => format!("{what} & {mask:#x} {is} {value:#x}"),
            WordCompare::AtLeast(value) => {
                let than = if outcome { "at least" } else { "below" };
                format!("{what} is {than} {value:#x}")
            }
        }
    }

    /// The outcome, where it is the same for every word.
    pub(crate) fn constant(self) -> Option<bool> {
        match self.compare {
            WordCompare::Masked { mask: 0, .. } | WordCompare::AtLeast(0) => Some(true),
            WordCompare::Masked { .. } | WordCompare::AtLeast(_) => None,
        }
    }
}

/// The low and the high half.
fn halves(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}
