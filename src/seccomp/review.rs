//! What is odd about a profile, or about a profile on one kernel: it compiles, and yet does not
//! do what its author must have meant.

use std::collections::BTreeSet;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompOperator as Operator, LinuxSyscall};
use serde::Serialize;

use super::condition::{Test, Width};
use super::paths::{reached, walk};
use super::profile::{ROOT, check, rule_pointer};
use super::resolve::{Arm, Chain, FOREIGN, Origin, Resolved, resolve};
use super::survey::{Fate, fate};
use super::table::{Row, Version, lookup, rows};
use super::{Abi, Action, Request, SeccompError};

/// How much a remark matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Nothing can run under the profile.
    Stops,
    /// It is probably not what was meant.
    Warns,
    /// Good to know.
    Notes,
}

/// One thing that is odd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// How much it matters.
    pub weight: Weight,
    /// Where it is: a JSON pointer into `config.json`.
    pub at: String,
    /// What it is.
    pub what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Remark {
    fn new(weight: Weight, at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { weight, at: at.into(), what: what.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Reviews the profile of a request, for a kernel of this version.
///
/// # Errors
/// As [`compile`](super::compile()).
pub fn review(request: &Request<'_>, kernel: Version) -> Result<Vec<Remark>, SeccompError> {
    let mut remarks = Vec::new();
    if let Some(resolved) = resolve(request, &mut Vec::new())? {
        essential(&resolved, request.native, &mut remarks);
    }
    let Some(profile) = request.profile else { return Ok(remarks) };
    let bare = Request { baseline: super::Baseline::Off, ..*request };
    let bare = resolve(&bare, &mut Vec::new())?;
    let rules = profile.syscalls().as_deref().unwrap_or_default();
    newer(rules, request.native, kernel, &mut remarks);
    if let Some(bare) = &bare {
        idle(profile, request, bare, &mut remarks)?;
        for (index, rule) in rules.iter().enumerate() {
            comparisons(index, rule, &mut remarks);
            evadable(index, rule, bare, request.native, &mut remarks);
        }
    }
    remarks.sort_by_key(|remark| remark.weight);
    Ok(remarks)
}

/// Calls without which nothing runs, or not well.
fn essential(resolved: &Resolved, native: Abi, remarks: &mut Vec<Remark>) {
    let needed = [
        ("execve", Weight::Stops, "no program can be started"),
        ("exit_group", Weight::Warns, "a program that is done cannot end, and crashes or spins"),
        ("rt_sigreturn", Weight::Warns, "no signal handler can return"),
        ("sendto", Weight::Notes, "if the program cannot be started, nobody hears why"),
    ];
    for (name, weight, then) in needed {
        let Some(number) = lookup(name).and_then(|row| row.number(native)) else { continue };
        let (weight, is) = match fate(&resolved.decision(native, number)) {
            Fate::Permitted => continue,
            Fate::Refused => (weight, "is refused"),
            Fate::Conditional => (weight.max(Weight::Warns), "is refused for some arguments"),
            Fate::Asked => (Weight::Notes, "is left to a listener"),
        };
        let what = format!("`{name}` {is}: {then}");
        let remark = Remark::new(weight, format!("{ROOT}/syscalls"), what);
        remarks.push(if weight == Weight::Notes {
            remark
        } else {
            remark.hint(format!("permit `{name}`, without comparing its arguments"))
        });
    }
}

/// Names that the kernel is too old for.
fn newer(rules: &[LinuxSyscall], native: Abi, kernel: Version, remarks: &mut Vec<Remark>) {
    for (index, rule) in rules.iter().enumerate() {
        let named: Vec<&Row> = rule.names().iter().filter_map(|name| lookup(name)).collect();
        let served = |row: &&&Row| native.family().iter().any(|abi| row.number(*abi).is_some());
        let newer = named.iter().filter(served).filter(|row| row.since > kernel);
        let newer: Vec<_> =
            newer.map(|row| format!("`{}` (Linux {})", row.name, row.since)).collect();
        if !newer.is_empty() {
            let what = format!("Linux {kernel} has no {}", newer.join(", "));
            remarks.push(Remark::new(Weight::Notes, rule_pointer(index), what));
        }
    }
}

/// Rules that decide nothing at all.
fn idle(
    profile: &LinuxSeccomp,
    request: &Request<'_>,
    bare: &Resolved,
    remarks: &mut Vec<Remark>,
) -> Result<(), SeccompError> {
    let busy = busy(bare);
    let bare_request = Request { baseline: super::Baseline::Off, ..*request };
    let checked = check(profile, &bare_request, &mut Vec::new())?;
    for rule in checked.rules.iter().filter(|rule| !busy.contains(&rule.index)) {
        let served = |row: &&'static Row| checked.abis.iter().any(|abi| row.number(*abi).is_some());
        if !rule.calls.iter().any(served) {
            continue;
        }
        let what = if rule.action == checked.default {
            "decides nothing: it says what the default says"
        } else {
            "decides nothing: other rules decide before it, or its conditions never hold"
        };
        let weight = if rule.action == checked.default { Weight::Notes } else { Weight::Warns };
        remarks.push(Remark::new(weight, rule_pointer(rule.index), what));
    }
    Ok(())
}

/// The rules that decide some call of some ABI.
fn busy(bare: &Resolved) -> BTreeSet<usize> {
    let mut busy = BTreeSet::new();
    for rules in &bare.abis {
        for number in rows().iter().filter_map(|row| row.number(rules.abi)) {
            let chain = bare.decision(rules.abi, number);
            let mut note = |origin| {
                if let Origin::Rule(index) = origin {
                    busy.insert(index);
                }
            };
            let walked = walk(&[&chain], &mut |meeting| {
                meeting.rulings.iter().for_each(|ruling| note(ruling.origin));
            });
            if walked.is_err() {
                chain.arms.iter().for_each(|arm| note(arm.ruling.origin));
                note(chain.otherwise.origin);
            }
        }
    }
    busy
}

/// Comparisons that come out the same for every argument.
fn comparisons(index: usize, rule: &LinuxSyscall, remarks: &mut Vec<Remark>) {
    for (place, given) in rule.args().iter().flatten().enumerate() {
        let Ok(arg) = u8::try_from(given.index()) else { continue };
        let values = [given.value(), given.value_two().unwrap_or_default()];
        let test = Test::from_oci(arg, given.op(), values, Width::Wide);
        let chain =
            Chain { arms: vec![Arm { tests: vec![test], ruling: FOREIGN }], otherwise: FOREIGN };
        let what = match reached(&chain) {
            Ok((arms, _)) if arms == [false] => "never holds",
            Ok((_, false)) => "always holds",
            Ok(_) | Err(_) => continue,
        };
        let at = format!("{}/args/{place}", rule_pointer(index));
        remarks.push(Remark::new(Weight::Warns, at, format!("this comparison {what}")));
    }
}

/// Arguments of which the kernel takes the low 32 bits only.
const NARROW: [(&str, &[u8]); 24] = [
    ("bpf", &[0]),
    ("chmod", &[1]),
    ("clone", &[0]),
    ("creat", &[1]),
    ("fchmod", &[1]),
    ("fchmodat", &[2]),
    ("fcntl", &[1]),
    ("ioctl", &[1]),
    ("keyctl", &[0]),
    ("kill", &[0, 1]),
    ("madvise", &[2]),
    ("mkdir", &[1]),
    ("mkdirat", &[2]),
    ("mknod", &[1]),
    ("mknodat", &[2]),
    ("open", &[1, 2]),
    ("openat", &[2, 3]),
    ("personality", &[0]),
    ("prctl", &[0]),
    ("setns", &[1]),
    ("setsockopt", &[1, 2]),
    ("socket", &[0, 1, 2]),
    ("socketpair", &[0, 1, 2]),
    ("unshare", &[0]),
];

/// Denials that compare more than the kernel looks at: with anything in the high half of the
/// argument, the same call is another one to the filter.
fn evadable(
    index: usize,
    rule: &LinuxSyscall,
    bare: &Resolved,
    native: Abi,
    remarks: &mut Vec<Remark>,
) {
    for (place, given) in rule.args().iter().flatten().enumerate() {
        let mask = if given.op() == Operator::ScmpCmpEq {
            u64::MAX
        } else if given.op() == Operator::ScmpCmpMaskedEq {
            given.value()
        } else {
            continue;
        };
        let narrow = |name: &&String| {
            let arg = u8::try_from(given.index()).unwrap_or(u8::MAX);
            NARROW.iter().any(|(call, args)| *call == name.as_str() && args.contains(&arg))
        };
        let Some(name) =
            rule.names().iter().filter(narrow).find(|name| {
                mask >> 32 != 0 && native.is_wide() && denies(bare, native, name, index)
            })
        else {
            continue;
        };
        let at = format!("{}/args/{place}", rule_pointer(index));
        let what = format!(
            "compares all 64 bits, and the kernel takes 32 of them: `{name}` with anything in the \
             other half walks around this denial"
        );
        let low = 0xffff_ffff_u64;
        remarks.push(Remark::new(Weight::Warns, at, what).hint(format!(
            "use SCMP_CMP_MASKED_EQ with value {} and valueTwo {}",
            mask & low,
            given.value_two().filter(|_| mask != u64::MAX).unwrap_or(given.value()) & low
        )));
    }
}

/// Whether what a rule says of a call is stricter than what becomes of the call without it.
fn denies(bare: &Resolved, native: Abi, name: &str, index: usize) -> bool {
    let Some(number) = lookup(name).and_then(|row| row.number(native)) else { return false };
    let chain = bare.decision(native, number);
    let strict = |action: Action| action.strictness();
    let own = chain.arms.iter().find(|arm| arm.ruling.origin == Origin::Rule(index));
    own.is_some_and(|arm| strict(arm.ruling.action) > strict(chain.otherwise.action))
}
