use std::sync::LazyLock;
use std::time::SystemTime;

use oci_spec::runtime::LinuxSeccomp;
use proptest::prelude::*;

use super::*;
use crate::record::trace::{Program, Why};
use crate::seccomp::{Action, Baseline, Call, Request, compile, interpret};

const NAMES: [&str; 16] = [
    "read",
    "ioctl",
    "prctl",
    "clone",
    "clone3",
    "socket",
    "socketpair",
    "setsockopt",
    "mknodat",
    "execve",
    "sendto",
    "personality",
    "unshare",
    "fchmodat2",
    "kill",
    "io_uring_setup",
];

/// The number of every call; to look for one is slow.
static NUMBERS: LazyLock<Vec<(Abi, &'static str, u32)>> = LazyLock::new(|| {
    let abis = [(Abi::X86_64, 0..600), (Abi::X86, 0..600), (Abi::X32, 0x4000_0000..0x4000_0258)];
    let all = abis.into_iter().flat_map(|(abi, range)| range.map(move |nr| (abi, nr)));
    all.filter_map(|(abi, nr)| Some((abi, identify(abi.audit_arch(), nr).1?, nr))).collect()
});

fn number(abi: Abi, name: &str) -> Option<u32> {
    let found = NUMBERS.iter().find(|(of, called, _)| (*of, *called) == (abi, name));
    found.map(|(.., nr)| *nr)
}

fn call(abi: Abi, name: &str, args: [u64; 6]) -> Option<Call> {
    Some(Call { nr: number(abi, name)?, arch: abi.audit_arch(), instruction_pointer: 0, args })
}

fn who() -> Program {
    Program { name: "sh".to_owned(), file: "/bin/busybox".to_owned() }
}

fn refuse(trace: &mut Trace, call: &Call, errno: u16) {
    trace.refuse((call, errno), (7, who()), SystemTime::UNIX_EPOCH, Why::default);
}

fn parsed(trace: &Trace) -> LinuxSeccomp {
    serde_json::from_str(&generate(trace, Abi::X86_64).to_text()).unwrap()
}

fn answers(profile: &LinuxSeccomp, baseline: Baseline, calls: &[Call]) -> Vec<Action> {
    let request = Request { baseline, ..Request::new(Some(profile), Abi::X86_64) };
    let program = compile(&request).unwrap().unwrap().program;
    calls.iter().map(|call| interpret(&program.instructions, call).unwrap()).collect()
}

fn seen_call() -> impl Strategy<Value = Call> {
    let abi = prop::sample::select(&[Abi::X86_64, Abi::X86_64, Abi::X86, Abi::X32][..]);
    let value = prop_oneof![0..40_u64, any::<u64>(), any::<u32>().prop_map(u64::from)];
    (abi, prop::sample::select(&NAMES[..]), prop::array::uniform6(value))
        .prop_filter_map("the ABI has no such call", |(abi, name, args)| call(abi, name, args))
}

proptest! {
    #[test]
    fn what_was_seen_is_permitted(calls in prop::collection::vec(seen_call(), 0..120)) {
        let mut trace = Trace::default();
        calls.iter().for_each(|call| trace.permit(call, who));

        for answer in answers(&parsed(&trace), Baseline::Off, &calls) {
            prop_assert_eq!(answer, Action::Allow);
        }
    }

    #[test]
    fn what_was_not_seen_is_refused(
        calls in prop::collection::vec(seen_call(), 0..40),
        other in seen_call(),
    ) {
        let mut trace = Trace::default();
        calls.iter().for_each(|call| trace.permit(call, who));
        let (_, name) = identify(other.arch, other.nr);
        prop_assume!(!core_set().contains(&name.unwrap_or_default()) && name != Some("ioctl"));
        prop_assume!(calls.iter().all(|call| identify(call.arch, call.nr).1 != name));
        let arches = generate(&trace, Abi::X86_64).architectures;
        let listed = identify(other.arch, other.nr).0.is_some_and(|abi| arches.contains(&abi.oci_name()));

        let answer = answers(&parsed(&trace), Baseline::Off, &[other]);

        prop_assert!(!answer[0].is_permissive(), "{:?}", answer);
        prop_assert!(!listed || matches!(answer[0], Action::Errno(_)), "{:?}", answer);
    }
}

#[test]
fn every_core_call_is_permitted_and_nothing_else_of_an_idle_program() {
    let profile = parsed(&Trace::default());

    for nr in 0..470 {
        let call = Call { nr, arch: 0xc000_003e, instruction_pointer: 0, args: [0; 6] };
        let name = identify(call.arch, nr).1;
        let is_core = name.is_some_and(|name| core_set().contains(&name));
        let answer = answers(&profile, Baseline::Off, &[call])[0];
        // ioctl(2) with command 0 is not of the core set; with some others it is.
        assert_eq!(answer.is_permissive(), is_core, "{nr} {name:?}");
    }
}

#[test]
fn a_call_that_programs_fall_back_from_fails_as_it_did() {
    let mut trace = Trace::default();
    let clone3 = call(Abi::X86_64, "clone3", [0; 6]).unwrap();
    refuse(&mut trace, &clone3, 38);
    let ptrace = call(Abi::X86_64, "ptrace", [0; 6]).unwrap();
    refuse(&mut trace, &ptrace, 1);

    let answers = answers(&parsed(&trace), Baseline::Off, &[clone3, ptrace]);

    assert_eq!(answers, [Action::Errno(38), Action::Errno(1)]);
}

#[test]
fn a_profile_says_why_each_rule_is_there() {
    let mut trace = Trace::default();
    for _ in 0..3 {
        trace.permit(&call(Abi::X86_64, "socket", [16, 3, 15, 0, 0, 0]).unwrap(), who);
    }
    trace.permit(&call(Abi::X86_64, "chdir", [0; 6]).unwrap(), Program::default);
    let clone3 = call(Abi::X86_64, "clone3", [0; 6]).unwrap();
    refuse(&mut trace, &clone3, 38);

    let text = generate(&trace, Abi::X86_64).to_text();

    let (_, after_core) = text.rsplit_once("FIOCLEX, of the core set").unwrap();
    let after_core = after_core.split_once("    },\n").unwrap().1;
    assert_eq!(
        after_core,
        r#"    {
      "comment": "3 times, first by sh (/bin/busybox)",
      "names": ["socket"],
      "args": [{"index":0,"value":4294967295,"valueTwo":16,"op":"SCMP_CMP_MASKED_EQ"},
        {"index":1,"value":15,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"},
        {"index":2,"value":4294967295,"valueTwo":15,"op":"SCMP_CMP_MASKED_EQ"}],
      "action": "SCMP_ACT_ALLOW"
    },
    {
      "comment": "once, first by an unknown program",
      "names": ["chdir"],
      "action": "SCMP_ACT_ALLOW"
    },
    {
      "comment": "refused in the same way while this was recorded, once to sh (/bin/busybox); programs fall back on it",
      "names": ["clone3"],
      "errnoRet": 38,
      "action": "SCMP_ACT_ERRNO"
    }
  ]
}
"#
    );
    assert!(text.lines().all(|line| line.len() <= WIDTH || line.contains("comment")), "{text}");
}
