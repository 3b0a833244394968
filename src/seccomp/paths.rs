//! Walks decisions about arguments along every path that some call takes.

use super::condition::{Atom, Next};
use super::resolve::{Arm, Chain, Ruling};
use super::solve::{TooHard, solve};

/// How many comparisons a walk may make: some hundred times what real profiles need.
const BUDGET: u32 = 200_000;

/// Deepest path: it bounds the recursion.
const MAX_FACTS: usize = 3000;

/// What several decisions answer to calls that they cannot tell apart.
#[derive(Debug)]
pub(crate) struct Meeting {
    /// The answer of each, in order.
    pub(crate) rulings: Vec<Ruling>,
    /// The arm of each that gave it; `None`: none applied.
    pub(crate) arms: Vec<Option<usize>>,
    /// The smallest arguments that lead here.
    pub(crate) args: [u64; 6],
}

/// Walks the decisions together, and shows where paths end that some call takes.
///
/// # Errors
/// [`TooHard`] once the budget is spent; what was shown until then is true.
pub(crate) fn walk(chains: &[&Chain], show: &mut dyn FnMut(&Meeting)) -> Result<(), TooHard> {
    let meeting = Meeting { rulings: Vec::new(), arms: Vec::new(), args: [0; 6] };
    let mut walk = Walk { chains, show, facts: Vec::new(), meeting, budget: BUDGET };
    walk.from(Place { chain: 0, arm: 0, test: 0, step: 0 })
}

/// The arms that some call reaches, and whether one passes all of them.
///
/// # Errors
/// As [`walk`].
pub(crate) fn reached(chain: &Chain) -> Result<(Vec<bool>, bool), TooHard> {
    let mut arms = vec![false; chain.arms.len()];
    let mut past = false;
    walk(&[chain], &mut |meeting| match meeting.arms.first() {
        Some(Some(arm)) => {
            if let Some(reached) = arms.get_mut(*arm) {
                *reached = true;
            }
        }
        Some(None) | None => past = true,
    })?;
    Ok((arms, past))
}

/// Where a walk stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    chain: usize,
    arm: usize,
    test: usize,
    step: u8,
}

impl Place {
    fn then(self, next: Next) -> Self {
        match next {
            Next::Step(step) => Self { step, ..self },
            Next::Done(true) => Self { test: self.test + 1, step: 0, ..self },
            Next::Done(false) => Self { arm: self.arm + 1, test: 0, step: 0, ..self },
        }
    }
}

struct Walk<'a> {
    chains: &'a [&'a Chain],
    show: &'a mut dyn FnMut(&Meeting),
    facts: Vec<(Atom, bool)>,
    meeting: Meeting,
    budget: u32,
}

impl Walk<'_> {
    fn from(&mut self, mut place: Place) -> Result<(), TooHard> {
        loop {
            let Some(chain) = self.chains.get(place.chain) else { return self.meet() };
            let arm = chain.arms.get(place.arm);
            let Some(test) = arm.and_then(|arm| arm.tests.get(place.test)) else {
                return self.answer(place, chain.otherwise, arm);
            };
            let step = test.step(place.step);
            match self.known(step.atom) {
                Some(outcome) => place = place.then(if outcome { step.yes } else { step.no }),
                None => {
                    self.budget = self.budget.checked_sub(1).ok_or(TooHard)?;
                    if self.facts.len() >= MAX_FACTS {
                        return Err(TooHard);
                    }
                    self.assuming(step.atom, true, place.then(step.yes))?;
                    return self.assuming(step.atom, false, place.then(step.no));
                }
            }
        }
    }

    /// One of the decisions has come to its answer: on to the next.
    fn answer(
        &mut self,
        place: Place,
        otherwise: Ruling,
        arm: Option<&Arm>,
    ) -> Result<(), TooHard> {
        self.meeting.rulings.push(arm.map_or(otherwise, |arm| arm.ruling));
        self.meeting.arms.push(arm.map(|_| place.arm));
        let next = self.from(Place { chain: place.chain + 1, arm: 0, test: 0, step: 0 });
        self.meeting.rulings.pop();
        self.meeting.arms.pop();
        next
    }

    fn assuming(&mut self, atom: Atom, outcome: bool, place: Place) -> Result<(), TooHard> {
        self.facts.push((atom, outcome));
        let walked = self.from(place);
        self.facts.pop();
        walked
    }

    fn known(&self, atom: Atom) -> Option<bool> {
        atom.constant().or_else(|| {
            self.facts.iter().find_map(|(fact, outcome)| atom.implied_by(*fact, *outcome))
        })
    }

    /// All have answered: to calls that there are?
    fn meet(&mut self) -> Result<(), TooHard> {
        if let Some(args) = solve(&self.facts)? {
            self.meeting.args = args;
            (self.show)(&self.meeting);
        }
        Ok(())
    }
}
