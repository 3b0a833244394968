//! Whether this kernel takes a program: a child process loads it, and ends.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::seccomp::{self, Program, flag};
use crate::sys::attempt::{self, Ended};
use crate::sys::{Errno, process, seccomp as kernel};

/// A filter that refuses every way to end makes the child crash; one that asks a listener makes it
/// wait, for this long.
const LIMIT: Duration = Duration::from_secs(2);

/// `RLIMIT_CORE`, which C libraries type differently. Reference: `asm-generic/resource.h`.
const CORE: u32 = 4;

/// What became of the trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// There is no program to load.
    NoFilter,
    /// The kernel took it.
    Taken,
    /// The kernel does not have these actions or flags.
    Lacks(Vec<String>),
    /// The kernel refused it.
    Refused(String),
    /// It could not be tried.
    Untried(String),
}

impl Trial {
    /// Whether a container with this program would not start.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Lacks(_) | Self::Refused(_) => true,
            Self::NoFilter | Self::Taken | Self::Untried(_) => false,
        }
    }
}

/// Loads a program in a child, which ends at once.
pub(super) fn load(program: Option<&Program>) -> Trial {
    let Some(program) = program else { return Trial::NoFilter };
    let lacks = lacks(program);
    if !lacks.is_empty() {
        return Trial::Lacks(lacks);
    }
    let instructions: Vec<kernel::Instruction> = program
        .instructions
        .iter()
        .map(|one| kernel::Instruction { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect();
    // Nobody would answer the child: without a listener, calls that ask for one fail.
    let of_listener = flag::NEW_LISTENER | flag::TSYNC_ESRCH | flag::WAIT_KILLABLE_RECV;
    let flags = program.flags & !of_listener;
    let ended = attempt::in_child(LIMIT, &mut || try_in_child(&instructions, flags));
    match ended {
        Ok(Ended::Replied(said)) => match said.first() {
            Some(UNTRIED) => Trial::Untried(rest(&said)),
            Some(_) => Trial::Refused(rest(&said)),
            None => Trial::Taken,
        },
        Ok(Ended::Killed(_) | Ended::TimedOut) => Trial::Taken,
        Err(errno) => Trial::Untried(format!("no child process can be made: {errno:?}")),
    }
}

/// In the child: it says why not, or ends without a word, as the filter lets it.
fn try_in_child(instructions: &[kernel::Instruction], flags: u32) -> Vec<u8> {
    // The end may be a crash, which is nobody's to look into.
    let _ = process::set_limit(CORE, 0, 0);
    if let Err(errno) = process::forbid_new_privileges() {
        return format!("u{errno:?}").into_bytes();
    }
    match kernel::install(instructions, flags) {
        Ok(_) => std::process::abort(),
        // A filter that stands already refuses seccomp(2) itself.
        Err(errno @ (Errno::EPERM | Errno::ENOSYS)) => format!("u{errno:?}").into_bytes(),
        Err(errno) => format!("r{errno:?}").into_bytes(),
    }
}

/// How a reply begins that says nothing of the program.
const UNTRIED: &u8 = &b'u';

fn rest(said: &[u8]) -> String {
    String::from_utf8_lossy(said.get(1..).unwrap_or_default()).into_owned()
}

/// The actions and flags of the program that the kernel does not have.
fn lacks(program: &Program) -> Vec<String> {
    const RETURN: u16 = 0x06;
    let returned = program.instructions.iter().filter(|one| one.code == RETURN);
    let actions: BTreeSet<u32> = returned.map(|one| one.k & 0xffff_0000).collect();
    let mut lacks: Vec<String> = actions
        .into_iter()
        .filter(|action| kernel::knows_action(*action) == Err(Errno::EOPNOTSUPP))
        .map(|action| format!("the action \"{}\"", seccomp::Action::from_ret(action)))
        .collect();
    for bit in (0..32).map(|shift| 1 << shift).filter(|bit| program.flags & bit != 0) {
        // Some flags are only good together with others.
        let with = match bit {
            flag::WAIT_KILLABLE_RECV => bit | flag::NEW_LISTENER,
            flag::TSYNC_ESRCH => bit | flag::TSYNC,
            _ => bit,
        };
        if kernel::knows_flags(with) == Err(Errno::EINVAL) {
            lacks.extend(flag::names(bit).iter().map(|name| format!("the flag {name}")));
        }
    }
    lacks
}
