//! Any profile: the program answers every call as was decided, or the profile is refused.
#![no_main]

use arbitrary::Arbitrary;
use casemate::seccomp::{
    Abi, Baseline, Call, Listener, Request, SetIdBits, compile, interpret, judge,
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const NAMES: [&str; 16] = [
    "read", "ioctl", "prctl", "clone", "clone3", "socket", "socketcall", "personality", "openat",
    "openat2", "semop", "ipc", "accept", "set_tls", "fchmodat2", "riscv_flush_icache",
];
const OPS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const ACTIONS: [&str; 9] = [
    "KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "NOTIFY", "TRACE", "LOG", "ALLOW",
];
const ARCHES: [&str; 5] = ["X86_64", "X86", "X32", "AARCH64", "ARM"];

#[derive(Arbitrary, Debug)]
struct Input {
    default: (u8, u8),
    arches: u8,
    rules: Vec<Rule>,
    native: u8,
    off: bool,
    set_id: bool,
    calls: Vec<Seen>,
}

#[derive(Arbitrary, Debug)]
struct Rule {
    names: [u8; 2],
    action: (u8, u8),
    args: Vec<(u8, u8, u64, u64)>,
}

#[derive(Arbitrary, Debug)]
struct Seen {
    abi: u8,
    nr: u32,
    args: [u64; 6],
}

fn pick<T: Copy>(list: &[T], at: u8) -> T {
    list[usize::from(at) % list.len()]
}

fn with_action(rule: &mut Value, (action, number): (u8, u8), keys: [&str; 2]) {
    let action = pick(&ACTIONS, action);
    rule[keys[0]] = format!("SCMP_ACT_{action}").into();
    if matches!(action, "ERRNO" | "TRACE") && number != 0 {
        rule[keys[1]] = number.into();
    }
}

fn profile(input: &Input) -> Value {
    let rules = input.rules.iter().map(|rule| {
        let args = rule.args.iter().take(6).map(|(index, op, value, two)| {
            json!({"index": index % 6, "value": value, "valueTwo": two,
                "op": format!("SCMP_CMP_{}", pick(&OPS, *op))})
        });
        let mut json = json!({"names": rule.names.map(|name| pick(&NAMES, name)),
            "args": args.collect::<Vec<_>>()});
        with_action(&mut json, rule.action, ["action", "errnoRet"]);
        json
    });
    let arches = ARCHES.iter().enumerate().filter(|(bit, _)| input.arches >> bit & 1 == 1);
    let arches: Vec<_> = arches.map(|(_, name)| format!("SCMP_ARCH_{name}")).collect();
    let mut json = json!({"architectures": arches, "syscalls": rules.collect::<Vec<_>>()});
    with_action(&mut json, input.default, ["defaultAction", "defaultErrnoRet"]);
    json
}

fuzz_target!(|input: Input| {
    let profile = serde_json::from_value(profile(&input)).expect("a profile of the right form");
    let request = Request {
        baseline: if input.off { Baseline::Off } else { Baseline::Standing },
        set_id_bits: if input.set_id { SetIdBits::Denied } else { SetIdBits::AsGiven },
        listener: Listener::Provided,
        ..Request::new(Some(&profile), pick(&[Abi::X86_64, Abi::Aarch64, Abi::Riscv64], input.native))
    };
    let Ok(compiled) = compile(&request) else { return };
    let program = compiled.expect("there is a profile").program.instructions;
    for seen in &input.calls {
        let abi = pick(&Abi::ALL, seen.abi);
        // Mostly numbers that exist, with the bit of x32 now and then.
        let nr = if seen.nr % 4 == 0 { seen.nr } else { seen.nr % 600 | seen.nr & 0x4000_0000 };
        let call = Call { nr, arch: abi.audit_arch(), instruction_pointer: 0, args: seen.args };
        let judged = judge(&request, &call).expect("it compiled").expect("there is a filter");
        let answer = interpret(&program, &call).expect("a legal program");
        assert_eq!(answer.to_string(), judged.case.action, "{call:x?} {judged:?}");
    }
});
