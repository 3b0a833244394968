//! What a person is told.

use super::support::*;
use crate::seccomp::{Abi, Request, disassemble, explain, judge};

#[test]
fn a_denial_of_the_baseline_is_explained_for_every_abi() {
    let profile = profile(PODMAN_4);

    let text = explain(&standing(&profile), "mount").unwrap().unwrap().to_string();

    let case = "    fail with EPERM
      decided by  baseline rule `mount.change`: nothing inside changes a mount
      hint        an exception in the policy can waive `seccomp.baseline/mount.change`; known to \
                need it: systemd, nested containers
";
    let expected = format!(
        "mount, since Linux 1.0\n  x86_64   number 165\n{case}  x86      number 21\n{case}  \
         x32      number 165\n{case}"
    );
    assert_eq!(text, expected);
}

#[test]
fn conditions_are_explained_in_order() {
    let text = explain(&Request::new(None, Abi::Riscv64), "ioctl").unwrap().unwrap().to_string();

    assert_eq!(
        text,
        "ioctl, since Linux 1.0
  riscv64  number 29
    fail with EPERM if argument 1, low half, is 0x5412
      decided by  baseline rule `terminal.input`: TIOCSTI and TIOCLINUX type into a terminal as \
         if its user had
      hint        an exception in the policy can waive `seccomp.baseline/terminal.input`; known to \
         need it: nothing common
    fail with EPERM if argument 1, low half, is 0x541c
      decided by  baseline rule `terminal.input`: TIOCSTI and TIOCLINUX type into a terminal as \
         if its user had
      hint        an exception in the policy can waive `seccomp.baseline/terminal.input`; known to \
         need it: nothing common
    allow
      decided by  /linux/seccomp/defaultAction: the profile does not name the call
"
    );
}

#[test]
fn a_seen_call_is_named_and_judged() {
    let profile = profile(DOCKER);
    let judged = |call| {
        let judgement = judge(&standing(&profile), &call).unwrap().unwrap();
        (judgement.name.unwrap_or_default(), judgement.case.action, judgement.case.by)
    };
    let expect = |name: &str, action: &str, by: &str| (name.into(), action.into(), by.into());

    assert_eq!(
        judged(call(Abi::X86_64, "read", &[])),
        expect("read", "allow", "/linux/seccomp/syscalls/0")
    );
    assert_eq!(
        judged(call(Abi::X86, "listns", &[])),
        expect("listns", "fail with ENOSYS", "/linux/seccomp")
    );
    assert_eq!(
        judged(call(Abi::X86_64, "bpf", &[])),
        expect("bpf", "fail with EPERM", "/linux/seccomp/defaultAction")
    );
    assert_eq!(
        judged(call(Abi::X86_64, "socket", &[17])),
        expect("socket", "fail with EAFNOSUPPORT", "baseline rule `socket.family`")
    );
    assert_eq!(
        judged(call(Abi::Arm, "read", &[])),
        expect("read", "kill the process", "/linux/seccomp/architectures")
    );
}

#[test]
fn an_unknown_call_has_no_explanation() {
    assert_eq!(explain(&Request::new(None, Abi::X86_64), "frobnicate"), Ok(None));
}

#[test]
fn a_disassembly_names_calls_and_origins() {
    let profile = profile(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["prctl"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]}]}"#,
    );

    let lines = disassemble(&bare(&profile)).unwrap().unwrap();

    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(
        text,
        "   0  load arch
   1  if arch is x86_64 go 3 else 2
   2  kill the process                       every other ABI by /linux/seccomp/architectures
   3  load number                            x86_64, x32
   4  if number >= 157 go 6 else 5           x86_64, x32
   5  if number >= 1 go 13 else 12           x86_64
   6  if number >= 158 go 7 else 8           x86_64, x32
   7  fail with ENOSYS                       x86_64, x32 by newer than the profile, \
/linux/seccomp/architectures
   8  load argument 0, high half             prctl (x86_64) by /linux/seccomp/syscalls/1, default
   9  if it is 0x0 go 10 else 13             prctl (x86_64) by /linux/seccomp/syscalls/1, default
  10  load argument 0, low half              prctl (x86_64) by /linux/seccomp/syscalls/1, default
  11  if it is 0x7 go 12 else 13             prctl (x86_64) by /linux/seccomp/syscalls/1, default
  12  allow                                  read (x86_64), prctl (x86_64) by \
/linux/seccomp/syscalls/0, /linux/seccomp/syscalls/1
  13  fail with EPERM                        x86_64 by default
"
    );
}
