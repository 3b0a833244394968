//! A filter that holds calls up for a watcher, made from the decisions of one that does not.
//!
//! The watcher decides nothing: for each call it asks the program that would have stood
//! ([`Watched::effective`]). Only registers are looked at, and they cannot change while a call is
//! held up, so its answers are those that the kernel would have given.

use std::collections::BTreeSet;

use oci_spec::runtime::LinuxSeccomp;
use serde::{Deserialize, Serialize};

use super::abi::Abi;
use super::action::Action;
use super::compile::emit;
use super::condition::Test;
use super::core_set::{CORE, CORE_COMMANDS};
use super::error::SeccompError;
use super::program::{Program, flag};
use super::resolve::{Arm, Chain, Entry, Resolved, Ruling, resolve};
use super::table::{by_number, lookup};
use super::{Baseline, Listener, Request, SetIdBits};

/// Which calls are held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watch {
    /// Those that fail with an error number.
    Refused,
    /// These, and those that are permitted, but for the core set.
    All,
}

/// A filter to load, and the one whose answers the watcher gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// What to load. Its flags ask for a listener.
    pub program: Program,
    /// What decides.
    pub effective: Program,
}

/// Compiles a profile twice: as it is, and so that a watcher sees its answers. `None` if there
/// is neither a profile nor a baseline, and refusals are to be seen: there are none.
///
/// What kills, traps or is traced stays so, unseen: nobody could do it in the kernel's place.
///
/// # Errors
/// As [`compile`](super::compile()). A profile that asks an agent itself is refused, whatever
/// [`Request::listener`] says: a filter has one listener.
pub fn watch(request: &Request<'_>, what: Watch) -> Result<Option<Watched>, SeccompError> {
    let request = Request { listener: Listener::None, ..*request };
    let decided = resolve(&request, &mut Vec::new())?;
    let everything = || (what == Watch::All).then(|| Resolved::permissive(request.native));
    let Some(mut resolved) = decided.or_else(everything) else { return Ok(None) };
    let effective = emit(&resolved)?;
    hold_up(&mut resolved, what);
    resolved.flags |= flag::NEW_LISTENER | flag::WAIT_KILLABLE_RECV;
    if resolved.flags & flag::TSYNC != 0 {
        resolved.flags |= flag::TSYNC_ESRCH;
    }
    Ok(Some(Watched { program: emit(&resolved)?, effective }))
}

fn hold_up(resolved: &mut Resolved, what: Watch) {
    let Resolved { abis, chains, .. } = resolved;
    for rules in abis {
        let core: BTreeSet<u32> = match what {
            Watch::Refused => BTreeSet::new(),
            Watch::All => CORE.iter().filter_map(|name| lookup(name)?.number(rules.abi)).collect(),
        };
        let ioctl = lookup("ioctl").and_then(|row| row.number(rules.abi));
        let ioctl = ioctl.filter(|_| what == Watch::All);
        for block in &mut rules.blocks {
            for (number, entry) in (block.first..).zip(&mut block.entries) {
                if Some(number) == ioctl {
                    with_core_commands(entry, chains);
                }
                let through = what == Watch::Refused || core.contains(&number);
                match entry {
                    Entry::Fixed(ruling) => *ruling = seen(*ruling, through),
                    Entry::Chain(place) => {
                        let Some(chain) = chains.get(*place).cloned() else { continue };
                        *place = chains.len();
                        chains.push(seen_chain(chain, through));
                    }
                }
            }
        }
        rules.beyond = seen(rules.beyond, what == Watch::Refused);
    }
}

/// Lets the commands of the core set through where nothing but the end of the chain is about
/// them: what is stricter stays before them.
fn with_core_commands(entry: &mut Entry, chains: &mut Vec<Chain>) {
    let mut chain = match *entry {
        Entry::Fixed(ruling) => Chain { arms: Vec::new(), otherwise: ruling },
        Entry::Chain(place) => match chains.get(place) {
            Some(chain) => chain.clone(),
            None => return,
        },
    };
    if chain.otherwise.action == Action::Allow {
        let command = |(command, _): &(u32, &str)| Arm {
            tests: vec![Test::low_equals(1, *command)],
            ruling: chain.otherwise,
        };
        chain.arms.extend(CORE_COMMANDS.iter().map(command));
        *entry = Entry::Chain(chains.len());
        chains.push(chain);
    }
}

fn is_core_command(arm: &Arm) -> bool {
    CORE_COMMANDS.iter().any(|(command, _)| arm.tests == [Test::low_equals(1, *command)])
}

fn seen_chain(chain: Chain, through: bool) -> Chain {
    let mut chain = chain;
    for arm in &mut chain.arms {
        let through = through || is_core_command(arm);
        arm.ruling = seen(arm.ruling, through);
    }
    chain.otherwise = seen(chain.otherwise, through);
    chain
}

fn seen(ruling: Ruling, through: bool) -> Ruling {
    let held_up = match ruling.action {
        // Number 0 is a success that nobody could tell from another.
        Action::Errno(number) => number != 0,
        Action::Allow | Action::Log => !through,
        Action::KillProcess
        | Action::KillThread
        | Action::Trap
        | Action::Notify
        | Action::Trace(_) => false,
    };
    if held_up { Ruling { action: Action::Notify, ..ruling } } else { ruling }
}

/// What a filter was made from, to be kept: for whoever must judge calls later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// The profile, if the engine gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<LinuxSeccomp>>,
    /// Whether the baseline stands.
    pub baseline: bool,
    /// Whether set-id bits are denied.
    pub set_id_bits: bool,
    /// Rules of the baseline that are waived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waive: Vec<String>,
}

impl Basis {
    /// Keeps a request.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        Self {
            profile: request.profile.cloned().map(Box::new),
            baseline: request.baseline == Baseline::Standing,
            set_id_bits: request.set_id_bits == SetIdBits::Denied,
            waive: request.waive.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    /// Makes the request again.
    pub fn with_request<T>(&self, native: Abi, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let waive: Vec<&str> = self.waive.iter().map(String::as_str).collect();
        then(&Request {
            baseline: if self.baseline { Baseline::Standing } else { Baseline::Off },
            set_id_bits: if self.set_id_bits { SetIdBits::Denied } else { SetIdBits::AsGiven },
            waive: &waive,
            ..Request::new(self.profile.as_deref(), native)
        })
    }
}

/// The ABI and the name of a call as a filter sees it, as far as they are known.
#[must_use]
pub fn identify(arch: u32, number: u32) -> (Option<Abi>, Option<&'static str>) {
    let abi = Abi::of_call(arch, number);
    (abi, abi.and_then(|abi| by_number(abi, number)).map(|row| row.name))
}
