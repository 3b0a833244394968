//! What was seen of a program, counted.
//!
//! A hostile program decides what is seen: everything here has a bound, and what is beyond it is
//! counted as lost.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::narrow::{self, Class};
pub use super::program::Program;
use crate::seccomp::{Abi, Call, identify};

/// Different argument values that are kept of one call; beyond that, any may be permitted.
const CLASSES_MAX: usize = 64;
/// Different refusals that are kept.
const REFUSALS_MAX: usize = 512;

/// A call that was permitted, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The ABI.
    pub abi: Abi,
    /// Its name.
    pub name: &'static str,
    /// The arguments that matter.
    pub class: Class,
}

/// How often a call was seen, and by whom first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    /// When it was seen first, in the order of all calls.
    pub order: usize,
    /// Whose call that was.
    pub first: Program,
    /// How often.
    pub count: u64,
}

/// A call that was refused, by its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedKey {
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Its number.
    pub nr: u32,
    /// The arguments that matter.
    pub class: Class,
    /// What it failed with.
    pub errno: u16,
    /// Whose call it was.
    pub program: Program,
}

/// How often a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The call as it was made last.
    pub call: Call,
    /// The thread that made it last.
    pub thread: u32,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: SystemTime,
    /// When last.
    pub last: SystemTime,
    /// Who refused it, and why.
    pub why: Why,
}

/// Who refuses a call, why, and what to do about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Why {
    /// A place in the profile, or a rule of the baseline.
    pub by: String,
    /// A clause.
    pub because: String,
    /// What to change.
    pub hint: Option<String>,
}

/// What was seen of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    permitted: BTreeMap<Key, Permitted>,
    /// Calls of which so many kinds were seen that they are no longer told apart.
    any: BTreeMap<(Abi, &'static str), Permitted>,
    refused: BTreeMap<RefusedKey, Refused>,
    lost: u64,
    order: usize,
}

impl Trace {
    /// Notes a call that was permitted. `who` is asked only if it is new.
    pub fn permit(&mut self, call: &Call, who: impl FnOnce() -> Program) {
        // A call without a name is none: the kernel will say so to its caller.
        let (Some(abi), Some(name)) = identify(call.arch, call.nr) else { return };
        if let Some(any) = self.any.get_mut(&(abi, name)) {
            any.count = any.count.saturating_add(1);
            return;
        }
        let key = Key { abi, name, class: narrow::class(name, &call.args) };
        if let Some(known) = self.permitted.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            return;
        }
        self.order = self.order.saturating_add(1);
        let new = Permitted { order: self.order, first: who(), count: 1 };
        let same = |known: &&Key| (known.abi, known.name) == (abi, name);
        if self.permitted.keys().filter(same).count() >= CLASSES_MAX {
            self.merge(abi, name);
        } else {
            self.permitted.insert(key, new);
        }
    }

    /// Tells the kinds of a call apart no longer.
    fn merge(&mut self, abi: Abi, name: &'static str) {
        let mut merged: Option<Permitted> = None;
        self.permitted.retain(|key, seen| {
            if (key.abi, key.name) != (abi, name) {
                return true;
            }
            let count = merged.as_ref().map_or(1, |merged| merged.count);
            let first = match merged.take() {
                Some(merged) if merged.order < seen.order => merged,
                Some(_) | None => seen.clone(),
            };
            merged = Some(Permitted { count: count.saturating_add(seen.count), ..first });
            false
        });
        self.any.extend(merged.map(|merged| ((abi, name), merged)));
    }

    /// Notes a call that was refused. `why` is asked only if it is new.
    pub fn refuse(
        &mut self,
        (call, errno): (&Call, u16),
        (thread, program): (u32, Program),
        now: SystemTime,
        why: impl FnOnce() -> Why,
    ) {
        let (_, name) = identify(call.arch, call.nr);
        let class = narrow::class(name.unwrap_or_default(), &call.args);
        let key = RefusedKey { arch: call.arch, nr: call.nr, class, errno, program };
        if let Some(known) = self.refused.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            (known.call, known.thread, known.last) = (*call, thread, now);
            return;
        }
        if self.refused.len() >= REFUSALS_MAX {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let new = Refused { call: *call, thread, count: 1, first: now, last: now, why: why() };
        self.refused.insert(key, new);
    }

    /// The calls that were permitted, in the order they were seen first. Where the arguments are
    /// not told apart, the class is empty.
    #[must_use]
    pub fn permitted(&self) -> Vec<(Key, &Permitted, Breadth)> {
        let narrow = self.permitted.iter().map(|(key, seen)| (*key, seen, Breadth::Narrow));
        let any = self.any.iter().map(|((abi, name), seen)| {
            (Key { abi: *abi, name, class: [None; 3] }, seen, Breadth::Any)
        });
        let mut all: Vec<_> = narrow.chain(any).collect();
        all.sort_by_key(|(_, seen, _)| seen.order);
        all
    }

    /// The calls that were refused, and how often.
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<RefusedKey, Refused> {
        &self.refused
    }

    /// How many refusals were not kept, for there were too many kinds.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// Whether the arguments of a call are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// They are, where they matter.
    Narrow,
    /// There were too many.
    Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: u32 = 0xc000_003e;

    fn call(nr: u32, args: [u64; 6]) -> Call {
        Call { nr, arch: X86_64, instruction_pointer: 0, args }
    }

    fn who(name: &str) -> Program {
        Program { name: name.to_owned(), file: String::new() }
    }

    #[test]
    fn a_call_is_counted_and_remembers_who_came_first() {
        let mut trace = Trace::default();
        trace.permit(&call(41, [2, 1, 6, 0, 0, 0]), || who("first"));
        trace.permit(&call(41, [2, 0o2_000_001, 0, 0, 0, 0]), || who("second"));
        trace.permit(&call(41, [1, 1, 0, 0, 0, 0]), || who("third"));

        let seen = trace.permitted();
        let seen: Vec<_> =
            seen.iter().map(|(key, seen, _)| (key.name, seen.count, &*seen.first.name)).collect();
        assert_eq!(seen, [("socket", 2, "first"), ("socket", 1, "third")]);
    }

    #[test]
    fn a_hostile_program_cannot_make_it_grow() {
        let mut trace = Trace::default();
        for value in 0..100_000 {
            trace.permit(&call(16, [0, value, 0, 0, 0, 0]), || who("x"));
            let (nr, name) = (u32::try_from(value).unwrap(), who(&format!("{value}")));
            trace.permit(&call(nr, [0; 6]), || who("x"));
            let now = SystemTime::UNIX_EPOCH;
            trace.refuse((&call(nr, [0; 6]), 1), (1, name), now, Why::default);
        }

        assert!(trace.permitted().len() < 1000, "{}", trace.permitted().len());
        let ioctl = trace.permitted().into_iter().find(|(key, ..)| key.name == "ioctl").unwrap();
        assert_eq!((ioctl.1.count, ioctl.2), (100_001, Breadth::Any));
        assert_eq!((trace.refused().len(), trace.lost()), (512, 99_488));
    }
}
