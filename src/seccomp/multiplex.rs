//! On 32-bit x86, `socketcall` and `ipc` stand for many calls; rules for those are rules for
//! these, as libseccomp has it.
//!
//! While rules are read, each such call has a number of its own, which no kernel knows; at the
//! end what was found under those becomes rules for the numbers that do exist.

use super::Baseline;
use super::condition::Test;
use super::resolve::Arm;

/// The numbers that no kernel knows: this one and [`COUNT`] in all.
pub(crate) const FIRST: u32 = 0xf000_0000;

/// 32 for each of [`THROUGH`].
pub(crate) const COUNT: usize = 64;

/// What the calls are made through, and which bits of the first argument select one: the kernel
/// ignores the high half of `ipc`'s.
pub(crate) const THROUGH: [(&str, u32); 2] = [("socketcall", u32::MAX), ("ipc", 0xffff)];

/// The number under which rules for the call are kept.
///
/// Reference: `linux/net.h`, `SYS_*`; `linux/ipc.h`.
pub(crate) fn number(name: &str) -> Option<u32> {
    let selector = match name {
        "socket" => 1,
        "bind" => 2,
        "connect" => 3,
        "listen" => 4,
        "accept" => 5,
        "getsockname" => 6,
        "getpeername" => 7,
        "socketpair" => 8,
        "send" => 9,
        "recv" => 10,
        "sendto" => 11,
        "recvfrom" => 12,
        "shutdown" => 13,
        "setsockopt" => 14,
        "getsockopt" => 15,
        "sendmsg" => 16,
        "recvmsg" => 17,
        "accept4" => 18,
        "recvmmsg" => 19,
        "sendmmsg" => 20,
        "semop" => 32 + 1,
        "semget" => 32 + 2,
        "semctl" => 32 + 3,
        "semtimedop" => 32 + 4,
        "msgsnd" => 32 + 11,
        "msgrcv" => 32 + 12,
        "msgget" => 32 + 13,
        "msgctl" => 32 + 14,
        "shmat" => 32 + 21,
        "shmdt" => 32 + 22,
        "shmget" => 32 + 23,
        "shmctl" => 32 + 24,
        _ => return None,
    };
    Some(FIRST + selector)
}

/// The conditions of a rule, when the call comes with its arguments in memory; `None`: it is no
/// rule then.
///
/// Without the baseline as libseccomp has it: what is asked of argument 0, whose place the
/// selector takes, is forgotten. With it, a conditional rule that loosens is none, and one that
/// tightens tightens always.
pub(crate) fn conditions(
    alternatives: &[Vec<Test>],
    baseline: Baseline,
    loosens: bool,
) -> Option<Vec<Vec<Test>>> {
    match baseline {
        Baseline::Standing if !loosens || alternatives.is_empty() => Some(Vec::new()),
        Baseline::Standing => None,
        Baseline::Off => {
            let without = |tests: &Vec<Test>| -> Vec<Test> {
                tests.iter().filter(|test| test.arg != 0).copied().collect()
            };
            let rest: Vec<_> = alternatives.iter().map(without).collect();
            Some(if rest.iter().any(Vec::is_empty) { Vec::new() } else { rest })
        }
    }
}

/// The arm for what was found under the number at `place`, counted from [`FIRST`].
///
/// Selectors are compared whole where that is what libseccomp does, and where more would loosen.
pub(crate) fn selected(place: usize, arm: Arm, exact: bool) -> Arm {
    let selector = u32::try_from(place % 32).unwrap_or_default();
    let mask = match THROUGH.get(place / 32) {
        Some((_, mask)) if !exact => *mask,
        Some(_) | None => u32::MAX,
    };
    let mut tests = vec![Test::low_masked(0, mask, selector)];
    tests.extend(arm.tests);
    Arm { tests, ..arm }
}
