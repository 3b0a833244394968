//! What is tried inside, and how one attempt is made.

mod table;

use std::time::Duration;

use super::outcome::{Expect, Finding, Outcome, Promise, errno};
use super::{answers, probes};
use crate::sys::Errno;
use crate::sys::attempt::calls::OF_THIS_MACHINE;
use crate::sys::attempt::{Call, Ended, in_child};

use Run::{Calls, Create, Here, Look, Undone, Write};

/// How long one attempt may take before it is ended and counted as broken.
const LIMIT: Duration = Duration::from_secs(5);

/// How an attempt is made.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Raw calls, one after the other, in a child: refused if any is.
    Calls(&'static [Call]),
    /// The first call, and if it is granted the second, which takes it back.
    Undone(&'static [Call; 2]),
    /// Opens files for writing, and never writes: refused if each is, moot if none is there.
    Write(&'static [&'static str]),
    /// Makes a file in each directory, and removes it: refused if none can be made.
    Create(&'static [&'static str]),
    /// Anything else, in a child.
    Look(fn() -> Outcome),
    /// Anything else, in the first process itself.
    Here(fn() -> Outcome),
}

/// One thing that is tried inside, and what should come of it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Its stable name, `area.object`.
    pub id: &'static str,
    /// What it is made against.
    pub promise: Promise,
    what: &'static str,
    /// What should come of it.
    pub expect: Expect,
    /// How it is made.
    pub run: Run,
}

/// Every attempt, in the order in which they are made.
pub fn all() -> impl Iterator<Item = Attempt> {
    let machine = OF_THIS_MACHINE.iter().map(|(id, single)| Attempt {
        id,
        promise: Promise::P5,
        what: "",
        expect: table::DENIED,
        run: Calls(std::slice::from_ref(single)),
    });
    table::TABLE.iter().copied().chain(machine)
}

impl Attempt {
    /// What is tried, as the end of the sentence "the attempt to ...".
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self.run {
            Calls(list) => list.last().map_or(self.what, Call::what),
            Undone([first, _]) => first.what(),
            Write(_) | Create(_) | Look(_) | Here(_) => self.what,
        }
    }

    /// Makes the attempt. Only for a process with one thread: see [`in_child`].
    #[must_use]
    pub fn make(&self) -> Outcome {
        if let Here(look) = self.run {
            return look();
        }
        let ended = in_child(LIMIT, &mut || answers::to_bytes(&self.perform()));
        match ended {
            Ok(Ended::Replied(reply)) => answers::from_bytes(&reply)
                .unwrap_or_else(|| Outcome::Lost("its process ended early".to_owned())),
            Ok(Ended::Killed(signal)) => Outcome::Killed(signal),
            Ok(Ended::TimedOut) => Outcome::Lost("it never came back".to_owned()),
            Err(errno) => Outcome::Inconclusive(format!("no process to try it in: {errno:?}")),
        }
    }

    /// Puts the attempt and what came of it together.
    #[must_use]
    pub fn finding(&self, outcome: Outcome) -> Finding {
        Finding::new(self.promise, self.id, self.what(), self.expect, outcome)
    }

    fn perform(&self) -> Outcome {
        match self.run {
            Calls(list) => Outcome::of(list.iter().try_for_each(Call::perform), "granted"),
            Undone([first, undo]) => match first.perform().map(|()| undo.perform()) {
                Ok(undone) => {
                    Outcome::Succeeded(format!("granted; taken back: {}", undone.is_ok()))
                }
                Err(errno) => Outcome::Denied(errno),
            },
            Write(paths) => {
                each(paths, |path| std::fs::OpenOptions::new().write(true).open(path).map(drop))
            }
            Create(dirs) => each(dirs, probes::create_in),
            Look(look) | Here(look) => look(),
        }
    }
}

/// Tries each path: the first that works is the outcome, else the last refusal.
fn each(paths: &[&str], attempt: impl Fn(&str) -> std::io::Result<()>) -> Outcome {
    let mut outcome = Outcome::Inconclusive(format!("there is no {}", paths.join(" or ")));
    for path in paths {
        match attempt(path).map_err(|error| errno(&error)) {
            Ok(()) => return Outcome::Succeeded((*path).to_owned()),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => outcome = Outcome::Denied(errno),
        }
    }
    outcome
}
