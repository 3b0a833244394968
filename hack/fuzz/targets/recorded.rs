//! Any calls: the profile that is made of them permits each, and is small.
#![no_main]

use arbitrary::Arbitrary;
use casemate::record::generate::generate;
use casemate::record::trace::{Program, Trace, Why};
use casemate::seccomp::{Abi, Baseline, Call, Request, compile, identify, interpret};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Seen {
    abi: u8,
    nr: u16,
    args: [u64; 6],
    refused: Option<u16>,
}

const ABIS: [Abi; 3] = [Abi::X86_64, Abi::X86, Abi::X32];

fuzz_target!(|seen: Vec<Seen>| {
    let mut trace = Trace::default();
    let mut permitted = Vec::new();
    for Seen { abi, nr, args, refused } in &seen {
        let abi = ABIS[usize::from(*abi) % ABIS.len()];
        let nr = abi.full_number(u32::from(*nr % 600));
        let call = Call { nr, arch: abi.audit_arch(), instruction_pointer: 0, args: *args };
        match refused {
            Some(errno) => {
                let who = (7, Program::default());
                trace.refuse((&call, *errno), who, std::time::UNIX_EPOCH, Why::default);
            }
            None => {
                trace.permit(&call, Program::default);
                permitted.push(call);
            }
        }
    }
    let text = generate(&trace, Abi::X86_64).to_text();
    let profile = serde_json::from_str(&text).expect("a profile");
    let request = Request { baseline: Baseline::Off, ..Request::new(Some(&profile), Abi::X86_64) };
    let program = compile(&request).expect("a sound profile").expect("a filter").program;
    for call in permitted.iter().filter(|call| identify(call.arch, call.nr).1.is_some()) {
        let answer = interpret(&program.instructions, call).expect("a legal program");
        assert!(answer.is_permissive(), "{call:x?}: {answer}");
    }
});
