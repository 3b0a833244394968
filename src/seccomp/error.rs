//! Why a profile was not compiled, and what was noticed about one that was.

use super::action::Action;
use super::baseline::{BaselineRule, baseline_rules};
use super::names::suggest;
use super::program::Program;
use super::table::newest;

/// Why there is no program.
///
/// `at` is a JSON pointer into `config.json` (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeccompError {
    /// A rule asks an agent, and there is none.
    #[error("{at}: asks an agent to decide, and /linux/seccomp/listenerPath names none")]
    Listener {
        /// The action.
        at: String,
    },

    /// A name that no kernel knows; without its rule the call would be less restricted.
    #[error(
        "{at}: `{name}` is no known system call; without its rule the default stands: {default}"
    )]
    UnknownCall {
        /// The name's address.
        at: String,
        /// The name.
        name: String,
        /// What the profile's default would do.
        default: Action,
    },

    /// A rule without names, or with an empty one.
    #[error("{at}: names no system call")]
    NoName {
        /// The list, or the empty name.
        at: String,
    },

    /// System calls have six arguments, 0 to 5.
    #[error("{at}: argument {index} does not exist, only 0 to 5 do")]
    ArgumentIndex {
        /// The index's address.
        at: String,
        /// The index.
        index: usize,
    },

    /// The number cannot be handed to the caller or the tracer.
    #[error("{at}: {value} is out of range, the largest is {max}")]
    Range {
        /// The number's address.
        at: String,
        /// The number.
        value: u32,
        /// The largest that can.
        max: u32,
    },

    /// The specification demands an error: the action has no use for a number.
    #[error("{at}: the action ({action}) takes no error number")]
    UselessErrno {
        /// The number's address.
        at: String,
        /// The action beside it.
        action: Action,
    },

    /// Two rules answer the same calls differently.
    #[error("{at}: `{name}` under these conditions is decided differently by {earlier}")]
    Contradiction {
        /// The later rule.
        at: String,
        /// The call.
        name: &'static str,
        /// The earlier rule.
        earlier: String,
    },

    /// The kernel would refuse this combination.
    #[error("{at}: {why}")]
    Flag {
        /// The flag's address.
        at: String,
        /// The reason.
        why: &'static str,
    },

    /// The kernel takes no more than 4096 instructions.
    #[error("/linux/seccomp: the filter has more than {max} instructions", max = Program::MAX)]
    TooLong,

    /// The policy waives a rule that the baseline does not have.
    #[error("no rule of the baseline is called `{id}`")]
    UnknownWaiver {
        /// The name given.
        id: String,
    },

    /// The policy waives a rule that keeps set-id files off id-mapped volumes.
    #[error("`{id}` cannot be waived: set-id files could be made on id-mapped volumes")]
    NeededRule {
        /// The rule.
        id: &'static str,
    },
}

impl SeccompError {
    /// What to do about it, where that is not plain from the sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownCall { name, .. } => match suggest(name) {
                Some(near) => format!("write `{near}` if that is meant, or take the name out"),
                None => {
                    format!(
                        "take the name out; the calls of Linux {} and earlier are known",
                        newest()
                    )
                }
            },
            Self::NoName { .. } => "name a call, or take the rule out".to_owned(),
            Self::ArgumentIndex { .. } => "arguments are counted from 0".to_owned(),
            Self::UselessErrno { .. } => {
                "take the number out, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE".to_owned()
            }
            Self::Contradiction { .. } => "take one of the two rules out".to_owned(),
            Self::TooLong => {
                "compare fewer arguments; calls by name cost next to nothing".to_owned()
            }
            Self::UnknownWaiver { id } => match nearest_rule(id) {
                Some(near) => format!("`{near}` is one; profiles/seccomp/baseline.json has all"),
                None => "profiles/seccomp/baseline.json has them all".to_owned(),
            },
            Self::NeededRule { .. }
            | Self::Listener { .. }
            | Self::Range { .. }
            | Self::Flag { .. } => return None,
        })
    }
}

/// The rule of the baseline whose name is like this, or that is about a call of this name.
fn nearest_rule(id: &str) -> Option<&'static str> {
    let alike = |rule: &&BaselineRule| {
        rule.calls.contains(&id) || rule.id.split('.').any(|part| part == id)
    };
    baseline_rules().iter().find(alike).map(|rule| rule.id)
}

/// Something that the profile's author would want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A name that no kernel knows; its rule was dropped, and the default is as strict.
    UnknownCall {
        /// The name's address.
        at: String,
        /// The name.
        name: String,
    },
    /// A rule decides nothing, for an unconditional rule decides before it.
    Overruled {
        /// The rule's address.
        at: String,
        /// The call.
        name: &'static str,
        /// The rule that decides.
        by: String,
    },
    /// A masked comparison expects bits that the mask removes; they were ignored.
    BitsOutsideMask {
        /// The comparison's address.
        at: String,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownCall { at, name } => {
                write!(f, "{at}: `{name}` is no known system call; the name was dropped")
            }
            Self::Overruled { at, name, by } => {
                write!(f, "{at}: decides nothing for `{name}`, {by} does")
            }
            Self::BitsOutsideMask { at } => {
                write!(f, "{at}: valueTwo has bits that the mask removes; they were ignored")
            }
        }
    }
}
