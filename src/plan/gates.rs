//! The simulation: carries the tracks of a plan out on paper. A gate that nobody opens, or a
//! slot that is read before it is filled, is found before anything exists.

use std::collections::BTreeSet;

use super::{Action, Gate, Slot, Step, Track};

/// What is wrong with a plan. A fault of casemate, not of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanFault {
    /// A track waits for ever.
    #[error("the tracks wait for each other: {supervisor} and {init}")]
    Deadlock {
        /// What the supervisor would do next.
        supervisor: &'static str,
        /// What init would do next.
        init: &'static str,
    },

    /// A step uses what no earlier step made.
    #[error("`{step}` uses slot {slot} before it is filled")]
    EmptySlot {
        /// The step's name.
        step: &'static str,
        /// The slot's number.
        slot: u16,
    },
}

/// Carries `steps` out on paper.
///
/// # Errors
/// The first [`PlanFault`].
pub fn simulate(steps: &[Step]) -> Result<(), PlanFault> {
    let of = |wanted: &dyn Fn(Track) -> bool| {
        steps.iter().filter(|step| wanted(step.track)).map(|step| &step.action).collect::<Vec<_>>()
    };
    let outer = of(&|track| track != Track::Init);
    let inner = of(&|track| track == Track::Init);
    let (mut outer, mut inner) = (outer.into_iter().peekable(), inner.into_iter().peekable());
    let mut world = World::default();
    loop {
        let moved = world.advance(&mut outer)? | world.advance(&mut inner)?;
        match (outer.peek(), inner.peek()) {
            (None, None) => return Ok(()),
            (next_outer, next_inner) if !moved => {
                return Err(PlanFault::Deadlock {
                    supervisor: next_outer.map_or("nothing", |action| action.name()),
                    init: next_inner.map_or("nothing", |action| action.name()),
                });
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct World {
    open: BTreeSet<Gate>,
    filled: BTreeSet<Slot>,
    spawned: bool,
}

impl World {
    /// Goes as far as a track can; `true` if it could at all.
    fn advance<'a>(
        &mut self,
        track: &mut std::iter::Peekable<impl Iterator<Item = &'a Action>>,
    ) -> Result<bool, PlanFault> {
        let mut moved = false;
        while let Some(action) = track.peek() {
            if !self.allows(action)? {
                return Ok(moved);
            }
            track.next();
            moved = true;
        }
        Ok(moved)
    }

    /// Carries one step out; `false` if it would have to wait.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these have to do with the other track"
    )]
    fn allows(&mut self, action: &Action) -> Result<bool, PlanFault> {
        match action {
            Action::Await { gate } => return Ok(self.open.contains(gate)),
            Action::MakeMountsPrivate => return Ok(self.spawned),
            Action::Open { gate } => drop(self.open.insert(*gate)),
            Action::Spawn { .. } => self.spawned = true,
            Action::BuildMount { slot, .. } => drop(self.filled.insert(*slot)),
            Action::FetchMount { slot } | Action::Attach { slot, .. }
                if !self.filled.contains(slot) =>
            {
                return Err(PlanFault::EmptySlot { step: action.name(), slot: slot.0 });
            }
            _ => {}
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Origin;

    fn step(track: Track, action: Action) -> Step {
        Step { track, action, origin: Origin::Builtin("a test".to_owned()) }
    }

    #[test]
    fn a_gate_that_nobody_opens_is_a_deadlock() {
        let steps = [step(Track::Supervisor, Action::Await { gate: Gate::Ready })];

        let fault = simulate(&steps).unwrap_err();

        assert_eq!(fault, PlanFault::Deadlock { supervisor: "gate.await", init: "nothing" });
    }

    #[test]
    fn a_slot_that_nobody_fills_is_named() {
        let steps = [step(Track::Supervisor, Action::FetchMount { slot: Slot(3) })];

        let fault = simulate(&steps).unwrap_err();

        assert_eq!(fault, PlanFault::EmptySlot { step: "mount.fetch", slot: 3 });
    }

    #[test]
    fn two_tracks_that_open_each_others_gates_end() {
        let steps = [
            step(Track::Supervisor, Action::Await { gate: Gate::UserNamespace }),
            step(Track::Supervisor, Action::Open { gate: Gate::IdMaps }),
            step(Track::Init, Action::Open { gate: Gate::UserNamespace }),
            step(Track::Init, Action::Await { gate: Gate::IdMaps }),
        ];

        assert_eq!(simulate(&steps), Ok(()));
    }
}
