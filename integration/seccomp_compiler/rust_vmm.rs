//! Beside seccompiler: one ABI, one answer for matches and one for the rest.

use std::collections::BTreeMap;

use casemate::seccomp::{Call, Instruction, interpret};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use serde_json::{Value, json};

use super::{Random, budget, own_program, values};

const NUMBERS: [(&str, i64); 5] =
    [("read", 0), ("ioctl", 16), ("socket", 41), ("personality", 135), ("openat", 257)];

/// A condition in both notations.
fn condition(random: &mut Random) -> (Value, SeccompCondition) {
    let values = [0, 1, 3, 16, 0x7e02_0000, 0xffff_ffff, 0x1_0000_0000, 0x5_0000_0003, u64::MAX];
    let (value, two) = (random.pick(&values), random.pick(&values));
    let (name, op, value, two) = match random.below(7) {
        0 => ("NE", SeccompCmpOp::Ne, value, 0),
        1 => ("LT", SeccompCmpOp::Lt, value, 0),
        2 => ("LE", SeccompCmpOp::Le, value, 0),
        3 => ("EQ", SeccompCmpOp::Eq, value, 0),
        4 => ("GE", SeccompCmpOp::Ge, value, 0),
        5 => ("GT", SeccompCmpOp::Gt, value, 0),
        _ => ("MASKED_EQ", SeccompCmpOp::MaskedEq(value), value, two & value),
    };
    let index = u8::try_from(random.below(6)).unwrap();
    let compared = if name == "MASKED_EQ" { two } else { value };
    (
        json!({"index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{name}")}),
        SeccompCondition::new(index, SeccompCmpArgLen::Qword, op, compared).unwrap(),
    )
}

/// A profile in both notations.
fn profile(random: &mut Random) -> (Value, Vec<Instruction>) {
    let mut syscalls = Vec::new();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (name, number) in NUMBERS {
        if random.below(4) == 0 {
            syscalls.push(json!({"names": [name], "action": "SCMP_ACT_ALLOW"}));
            rules.insert(number, Vec::new());
            continue;
        }
        for _ in 0..random.below(4) {
            let mut conditions: BTreeMap<u64, (Value, SeccompCondition)> = BTreeMap::new();
            for _ in 0..=random.below(3) {
                let (json, condition) = condition(random);
                conditions.insert(json["index"].as_u64().unwrap(), (json, condition));
            }
            let (json, conditions): (Vec<_>, Vec<_>) = conditions.into_values().unzip();
            syscalls.push(json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": json}));
            rules.entry(number).or_default().push(SeccompRule::new(conditions).unwrap());
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(38),
        SeccompAction::Allow,
        TargetArch::x86_64,
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    let program =
        program.iter().map(|i| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let json = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "syscalls": syscalls});
    (json, program)
}

#[test]
fn random_profiles_are_answered_as_with_seccompiler() {
    let mut random = Random(0xfeed);
    let mut compared = 0;
    while compared < budget() {
        let (profile, other) = profile(&mut random);
        let own = own_program(&profile).unwrap().instructions;
        let values = values(&[&own, &other]);
        for _ in 0..60 {
            for nr in NUMBERS.map(|(_, number)| number).into_iter().chain([1, 300, 335]) {
                let call = Call {
                    nr: u32::try_from(nr).unwrap(),
                    arch: 0xc000_003e,
                    instruction_pointer: 0,
                    args: random.arguments(&values),
                };
                let (own, other) = (interpret(&own, &call), interpret(&other, &call));
                assert_eq!(own, other, "{call:x?}\n{profile:#}");
                compared += 1;
            }
        }
    }
    println!("compared {compared} calls under random profiles with seccompiler");
}
