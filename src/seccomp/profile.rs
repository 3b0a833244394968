//! `/linux/seccomp` of `config.json`, checked.
//!
//! Spec: runtime-spec, config-linux.md, "Seccomp".

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag as Flag, LinuxSeccompOperator,
    LinuxSyscall,
};

use super::abi::Abi;
use super::action::Action;
use super::errno;
use super::error::{SeccompError, Warning};
use super::program::flag;
use super::table::{Row, lookup};
use super::{Baseline, Listener, Request};

/// Where the object stands in `config.json`.
pub(crate) const ROOT: &str = "/linux/seccomp";

/// A profile in which everything named is known.
#[derive(Debug)]
pub(crate) struct Profile {
    /// For calls that no rule is about.
    pub(crate) default: Action,
    /// Whose calls are decided one by one; the kernel's own is always among them.
    pub(crate) abis: Vec<Abi>,
    /// In the order of the file.
    pub(crate) rules: Vec<Rule>,
    /// Bits for seccomp(2).
    pub(crate) flags: u32,
}

/// One element of `syscalls`.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its place in the list.
    pub(crate) index: usize,
    /// The calls it is about.
    pub(crate) calls: Vec<&'static Row>,
    pub(crate) action: Action,
    /// Each of these is a rule of its own: a list of comparisons that must all hold.
    pub(crate) alternatives: Vec<Vec<Condition>>,
}

/// One element of `args`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    /// 0 to 5.
    pub(crate) arg: u8,
    pub(crate) op: LinuxSeccompOperator,
    pub(crate) values: [u64; 2],
}

/// The address of a rule.
pub(crate) fn rule_pointer(index: usize) -> String {
    format!("{ROOT}/syscalls/{index}")
}

/// Checks a profile.
///
/// # Errors
/// The first thing in it that cannot be done as written.
pub(crate) fn check(
    seccomp: &LinuxSeccomp,
    request: &Request<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Profile, SeccompError> {
    let default = action(seccomp.default_action(), seccomp.default_errno_ret(), || {
        (format!("{ROOT}/defaultAction"), format!("{ROOT}/defaultErrnoRet"))
    })?;
    let mut reader = Reader { default, request, warnings, asks: default == Action::Notify };
    let syscalls = seccomp.syscalls().as_deref().unwrap_or_default();
    let rules = syscalls.iter().enumerate();
    let rules: Vec<_> = rules.map(|(i, rule)| reader.rule(i, rule)).collect::<Result<_, _>>()?;
    let asks = reader.asks;
    let flags = flags(seccomp, request.baseline, asks)?;
    if asks && request.listener == Listener::None {
        return Err(SeccompError::Listener { at: format!("{ROOT}/defaultAction") });
    }
    Ok(Profile { default, abis: abis(seccomp, request.native), rules, flags })
}

fn abis(seccomp: &LinuxSeccomp, native: Abi) -> Vec<Abi> {
    let listed = seccomp.architectures().as_deref().unwrap_or_default();
    let is_listed = |abi: Abi| listed.iter().any(|arch| Abi::from_oci(*arch, native) == Some(abi));
    native.family().iter().copied().filter(|abi| *abi == native || is_listed(*abi)).collect()
}

fn flags(seccomp: &LinuxSeccomp, baseline: Baseline, asks: bool) -> Result<u32, SeccompError> {
    let Some(list) = seccomp.flags() else {
        // What runc does where nothing is said. With the baseline, the machine's own setting
        // (spec_store_bypass_disable=) decides.
        let quiet = match baseline {
            Baseline::Off => flag::SPEC_ALLOW,
            Baseline::Standing => 0,
        };
        return Ok(quiet | listener_flag(asks));
    };
    let mut bits = listener_flag(asks);
    for (i, given) in list.iter().enumerate() {
        bits |= match given {
            Flag::SeccompFilterFlagLog => flag::LOG,
            Flag::SeccompFilterFlagTsync if asks => flag::TSYNC | flag::TSYNC_ESRCH,
            Flag::SeccompFilterFlagTsync => flag::TSYNC,
            Flag::SeccompFilterFlagSpecAllow => flag::SPEC_ALLOW,
            Flag::SeccompFilterFlagWaitKillableRecv if asks => flag::WAIT_KILLABLE_RECV,
            Flag::SeccompFilterFlagWaitKillableRecv => {
                return Err(SeccompError::Flag {
                    at: format!("{ROOT}/flags/{i}"),
                    why: "is only for filters with SCMP_ACT_NOTIFY",
                });
            }
        };
    }
    Ok(bits)
}

fn listener_flag(asks: bool) -> u32 {
    if asks { flag::NEW_LISTENER } else { 0 }
}

/// An action with its number; `addresses` gives those of both.
fn action(
    kind: LinuxSeccompAction,
    number: Option<u32>,
    addresses: impl Fn() -> (String, String),
) -> Result<Action, SeccompError> {
    use LinuxSeccompAction as Given;
    let ranged = |max: u32| match number {
        Some(value) if value > max => Err(SeccompError::Range { at: addresses().1, value, max }),
        Some(value) => Ok(u16::try_from(value).unwrap_or(u16::MAX)),
        None => Ok(errno::EPERM),
    };
    let action = match kind {
        Given::ScmpActErrno => return ranged(errno::MAX).map(Action::Errno),
        Given::ScmpActTrace => return ranged(u16::MAX.into()).map(Action::Trace),
        Given::ScmpActKill | Given::ScmpActKillThread => Action::KillThread,
        Given::ScmpActKillProcess => Action::KillProcess,
        Given::ScmpActTrap => Action::Trap,
        Given::ScmpActNotify => Action::Notify,
        Given::ScmpActLog => Action::Log,
        Given::ScmpActAllow => Action::Allow,
    };
    match number {
        Some(_) => Err(SeccompError::UselessErrno { at: addresses().1, action }),
        None => Ok(action),
    }
}

/// What the rules have in common while they are read.
struct Reader<'a> {
    default: Action,
    request: &'a Request<'a>,
    warnings: &'a mut Vec<Warning>,
    /// Whether anything so far asks a listener.
    asks: bool,
}

impl Reader<'_> {
    fn rule(&mut self, index: usize, rule: &LinuxSyscall) -> Result<Rule, SeccompError> {
        let here = || rule_pointer(index);
        let action = action(rule.action(), rule.errno_ret(), || {
            (format!("{}/action", here()), format!("{}/errnoRet", here()))
        })?;
        if action == Action::Notify {
            self.asks = true;
            if self.request.listener == Listener::None {
                return Err(SeccompError::Listener { at: format!("{}/action", here()) });
            }
        }
        if rule.names().is_empty() {
            return Err(SeccompError::NoName { at: format!("{}/names", here()) });
        }
        let mut calls = Vec::with_capacity(rule.names().len());
        for (i, name) in rule.names().iter().enumerate() {
            match lookup(name) {
                Some(row) => calls.push(row),
                None => self.unknown(name, action, format!("{}/names/{i}", here()))?,
            }
        }
        let alternatives = self.alternatives(index, rule)?;
        Ok(Rule { index, calls, action, alternatives })
    }

    /// A dropped name gets the default: harmless where that is as strict. Without the baseline
    /// nothing is judged, and an unknown name is only noted.
    fn unknown(&mut self, name: &str, action: Action, at: String) -> Result<(), SeccompError> {
        if name.is_empty() {
            return Err(SeccompError::NoName { at });
        }
        let name = name.to_owned();
        let loosens = action.strictness() > self.default.strictness();
        if loosens && self.request.baseline == Baseline::Standing {
            return Err(SeccompError::UnknownCall { at, name, default: self.default });
        }
        // Once is enough, however many rules have it.
        let is_told = |known: &Warning| matches!(known, Warning::UnknownCall { name: known, .. } if *known == name);
        if !self.warnings.iter().any(is_told) {
            self.warnings.push(Warning::UnknownCall { at, name });
        }
        Ok(())
    }

    /// A list in which an argument comes twice is a list of alternatives.
    fn alternatives(
        &mut self,
        index: usize,
        rule: &LinuxSyscall,
    ) -> Result<Vec<Vec<Condition>>, SeccompError> {
        let args = rule.args().as_deref().unwrap_or_default();
        let mut conditions = Vec::with_capacity(args.len());
        let mut repeated = false;
        for (i, given) in args.iter().enumerate() {
            let at = || format!("{}/args/{i}", rule_pointer(index));
            let arg = u8::try_from(given.index()).ok().filter(|arg| *arg < 6).ok_or_else(|| {
                SeccompError::ArgumentIndex { at: format!("{}/index", at()), index: given.index() }
            })?;
            let values = [given.value(), given.value_two().unwrap_or_default()];
            let [mask, expected] = values;
            if given.op() == LinuxSeccompOperator::ScmpCmpMaskedEq && expected & !mask != 0 {
                self.warnings.push(Warning::BitsOutsideMask { at: at() });
            }
            repeated |= conditions.iter().any(|known: &Condition| known.arg == arg);
            conditions.push(Condition { arg, op: given.op(), values });
        }
        Ok(match (conditions.is_empty(), repeated) {
            (true, _) => Vec::new(),
            (false, false) => vec![conditions],
            (false, true) => conditions.into_iter().map(|condition| vec![condition]).collect(),
        })
    }
}
