//! The compiler beside others: libseccomp, as runc drives it, and seccompiler.
//!
//! Each of the three comparisons makes 340,000 calls, so that all together are more than a million;
//! `CASEMATE_DIFFERENTIAL=10000000` sets another number.
//!
//! Differences that are meant, and nothing else is let pass:
//! - a call of an architecture that the profile does not name kills the process, not the thread;
//! - an x32 call, if the profile does not name x32, fails with ENOSYS instead of killing;
//! - runc's own addition to libseccomp: numbers above all named ones fail with ENOSYS;
//! - of conditional rules that apply to the same call and answer differently, the strictest
//!   decides; libseccomp goes by the order of its own tree.

#![expect(clippy::as_conversions, reason = "a test may fail loudly")]

mod headers;
mod libseccomp;
mod rust_vmm;

use casemate::seccomp::{Abi, Baseline, Listener, Program, Request, compile};
use oci_spec::runtime::LinuxSeccomp;
use serde_json::Value;

const REAL: [(&str, &str); 4] = [
    ("podman-4.3", include_str!("../golden/seccomp/podman-4.3.json")),
    ("podman-5.4", include_str!("../golden/seccomp/podman-5.4.json")),
    ("docker-20.10", include_str!("../golden/seccomp/docker-20.10.json")),
    ("containerd-2.1", include_str!("../golden/seccomp/containerd-2.1.json")),
];

/// How many calls a test may compare.
fn budget() -> usize {
    let wanted = std::env::var("CASEMATE_DIFFERENTIAL").ok();
    wanted.map_or(340_000, |text| text.parse().expect("CASEMATE_DIFFERENTIAL: a number"))
}

/// The profile as written, without the baseline; `None` if it contradicts itself.
fn own_program(profile: &Value) -> Option<Program> {
    let profile: LinuxSeccomp = serde_json::from_value(profile.clone()).unwrap();
    let request = Request {
        baseline: Baseline::Off,
        listener: Listener::Provided,
        ..Request::new(Some(&profile), Abi::X86_64)
    };
    compile(&request).ok().map(|compiled| compiled.unwrap().program)
}

/// Values worth passing as arguments: those of the program's comparisons, and their neighbours.
fn values(programs: &[&[casemate::seccomp::Instruction]]) -> Vec<u64> {
    let mut values = vec![0, 1, u64::MAX, 0xffff_ffff, 1 << 32];
    for instruction in programs.iter().copied().flatten() {
        if instruction.code & 7 == 5 || instruction.code == 0x54 {
            let k = u64::from(instruction.k);
            values.extend([k.wrapping_sub(1), k, k + 1, k << 32, k | k << 32]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// Numbers that differ, the same in every run: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn arguments(&mut self, values: &[u64]) -> [u64; 6] {
        [(); 6].map(|()| {
            let value = self.pick(values);
            if self.below(8) == 0 { value ^ self.next() << 32 } else { value }
        })
    }
}
