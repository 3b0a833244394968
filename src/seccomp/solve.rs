//! Finds arguments for which a list of comparisons comes out as wanted, or that there are none.

use super::condition::{Atom, WordCompare};

/// How much is tried for one word before it counts as too hard; real profiles need a hundred.
const BUDGET: u32 = 100_000;

/// The comparisons are too many and too tangled to be decided in reasonable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooHard;

/// Six arguments for which each atom comes out as it is listed; `None`: there are none.
///
/// # Errors
/// [`TooHard`].
pub(crate) fn solve(facts: &[(Atom, bool)]) -> Result<Option<[u64; 6]>, TooHard> {
    let mut args = [0_u64; 6];
    for (arg, value) in (0_u8..).zip(&mut args) {
        for (word, shift) in [(arg * 2, 0), (arg * 2 + 1, 32)] {
            let facts: Vec<_> = facts
                .iter()
                .filter(|(atom, _)| atom.word == word)
                .map(|(atom, outcome)| (atom.compare, *outcome))
                .collect();
            let mut search = Search { facts: &facts, budget: BUDGET };
            match search.from(0, 32)? {
                Some(found) => *value |= u64::from(found) << shift,
                None => return Ok(None),
            }
        }
    }
    Ok(Some(args))
}

struct Search<'a> {
    facts: &'a [(WordCompare, bool)],
    budget: u32,
}

impl Search<'_> {
    /// The smallest word that begins with the bits of `prefix` and passes; the `left` bits below
    /// are free.
    fn from(&mut self, prefix: u32, left: u32) -> Result<Option<u32>, TooHard> {
        let free = 1_u32.checked_shl(left).map_or(u32::MAX, |bit| bit - 1);
        let (least, most) = (prefix, prefix | free);
        if !self.facts.iter().all(|(compare, wanted)| is_possible(*compare, *wanted, least, most)) {
            return Ok(None);
        }
        let Some(next) = left.checked_sub(1) else { return Ok(Some(prefix)) };
        self.budget = self.budget.checked_sub(1).ok_or(TooHard)?;
        match self.from(prefix, next)? {
            Some(found) => Ok(Some(found)),
            None => self.from(prefix | 1 << next, next),
        }
    }
}

/// Whether a comparison can still come out as wanted for a word whose bits are those of `least`
/// except where `most` differs, which may be anything.
fn is_possible(compare: WordCompare, wanted: bool, least: u32, most: u32) -> bool {
    let decided = !(least ^ most);
    match (compare, wanted) {
        (WordCompare::AtLeast(value), true) => most >= value,
        (WordCompare::AtLeast(value), false) => least < value,
        (WordCompare::Masked { mask, value }, true) => {
            // Bits outside the mask that are asked for can never be there.
            value & !mask == 0 && (least ^ value) & mask & decided == 0
        }
        (WordCompare::Masked { mask, value }, false) => {
            value & !mask != 0 || mask & !decided != 0 || (least ^ value) & mask != 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(word: u8, mask: u32, value: u32) -> Atom {
        Atom { word, compare: WordCompare::Masked { mask, value } }
    }

    fn at_least(word: u8, value: u32) -> Atom {
        Atom { word, compare: WordCompare::AtLeast(value) }
    }

    #[test]
    fn the_smallest_arguments_that_pass_are_found() {
        let facts = [
            (at_least(0, 5), true),
            (masked(0, 1, 0), true),
            (masked(0, !0, 6), false),
            (masked(3, 0xf0, 0x10), true),
            (at_least(2, 1), false),
        ];

        assert_eq!(solve(&facts), Ok(Some([8, 0x10_0000_0000, 0, 0, 0, 0])));
    }

    #[test]
    fn what_excludes_itself_has_no_arguments() {
        assert_eq!(solve(&[(at_least(0, 5), true), (at_least(0, 5), false)]), Ok(None));
        assert_eq!(
            solve(&[
                (at_least(0, 5), true),
                (masked(0, !7, 0), true),
                (masked(0, !0, 5), false),
                (masked(0, !0, 6), false),
                (masked(0, !0, 7), false)
            ]),
            Ok(None)
        );
        assert_eq!(solve(&[(masked(0, 0, 0), false)]), Ok(None));
        assert_eq!(solve(&[]), Ok(Some([0; 6])));
    }

    fn holds(compare: WordCompare, word: u32) -> bool {
        match compare {
            WordCompare::Masked { mask, value } => word & mask == value,
            WordCompare::AtLeast(value) => word >= value,
        }
    }

    proptest! {
        #[test]
        fn what_is_found_passes_and_what_passes_is_found(
            parts in prop::collection::vec((any::<bool>(), 0..64_u32, 0..64_u32, any::<bool>()), 0..6),
        ) {
            let facts: Vec<_> = parts.into_iter().map(|(is_masked, mask, value, wanted)| {
                let atom = if is_masked { masked(0, mask | !63, value & mask) } else { at_least(0, value) };
                (atom, wanted)
            }).collect();
            let passes = |word| facts.iter().all(|(atom, wanted)| holds(atom.compare, word) == *wanted);

            let found = solve(&facts).unwrap().map(|args| u32::try_from(args[0]).unwrap());

            prop_assert_eq!(found, (0..1024).chain([u32::MAX]).find(|word| passes(*word)));
        }
    }
}
