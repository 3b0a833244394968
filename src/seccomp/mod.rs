//! Seccomp profiles to BPF programs, and the check on the compiler. Pure.
//!
//! [`compile`] takes `/linux/seccomp` of `config.json` and the baseline of denials, decides every
//! call once for each ABI ([`resolve`]), and writes one program ([`compile`](mod@compile)). The
//! decisions, not the program, are what is reviewed; [`interpret`] runs programs, and tests hold
//! each against the decisions that it was made from.

mod abi;
mod action;
mod assign;
mod baseline;
mod compare;
mod compile;
mod condition;
mod core_set;
mod disassemble;
mod errno;
mod error;
mod explain;
mod graph;
mod interpret;
mod merge;
mod multiplex;
mod names;
mod paths;
mod profile;
mod program;
mod read_back;
mod resolve;
mod review;
mod settle;
mod solve;
mod survey;
mod table;
mod watch;

#[cfg(test)]
mod tests;

use oci_spec::runtime::LinuxSeccomp;

pub use abi::{Abi, UnknownAbi};
pub use action::Action;
pub use baseline::{BaselineRule, SetIdBits, baseline_rule, baseline_rules, check_waivers};
pub use compare::{AbiDifference, CallDifference, Change, Comparison, Example, NAMELESS, compare};
pub use core_set::{core_commands, core_set};
pub use disassemble::{Line, disassemble, sizes};
pub use errno::name as errno_name;
pub use error::{SeccompError, Warning};
pub use explain::{AbiExplanation, Case, Explanation, Judgement, explain, judge};
pub use interpret::{Call, Fault, interpret};
pub use merge::{MergeError, Merged, MergedRule, Part, merge};
pub use names::{Meant, is_call, meant, suggest};
pub use program::{Instruction, Program, flag};
pub use read_back::{allows_always, explain_program};
pub use review::{Remark, Weight, review};
pub use settle::{Circumstances, SettleError, Settled, settle};
pub use survey::{AbiSurvey, survey};
pub use table::{NoVersion, Version};
pub use watch::{Basis, Watch, Watched, identify, watch};

/// A profile for containers whose engine sends none, at levels that are stricter than a baseline
/// of denials: `profiles/seccomp/allowlist.json`.
pub const ALLOW_LIST: &str = include_str!("../../profiles/seccomp/allowlist.json");

/// What to compile.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `/linux/seccomp`, if the engine gave one.
    pub profile: Option<&'a LinuxSeccomp>,
    /// Whether the baseline of denials is merged in.
    pub baseline: Baseline,
    /// Whether the set-id bits of file modes are denied; only together with the baseline.
    pub set_id_bits: SetIdBits,
    /// The ABI of the kernel itself.
    pub native: Abi,
    /// Baseline rules that the policy waives, by name.
    pub waive: &'a [&'a str],
    /// Whether somebody will answer notifications.
    pub listener: Listener,
}

/// Whether the baseline stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// The profile as given, as runc would have it.
    Off,
    /// Its denials are merged in.
    Standing,
}

/// Whether somebody will answer notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Nobody: a profile that asks is refused.
    None,
    /// The caller will take the descriptor that seccomp(2) returns and have it answered.
    Provided,
}

/// A program, and what was learned on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// What to load.
    pub program: Program,
    /// What the profile's author would want to know.
    pub warnings: Vec<Warning>,
    /// Rules of the baseline that refuse something which the profile would have let through.
    pub denials: Vec<&'static BaselineRule>,
    /// The newest kernel that the profile's author knew calls of.
    pub vintage: Option<Version>,
}

impl<'a> Request<'a> {
    /// The profile with the whole baseline, for the kernel whose own ABI is `native`.
    #[must_use]
    pub const fn new(profile: Option<&'a LinuxSeccomp>, native: Abi) -> Self {
        Self {
            profile,
            baseline: Baseline::Standing,
            set_id_bits: SetIdBits::AsGiven,
            native,
            waive: &[],
            listener: Listener::None,
        }
    }
}

/// Compiles a profile; `None` if there is neither a profile nor a baseline.
///
/// # Errors
/// What is wrong with the profile, with its address.
///
/// Spec: runtime-spec, config-linux.md, "Seccomp". Kernel: seccomp(2).
pub fn compile(request: &Request<'_>) -> Result<Option<Compiled>, SeccompError> {
    let mut warnings = Vec::new();
    let Some(resolved) = resolve::resolve(request, &mut warnings)? else { return Ok(None) };
    let program = compile::emit(&resolved)?;
    let resolve::Resolved { denials, vintage, .. } = resolved;
    Ok(Some(Compiled { program, warnings, denials, vintage }))
}
