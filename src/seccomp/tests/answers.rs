//! What particular calls are answered.

use serde_json::json;

use super::support::*;
use crate::seccomp::errno;
use crate::seccomp::{
    Abi, Action, Baseline, Listener, Request, SetIdBits, Warning, baseline_rules, compile, flag,
};

const EPERM: Action = Action::Errno(errno::EPERM);
const ENOSYS: Action = Action::Errno(errno::ENOSYS);

#[test]
fn podmans_profile_is_small() {
    let profile = profile(PODMAN_4);

    assert!(compiled(&bare(&profile)).program.instructions.len() <= 240);
    let with_all = Request { set_id_bits: SetIdBits::Denied, ..standing(&profile) };
    assert!(compiled(&with_all).program.instructions.len() <= 400);
}

#[test]
fn the_baseline_cuts_what_a_profile_allows() {
    let profile = profile(PODMAN_4);
    let without = compiled(&bare(&profile));
    let with = compiled(&standing(&profile));

    for name in ["mount", "setns", "chroot", "keyctl", "ptrace"] {
        assert_eq!(answer_to(&without, name, &[]), Action::Allow, "{name}");
        assert_eq!(answer_to(&with, name, &[]), EPERM, "{name}");
    }
    assert_eq!(answer_to(&with, "clone3", &[]), ENOSYS);
    assert_eq!(answer_to(&with, "read", &[]), Action::Allow);
    assert!(without.denials.is_empty());
    assert!(with.denials.iter().any(|rule| rule.id == "mount.change"));
}

#[test]
fn without_a_profile_only_the_baseline_denies() {
    let compiled = compiled(&Request::new(None, Abi::X86_64));

    assert_eq!(answer_to(&compiled, "read", &[]), Action::Allow);
    assert_eq!(answer_to(&compiled, "bpf", &[]), EPERM);
    for (name, args, action) in [
        ("clone", vec![0x11], Action::Allow),
        ("clone", vec![0x1000_0011], EPERM),
        ("unshare", vec![0x400], Action::Allow),
        ("unshare", vec![0x80], EPERM),
        ("personality", vec![0], Action::Allow),
        ("personality", vec![0xffff_ffff], Action::Allow),
        ("personality", vec![8], EPERM),
        ("socket", vec![2, 1, 0], Action::Allow),
        ("socket", vec![38, 5, 0], Action::Errno(errno::EAFNOSUPPORT)),
        ("socket", vec![16, 3, 0], Action::Allow),
        ("socket", vec![16, 3, 15], Action::Allow),
        ("socket", vec![16, 3, 12], Action::Errno(errno::EPROTONOSUPPORT)),
        ("socketpair", vec![1, 1, 0], Action::Allow),
        ("socketpair", vec![30, 1, 0], Action::Errno(errno::EAFNOSUPPORT)),
        ("ioctl", vec![0, 0x5401], Action::Allow),
        ("ioctl", vec![0, 0x5412], EPERM),
        ("chmod", vec![0, 0o4755], Action::Allow),
    ] {
        assert_eq!(answer_to(&compiled, name, &args), action, "{name} {args:x?}");
    }
}

#[test]
fn bits_that_the_kernel_ignores_do_not_hide_a_denial() {
    let compiled = compiled(&Request::new(None, Abi::X86_64));
    let high = 0xdead_beef_0000_0000;

    assert_eq!(answer_to(&compiled, "ioctl", &[0, high | 0x5412]), EPERM);
    assert_eq!(answer_to(&compiled, "clone", &[high | 0x1000_0000]), EPERM);
    assert_eq!(answer_to(&compiled, "socket", &[high | 38]), Action::Errno(97));
    assert_eq!(answer_to(&compiled, "socket", &[high | 2]), Action::Allow);
}

#[test]
fn set_id_bits_are_denied_where_a_mode_is_made() {
    let request = Request { set_id_bits: SetIdBits::Denied, ..Request::new(None, Abi::X86_64) };
    let compiled = compiled(&request);

    for (name, mode_at) in [
        ("chmod", 1),
        ("fchmod", 1),
        ("fchmodat", 2),
        ("fchmodat2", 2),
        ("creat", 1),
        ("mknod", 1),
        ("mknodat", 2),
        ("mkdir", 1),
        ("mkdirat", 2),
    ] {
        let args = |mode| {
            let mut args = [0; 6];
            args[mode_at] = mode;
            args
        };
        assert_eq!(answer_to(&compiled, name, &args(0o1777)), Action::Allow, "{name}");
        assert_eq!(answer_to(&compiled, name, &args(0o4755)), EPERM, "{name}");
        assert_eq!(answer_to(&compiled, name, &args(0o2755)), EPERM, "{name}");
    }
    assert_eq!(answer_to(&compiled, "openat2", &[]), ENOSYS);
    // Without O_CREAT or O_TMPFILE the mode is whatever the register held.
    assert_eq!(answer_to(&compiled, "open", &[0, 0, 0o4755]), Action::Allow);
    assert_eq!(answer_to(&compiled, "open", &[0, 0o100, 0o4755]), EPERM);
    assert_eq!(answer_to(&compiled, "openat", &[0, 0, 0o20_200_000, 0o4755]), EPERM);
}

#[test]
fn a_waived_rule_does_not_deny() {
    let profile = profile(PODMAN_4);
    let compiled = compiled(&Request { waive: &["mount.chroot"], ..standing(&profile) });

    assert_eq!(answer_to(&compiled, "chroot", &[]), Action::Allow);
    assert_eq!(answer_to(&compiled, "mount", &[]), EPERM);
}

#[test]
fn a_stricter_verdict_of_the_profile_stays() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["bpf"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["mount"], "action": "SCMP_ACT_TRAP"},
            {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
            {"names": ["add_key"], "action": "SCMP_ACT_LOG"}]}"#,
    );
    let compiled = compiled(&standing(&profile));

    assert_eq!(answer_to(&compiled, "bpf", &[]), Action::KillProcess);
    assert_eq!(answer_to(&compiled, "mount", &[]), Action::Trap);
    assert_eq!(answer_to(&compiled, "keyctl", &[]), Action::Errno(5));
    assert_eq!(answer_to(&compiled, "add_key", &[]), EPERM);
}

#[test]
fn calls_newer_than_the_profile_fail_with_enosys() {
    // Knows of statx (4.11), not of clone3 (5.3), and denies with EPERM.
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["statx", "read"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );
    let compiled = compiled(&standing(&profile));

    assert_eq!(compiled.vintage.unwrap().to_string(), "4.11");
    assert_eq!(answer_to(&compiled, "faccessat2", &[]), ENOSYS);
    assert_eq!(answer_to(&compiled, "getpid", &[]), EPERM);
    assert_eq!(answer_to(&compiled, "clone3", &[]), ENOSYS);
}

#[test]
fn without_the_baseline_numbers_above_all_named_fail_with_enosys() {
    let profile = profile(DOCKER);
    let compiled = compiled(&bare(&profile));

    // Docker 20.10 names clone3 (435) up to epoll_pwait2 (441).
    assert_eq!(answer_to(&compiled, "listns", &[]), ENOSYS);
    assert_eq!(answer_to(&compiled, "bpf", &[]), EPERM);
}

#[test]
fn other_abis_are_refused_unless_listed() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["getpid"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );
    let compiled = compiled(&standing(&profile));
    let answer_in = |abi| answer(&compiled.program, &call(abi, "getpid", &[]));

    assert_eq!(answer_in(Abi::X86_64), Action::Allow);
    assert_eq!(answer_in(Abi::X32), ENOSYS);
    assert_eq!(answer_in(Abi::X86), Action::KillProcess);
    assert_eq!(answer_in(Abi::Arm), Action::KillProcess);
}

#[test]
fn the_first_unconditional_rule_decides() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["setns"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["setns"], "action": "SCMP_ACT_KILL"}]}"#,
    );
    let compiled = compiled(&bare(&profile));

    assert_eq!(answer_to(&compiled, "setns", &[]), Action::Allow);
    let said: Vec<_> = compiled.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["/linux/seccomp/syscalls/1: decides nothing for `setns`, /linux/seccomp/syscalls/0 does"]
    );
}

#[test]
fn a_denial_before_an_unconditional_allowance_stands_with_the_baseline() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["prctl"], "action": "SCMP_ACT_KILL",
             "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]},
            {"names": ["prctl"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );

    // As with libseccomp, which forgets the denial; and says so here.
    let without = compiled(&bare(&profile));
    assert_eq!(answer_to(&without, "prctl", &[7]), Action::Allow);
    assert!(matches!(without.warnings[..], [Warning::Overruled { .. }]));
    let with = compiled(&standing(&profile));
    assert_eq!(answer_to(&with, "prctl", &[7]), Action::KillThread);
    assert_eq!(answer_to(&with, "prctl", &[8]), Action::Allow);
}

#[test]
fn a_repeated_argument_makes_alternatives() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["prctl"], "action": "SCMP_ACT_ALLOW", "args": [
             {"index": 0, "value": 7, "op": "SCMP_CMP_EQ"},
             {"index": 0, "value": 9, "op": "SCMP_CMP_EQ"},
             {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    let compiled = compiled(&bare(&profile));

    for (args, action) in
        [([7, 0], Action::Allow), ([9, 0], Action::Allow), ([5, 1], Action::Allow), ([5, 0], EPERM)]
    {
        assert_eq!(answer_to(&compiled, "prctl", &args), action, "{args:?}");
    }
}

#[test]
fn a_socket_rule_holds_behind_socketcall() {
    let json = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [{"names": ["connect", "shmget"], "action": "SCMP_ACT_KILL"}]});
    let profile = serde_json::from_value(json).unwrap();
    let compiled = compiled(&standing(&profile));
    let answer = |name, args: &[u64]| answer(&compiled.program, &call(Abi::X86, name, args));

    assert_eq!(answer("connect", &[]), Action::KillThread);
    assert_eq!(answer("socketcall", &[3]), Action::KillThread);
    assert_eq!(answer("socketcall", &[4]), Action::Allow);
    assert_eq!(answer("socketcall", &[1]), Action::Errno(errno::EAFNOSUPPORT));
    assert_eq!(answer("ipc", &[23 | 0x10000]), Action::KillThread);
    assert_eq!(answer("ipc", &[24]), Action::Allow);
}

#[test]
fn flags_are_those_of_seccomp_2() {
    let flags = |json: &str, baseline, listener| {
        let profile = profile(json);
        compiled(&Request { baseline, listener, ..standing(&profile) }).program.flags
    };
    let all = r#"{"defaultAction": "SCMP_ACT_NOTIFY", "flags": ["SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#;
    let none = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;

    assert_eq!(flags(all, Baseline::Off, Listener::Provided), 0b11_1111);
    assert_eq!(flags(none, Baseline::Standing, Listener::None), 0);
    assert_eq!(flags(none, Baseline::Off, Listener::None), flag::SPEC_ALLOW);
}

#[test]
fn every_action_is_returned() {
    let actions = [
        ("SCMP_ACT_KILL", None, 0),
        ("SCMP_ACT_KILL_THREAD", None, 0),
        ("SCMP_ACT_KILL_PROCESS", None, 0x8000_0000),
        ("SCMP_ACT_TRAP", None, 0x0003_0000),
        ("SCMP_ACT_ERRNO", None, 0x0005_0001),
        ("SCMP_ACT_ERRNO", Some(4095), 0x0005_0fff),
        ("SCMP_ACT_NOTIFY", None, 0x7fc0_0000),
        ("SCMP_ACT_TRACE", Some(0xffff), 0x7ff0_ffff),
        ("SCMP_ACT_LOG", None, 0x7ffc_0000),
        ("SCMP_ACT_ALLOW", None, 0x7fff_0000),
    ];
    for (action, number, ret) in actions {
        let rule = json!({"names": ["read"], "action": action, "errnoRet": number});
        let json = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 77,
            "syscalls": [rule]});
        let profile = serde_json::from_value(json).unwrap();
        let compiled = compiled(&Request { listener: Listener::Provided, ..bare(&profile) });

        assert_eq!(answer_to(&compiled, "read", &[]).to_ret(), ret, "{action}");
    }
}

#[test]
fn the_allow_list_compiles_and_lets_ordinary_programs_run() {
    let profile = profile(include_str!("../../../profiles/seccomp/allowlist.json"));
    let compiled = compiled(&standing(&profile));

    assert_eq!(compiled.warnings, []);
    for name in ["execve", "read", "openat", "mmap", "futex", "clone", "exit_group", "epoll_wait"] {
        assert_eq!(answer_to(&compiled, name, &[]), Action::Allow, "{name}");
    }
    assert_eq!(answer_to(&compiled, "clone3", &[]), ENOSYS);
    // It needs no denial of the baseline but those about arguments.
    for rule in baseline_rules().iter().filter(|rule| rule.when.is_empty()) {
        assert!(!compiled.denials.contains(&rule), "{}", rule.id);
    }
}

#[test]
fn compiling_is_a_function_of_its_input() {
    let profile = profile(PODMAN_5);

    assert_eq!(compile(&standing(&profile)), compile(&standing(&profile)));
}
