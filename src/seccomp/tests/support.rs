//! Profiles, calls worth trying, and the check of a program against its decisions.

use std::collections::BTreeSet;

use oci_spec::runtime::LinuxSeccomp;

use crate::seccomp::abi::{Abi, X32_BIT};
use crate::seccomp::interpret::{Call, interpret};
use crate::seccomp::program::{Instruction, Program};
use crate::seccomp::table::lookup;
use crate::seccomp::{Action, Baseline, Compiled, Request, compile, resolve};

pub(super) const PODMAN_4: &str =
    include_str!("../../../integration/golden/seccomp/podman-4.3.json");
pub(super) const PODMAN_5: &str =
    include_str!("../../../integration/golden/seccomp/podman-5.4.json");
pub(super) const DOCKER: &str =
    include_str!("../../../integration/golden/seccomp/docker-20.10.json");
pub(super) const CONTAINERD: &str =
    include_str!("../../../integration/golden/seccomp/containerd-2.1.json");

pub(super) fn profile(json: &str) -> LinuxSeccomp {
    serde_json::from_str(json).unwrap()
}

/// The profile on x86_64, with the baseline.
pub(super) fn standing(profile: &LinuxSeccomp) -> Request<'_> {
    Request::new(Some(profile), Abi::X86_64)
}

/// The profile on x86_64, as it is.
pub(super) fn bare(profile: &LinuxSeccomp) -> Request<'_> {
    Request { baseline: Baseline::Off, ..standing(profile) }
}

pub(super) fn compiled(request: &Request<'_>) -> Compiled {
    compile(request).unwrap().unwrap()
}

pub(super) fn error(json: &str) -> String {
    compile(&standing(&profile(json))).unwrap_err().to_string()
}

pub(super) fn call(abi: Abi, name: &str, args: &[u64]) -> Call {
    let nr = lookup(name).unwrap().number(abi).unwrap();
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { nr, arch: abi.audit_arch(), instruction_pointer: 0, args: all }
}

pub(super) fn answer(program: &Program, call: &Call) -> Action {
    interpret(&program.instructions, call).unwrap()
}

/// The answer to a call of x86_64.
pub(super) fn answer_to(compiled: &Compiled, name: &str, args: &[u64]) -> Action {
    answer(&compiled.program, &call(Abi::X86_64, name, args))
}

/// Values that a comparison in the program may tell apart, and some that none does.
pub(super) fn values(program: &Program) -> Vec<u64> {
    let mut values = BTreeSet::from([0, 1, u64::MAX, u64::from(u32::MAX), 1 << 32]);
    for instruction in &program.instructions {
        if instruction.code & 7 == 5 || instruction.code == 0x54 {
            let k = u64::from(instruction.k);
            for near in [k.wrapping_sub(1), k, k.wrapping_add(1), k << 32, k | k << 32] {
                values.insert(near);
            }
        }
    }
    values.into_iter().collect()
}

/// Numbers of calls worth trying: all that exist, holes, and what lies beyond.
pub(super) fn numbers() -> Vec<u32> {
    let low = (0..600).chain([1000, 0x000e_ffff, 0x0010_0000, 0x3fff_ffff]);
    let private = 0x000f_0000..0x000f_0012;
    let low: Vec<u32> = low.chain(private).collect();
    let x32 = low.iter().map(|number| number | X32_BIT).collect::<Vec<_>>();
    low.into_iter().chain(x32).chain([0x8000_0000, u32::MAX - 1, u32::MAX]).collect()
}

pub(super) const ARCHES: [u32; 6] =
    [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0xc000_00f3, 0];

/// What the kernel checks before it accepts a filter.
pub(super) fn check_acceptable(instructions: &[Instruction]) {
    assert!((1..=Program::MAX).contains(&instructions.len()));
    assert_eq!(instructions.last().unwrap().code & 7, 6, "the end is a return");
    for (at, instruction) in instructions.iter().enumerate() {
        let left = instructions.len() - at - 1;
        match instruction.code {
            0x05 => assert!(usize::try_from(instruction.k).unwrap() < left, "jump at {at}"),
            code if code & 7 == 5 => {
                assert!(usize::from(instruction.jt.max(instruction.jf)) < left, "branch at {at}");
            }
            0x20 => assert!(instruction.k < 64 && instruction.k.is_multiple_of(4)),
            0x06 | 0x54 => {}
            other => panic!("instruction {other:#x} at {at}"),
        }
    }
}

/// Holds the program against the decisions; `samples` argument lists for each number.
pub(super) fn check_program(request: &Request<'_>, samples: usize) {
    let resolved = resolve::resolve(request, &mut Vec::new()).unwrap().unwrap();
    let program = compiled(request).program;
    check_acceptable(&program.instructions);
    let values = values(&program);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for arch in ARCHES {
        for nr in numbers() {
            for _ in 0..samples {
                let args = [(); 6].map(|()| random.pick(&values));
                let call = Call { nr, arch, instruction_pointer: random.next(), args };
                let decided = resolved.judge(&call);
                assert_eq!(answer(&program, &call), decided.action, "{call:x?} {decided:?}");
            }
        }
    }
}

/// A small generator of numbers that differ: xorshift.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of the values, sometimes with something in its high half.
    pub(super) fn pick(&mut self, values: &[u64]) -> u64 {
        let place = usize::try_from(self.next() >> 1).unwrap() % values.len();
        let value = values[place];
        if self.next().is_multiple_of(8) { value ^ (self.next() << 32) } else { value }
    }
}

/// Seconds that this thread has spent on a processor: other than by the clock, a busy machine takes
/// no longer. Reference: `proc_pid_stat(5)`, `utime` and `stime`, in hundredths.
pub(super) fn seconds_used() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let spent = after_name.split_whitespace().skip(11).take(2);
    spent.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>() / 100
}
