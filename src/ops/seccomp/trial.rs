//! Whether this kernel takes a program: a child process loads it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::seccomp::{self, Program, flag};
use crate::sys::{Errno, seccomp as kernel, trial};

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

/// Loads a program in a child.
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
    match trial::load(&instructions, program.flags & !of_listener) {
        Ok(Ok(())) => Trial::Taken,
        // Privileges could not be given up, or a filter that stands already refuses seccomp(2).
        Ok(Err(errno @ (Errno::EACCES | Errno::EPERM | Errno::ENOSYS))) => {
            Trial::Untried(format!("{errno:?}"))
        }
        Ok(Err(errno)) => Trial::Refused(format!("{errno:?}")),
        Err(errno) => Trial::Untried(format!("no child process can be made: {errno:?}")),
    }
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
