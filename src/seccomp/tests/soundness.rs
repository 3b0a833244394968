//! Every program does what was decided.

use oci_spec::runtime::LinuxSeccomp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::*;
use crate::seccomp::program::Program;
use crate::seccomp::{Abi, Baseline, Listener, Request, SeccompError, SetIdBits, compile};

#[test]
fn real_profiles_compile_to_what_was_decided() {
    for json in [PODMAN_4, PODMAN_5, DOCKER, CONTAINERD] {
        let profile = profile(json);
        for baseline in [Baseline::Off, Baseline::Standing] {
            for set_id_bits in [SetIdBits::AsGiven, SetIdBits::Denied] {
                check_program(&Request { baseline, set_id_bits, ..standing(&profile) }, 12);
            }
        }
    }
}

#[test]
fn real_profiles_compile_for_every_kernel() {
    for native in [Abi::Aarch64, Abi::Riscv64] {
        let mut profile = profile(DOCKER);
        profile.set_architectures(Some(
            serde_json::from_value(json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])).unwrap(),
        ));
        check_program(&Request { native, ..standing(&profile) }, 4);
        check_program(&Request { native, ..bare(&profile) }, 4);
    }
}

#[test]
fn the_baseline_alone_compiles_to_what_was_decided() {
    for native in [Abi::X86_64, Abi::Aarch64, Abi::Riscv64] {
        let request = Request { set_id_bits: SetIdBits::Denied, ..Request::new(None, native) };
        check_program(&request, 12);
    }
}

#[test]
fn without_profile_and_baseline_there_is_no_program() {
    let request = Request { baseline: Baseline::Off, ..Request::new(None, Abi::X86_64) };

    assert_eq!(compile(&request), Ok(None));
}

#[test]
fn the_limit_of_instructions_is_an_error_not_a_broken_program() {
    let rules: Vec<Value> = (0..3000)
        .map(|value| {
            json!({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": value % 6, "value": value, "op": "SCMP_CMP_EQ"},
                {"index": (value + 1) % 6, "value": value, "op": "SCMP_CMP_LE"}]})
        })
        .collect();
    let json = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules});

    let error = compile(&standing(&serde_json::from_value(json).unwrap())).unwrap_err();

    assert_eq!(error, SeccompError::TooLong);
    assert_eq!(error.to_string(), "/linux/seccomp: the filter has more than 4096 instructions");
}

#[test]
fn a_profile_of_any_size_is_refused_in_time() {
    let rules = |name: &str, count: u64| -> Vec<Value> {
        let rule = |value| {
            json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": value, "op": "SCMP_CMP_NE"},
                {"index": value % 5 + 1, "value": value << 31 | value, "op": "SCMP_CMP_GT"}]})
        };
        (0..count).map(rule).collect()
    };
    let before = seconds_used();
    for count in [4000, 30_000] {
        let json = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules("socket", count)});
        let profile = serde_json::from_value(json).unwrap();

        assert_eq!(compile(&standing(&profile)), Err(SeccompError::TooLong));
    }
    let took = seconds_used() - before;
    assert!(took < 20, "{took} s");
}

#[test]
fn decisions_too_far_for_one_jump_are_reached() {
    let rules: Vec<Value> = (0..300)
        .map(|value| {
            json!({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 1, "value": value * 3, "op": "SCMP_CMP_EQ"}]})
        })
        .chain((0..40_u64).map(|value| {
            json!({"names": ["prctl", "fcntl"], "action": "SCMP_ACT_TRACE", "errnoRet": value,
                "args": [{"index": value % 6, "value": value, "op": "SCMP_CMP_GT"},
                {"index": (value + 1) % 6, "value": value << 33, "op": "SCMP_CMP_NE"}]})
        }))
        .collect();
    let json = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules,
        "architectures": ["SCMP_ARCH_X32", "SCMP_ARCH_X86"]});
    let profile: LinuxSeccomp = serde_json::from_value(json).unwrap();

    check_program(&bare(&profile), 20);
    assert!(compiled(&bare(&profile)).program.instructions.len() > 700);
}

fn action() -> impl Strategy<Value = (&'static str, Option<u32>)> {
    prop_oneof![
        4 => Just(("SCMP_ACT_ALLOW", None)),
        3 => (1..200_u32).prop_map(|errno| ("SCMP_ACT_ERRNO", Some(errno))),
        2 => Just(("SCMP_ACT_ERRNO", None)),
        1 => Just(("SCMP_ACT_KILL", None)),
        1 => Just(("SCMP_ACT_KILL_PROCESS", None)),
        1 => Just(("SCMP_ACT_KILL_THREAD", None)),
        1 => Just(("SCMP_ACT_TRAP", None)),
        1 => Just(("SCMP_ACT_LOG", None)),
        1 => Just(("SCMP_ACT_NOTIFY", None)),
        1 => (0..70_000_u32).prop_map(|message| ("SCMP_ACT_TRACE", Some(message & 0xffff))),
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..20_u64,
        Just(u64::MAX),
        Just(0xffff_ffff),
        Just(0x1_0000_0000),
        Just(0x7e02_0000),
        any::<u64>(),
        (0..64_u32).prop_map(|bit| 1 << bit),
    ]
}

fn argument() -> impl Strategy<Value = Value> {
    let op = prop::sample::select(vec!["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]);
    (0..6_usize, value(), value(), op).prop_map(|(index, value, two, op)| {
        json!({"index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}")})
    })
}

fn rule() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 24] = [
        "read",
        "write",
        "ioctl",
        "prctl",
        "clone",
        "clone3",
        "socket",
        "socketcall",
        "personality",
        "openat",
        "openat2",
        "execve",
        "mount",
        "ptrace",
        "semop",
        "ipc",
        "accept",
        "cacheflush",
        "set_tls",
        "fchmodat2",
        "futex",
        "clock_gettime64",
        "riscv_flush_icache",
        "listns",
    ];
    let names = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..5);
    let args = prop::collection::vec(argument(), 0..4);
    (names, action(), args).prop_map(|(names, (action, errno), args)| {
        let mut rule = json!({"names": names, "action": action, "args": args});
        if let Some(errno) = errno {
            rule["errnoRet"] = errno.into();
        }
        rule
    })
}

pub(super) fn any_profile() -> impl Strategy<Value = LinuxSeccomp> {
    let architectures = prop::sample::subsequence(
        vec![
            "SCMP_ARCH_X86_64",
            "SCMP_ARCH_X86",
            "SCMP_ARCH_X32",
            "SCMP_ARCH_AARCH64",
            "SCMP_ARCH_ARM",
            "SCMP_ARCH_S390X",
        ],
        0..=6,
    );
    (action(), architectures, prop::collection::vec(rule(), 0..12)).prop_map(
        |((default, errno), architectures, syscalls)| {
            let mut profile = json!({"defaultAction": default, "architectures": architectures,
                "syscalls": syscalls});
            if let Some(errno) = errno {
                profile["defaultErrnoRet"] = errno.into();
            }
            serde_json::from_value(profile).unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_profile_compiles_to_what_was_decided(
        profile in any_profile(),
        native in prop::sample::select(vec![Abi::X86_64, Abi::Aarch64, Abi::Riscv64]),
        off in any::<bool>(),
        deny in any::<bool>(),
    ) {
        let baseline = if off { Baseline::Off } else { Baseline::Standing };
        let set_id_bits = if deny { SetIdBits::Denied } else { SetIdBits::AsGiven };
        let listener = Listener::Provided;
        let request = Request { baseline, set_id_bits, native, listener, ..standing(&profile) };
        match compile(&request) {
            Ok(_) => check_program(&request, 3),
            Err(SeccompError::Contradiction { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn a_program_survives_being_written_down(profile in any_profile()) {
        let request = Request { listener: Listener::Provided, ..standing(&profile) };
        if let Ok(Some(compiled)) = compile(&request) {
            let text = serde_json::to_string(&compiled.program).unwrap();
            prop_assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), compiled.program);
        }
    }
}
