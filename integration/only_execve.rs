//! `execve` is the only call between the load of the filter and the program: a filter that permits
//! nothing else, and kills for everything else, lets the program begin.
//!
//! The program makes no call at all. It ends by an instruction that no processor has, SIGILL, where
//! a call that the filter does not permit would have ended it by SIGSYS.
#![cfg(target_arch = "x86_64")]

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::{Bundle, Runtime, make_program};

const SIGILL: i32 = 128 + 4;
const SIGSYS: i32 = 128 + 31;

/// An instruction that no processor has.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// A jump to itself.
const SPIN: [u8; 2] = [0xeb, 0xfe];

/// A static program of this code: one header, one segment that is all of the file.
fn program(code: [u8; 2]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
    let wide = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
    half(&mut elf, 2); // ET_EXEC
    half(&mut elf, 62); // EM_X86_64
    word(&mut elf, 1);
    wide(&mut elf, BASE + HEADERS); // where it begins
    wide(&mut elf, 64); // the program header
    wide(&mut elf, 0);
    word(&mut elf, 0);
    for value in [64, 56, 1, 0, 0, 0] {
        half(&mut elf, value);
    }
    word(&mut elf, 1); // PT_LOAD
    word(&mut elf, 5); // readable, executable
    for value in [0, BASE, BASE, HEADERS + 2, HEADERS + 2, 0x1000] {
        wide(&mut elf, value);
    }
    elf.extend(code);
    elf
}

fn put(bundle: &Bundle, name: &str, code: [u8; 2]) {
    let path = bundle.rootfs().join(name);
    make_program(path, program(code));
}

/// A container that runs `/PROGRAM` under a filter that permits these calls and kills for others.
fn permitting(calls: &[&str], program: &str) -> Bundle {
    let rules = json!([{"names": calls, "action": "SCMP_ACT_ALLOW"}]);
    let rules = if calls.is_empty() { json!([]) } else { rules };
    let bundle = Bundle::new()
        .set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": rules}))
        .set("/process/rlimits", json!([{"type": "RLIMIT_CORE", "hard": 0, "soft": 0}]))
        .set("/process/args", json!([Path::new("/").join(program)]));
    put(&bundle, "ud2", UD2);
    put(&bundle, "spin", SPIN);
    bundle
}

fn runtimes() -> [(&'static str, Runtime); 2] {
    [("hardened", Runtime::new()), ("audit", Runtime::audit())]
}

// rows: linux.seccomp
#[test]
fn a_program_begins_under_a_filter_that_permits_nothing_else() {
    for (level, runtime) in runtimes() {
        for no_new_privileges in [true, false] {
            let bundle = permitting(&["execve"], "ud2")
                .set("/process/noNewPrivileges", json!(no_new_privileges));

            let ran = runtime.run(&bundle);

            assert_eq!(ran.status, Some(SIGILL), "{level}, {no_new_privileges}: {ran:?}");
        }
    }
}

#[test]
fn one_call_more_would_have_been_seen() {
    for (level, runtime) in runtimes() {
        let ran = runtime.run(&permitting(&[], "ud2"));

        assert_eq!(ran.status, Some(SIGSYS), "{level}: {ran:?}");
    }
}

#[test]
fn a_created_container_begins_so_too_and_so_does_what_enters_it() {
    for (level, runtime) in runtimes() {
        let bundle = permitting(&["execve"], "spin");
        let pid = runtime.started(&bundle);
        let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert!(exe.ends_with("spin"), "{level}: {exe:?}");

        let entered = runtime.call(["exec", bundle.id(), "/ud2"]);
        assert_eq!(entered.status, Some(SIGILL), "{level}: {entered:?}");

        assert_eq!(runtime.state(&bundle)["status"], "running", "{level}");
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}
