//! `casemate seccomp compile`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use casemate::seccomp::{Action, Call, Instruction, interpret};
use serde_json::json;

use super::{Files, allowing, document, golden, refused, said, word};
use crate::support::{Bundle, Runtime};

/// The instructions that were written as `struct sock_filter`s.
fn instructions(bytes: &[u8]) -> Vec<Instruction> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty());
    chunks
        .iter()
        .map(|[c0, c1, jt, jf, k @ ..]| Instruction {
            code: u16::from_ne_bytes([*c0, *c1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes(*k),
        })
        .collect()
}

fn answer(program: &[Instruction], nr: u32, args: [u64; 6]) -> Action {
    let call = Call { nr, arch: 0xc000_003e, instruction_pointer: 0, args };
    interpret(program, &call).unwrap()
}

#[test]
fn the_report_says_what_came_out() {
    let text = said(&["compile", &golden("podman-4.3")]);

    assert!(text.contains("a profile\nbaseline  merged in\nprogram   "), "{text}");
    assert!(text.contains(" bytes, for x86_64; flags: none\ncompiled  in "), "{text}");
    assert!(text.contains("vintage   Linux 5.15: unnamed calls that came later fail with ENOSYS"));
    let row = text.lines().find(|line| line.starts_with("mount.change ")).unwrap();
    assert!(row.contains("fail with EPERM  ") && row.contains("mount, umount, umount2 and 9 more"));
    assert!(row.ends_with("systemd, nested containers"), "{row}");
    assert!(
        text.ends_with("warning: /syscalls/10: decides nothing for `setns`, /syscalls/1 does\n"),
        "{text}"
    );
}

#[test]
fn the_document_has_the_same_for_programs() {
    let report = document(&["compile", "--json", &golden("podman-4.3")]);

    let instructions = report["instructions"].as_u64().unwrap();
    assert!((100..=450).contains(&instructions), "{instructions}");
    assert_eq!(report["bytes"], instructions * 8);
    assert!((1..=101).contains(&report["compileRuns"].as_u64().unwrap()));
    let abis: Vec<_> =
        report["abis"].as_array().unwrap().iter().map(|abi| abi["abi"].clone()).collect();
    assert_eq!(abis, ["x86_64", "x86", "x32"]);
    assert!(report["denials"].as_array().unwrap().iter().any(|d| d["rule"] == "mount.change"));
    assert!(report.get("disassembly").is_none());
    let with = document(&["compile", "--json", "--disasm", &golden("podman-4.3")]);
    let lines = with["disassembly"].as_array().unwrap().len();
    assert_eq!(u64::try_from(lines).unwrap(), instructions);
}

#[test]
fn the_program_is_written_as_the_kernel_takes_it() {
    let files = Files::new();
    let profile =
        files.with("p.json", &allowing(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#));
    let out = files.path("p.bpf");
    fs::write(&out, "what was there before").unwrap();

    said(&["compile", &profile, "--no-baseline", "-o", word(&out)]);

    let program = instructions(&fs::read(&out).unwrap());
    assert_eq!(answer(&program, 0, [0; 6]), Action::Allow);
    assert_eq!(answer(&program, 1, [0; 6]), Action::Errno(38));
    assert_eq!(fs::read_dir(files.dir.path()).unwrap().count(), 2, "no temporary is left");
    let printed = super::seccomp(&["compile", &profile, "--no-baseline", "-o", "-"]);
    assert!(printed.stderr.is_empty());
}

#[test]
fn nothing_but_a_file_is_replaced() {
    let files = Files::new();
    let profile = files.with("p.json", &allowing(""));
    symlink("/dev/null", files.path("link")).unwrap();
    for place in [word(&files.path("link")), "/dev/null", word(files.dir.path())] {
        let text = refused(&["compile", &profile, "-o", place]);
        assert!(
            text.contains(
                "something is there that is no regular file; hint: `-o -` writes to \
                           standard output"
            ),
            "{text}"
        );
    }
    assert!(files.path("link").is_symlink());
}

#[test]
fn an_engines_file_is_settled_by_capability_processor_and_kernel() {
    let files = Files::new();
    let file = files.with(
        "engine.json",
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS",
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
            "syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW"},
                {"names": ["settimeofday"], "action": "SCMP_ACT_ALLOW",
                 "includes": {"caps": ["CAP_SYS_TIME"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW",
                 "includes": {"minKernel": "4.8"}},
                {"names": ["bogus"], "action": "SCMP_ACT_ALLOW", "excludes": {}}]}"#,
    );
    let permitted = |more: &[&str]| {
        let mut words = vec!["compile", "--json", "--no-baseline", &file];
        words.extend(more);
        let report = document(&words);
        let abis = report["abis"].as_array().unwrap().iter();
        let told = |abi: &serde_json::Value| (abi["abi"].clone(), abi["permitted"].clone());
        abis.filter(|abi| abi["listed"] == true).map(told).collect::<Vec<_>>()
    };
    let both =
        |one, other, count: u64| vec![(json!(one), json!(count)), (json!(other), json!(count))];

    assert_eq!(permitted(&["--arch", "x86_64"]), both("x86_64", "x86", 2));
    assert_eq!(permitted(&["--arch", "amd64", "--kernel", "4.7"]), both("x86_64", "x86", 1));
    assert_eq!(permitted(&["--arch", "arm64", "--cap", "sys_time"]), both("aarch64", "arm", 3));
    let text = said(&["compile", &file, "--arch", "x86_64"]);
    assert!(text.contains("1 rule does not stand for x86_64, Linux "), "{text}");
    assert!(text.contains("/syscalls/1  only with CAP_SYS_TIME  settimeofday"), "{text}");
    // The place in the file, though a rule before it was left out.
    assert!(
        text.contains("warning: /syscalls/3/names/0: `bogus` is no known system call"),
        "{text}"
    );
}

#[test]
fn a_config_and_standard_input_are_read_too() {
    let bundle = Bundle::new().set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read", "raed"], "action": "SCMP_ACT_ALLOW"}]}),
    );
    let config = bundle.dir().join("config.json");

    let text = said(&["compile", word(&config)]);
    assert!(text.contains("/linux/seccomp of a config.json"), "{text}");
    assert!(
        text.contains("warning: /linux/seccomp/syscalls/0/names/1: `raed` is no known"),
        "{text}"
    );

    let runtime = Runtime::new();
    let mut command = runtime.command(["seccomp", "compile", "-", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(allowing("").as_bytes()).unwrap();
    let printed = child.wait_with_output().unwrap();
    assert!(printed.status.success());
    let report: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(report["profile"], "standard input");
}

#[test]
fn a_config_without_a_profile_gets_the_baseline_alone() {
    let files = Files::new();
    let config = files.with("config.json", r#"{"ociVersion": "1.0.2", "linux": {}}"#);

    let text = said(&["compile", &config]);
    assert!(text.contains("a config.json without /linux/seccomp: there is the baseline alone"));
    let text = refused(&["compile", &config, "--no-baseline"]);
    assert!(text.ends_with("has no filter; hint: without --no-baseline there is one"), "{text}");
    let baseline = document(&["compile", "builtin:baseline", "--json"]);
    let alone = document(&["compile", &config, "--json"]);
    assert_eq!(baseline["instructions"], alone["instructions"]);
}

#[test]
fn the_built_in_allow_list_is_at_hand() {
    let report = document(&["compile", "builtin:allow-list", "--json"]);

    assert_eq!(report["warnings"], json!([]));
    let native = &report["abis"][0];
    assert!(native["permitted"].as_u64().unwrap() > 200, "{native}");
    assert!(native["refused"].as_u64().unwrap() > 80, "{native}");
    let text = refused(&["compile", "builtin:nothing"]);
    assert!(text.ends_with("hint: there are builtin:baseline and builtin:allow-list"), "{text}");
}

#[test]
fn a_rule_of_the_baseline_can_be_waived_by_name() {
    let fate = |more: &[&str]| {
        let files = Files::new();
        let out = files.path("out");
        let mut words = vec!["compile", "builtin:baseline", "-o", word(&out)];
        words.extend(more);
        said(&words);
        answer(&instructions(&fs::read(&out).unwrap()), 161, [0; 6])
    };

    assert_eq!(fate(&[]), Action::Errno(1));
    assert_eq!(fate(&["--waive", "mount.chroot"]), Action::Allow);
    let text = refused(&["compile", "builtin:baseline", "--waive", "chroot"]);
    assert!(
        text.ends_with(
            "no rule of the baseline is called `chroot`; hint: `mount.chroot` is one; \
         profiles/seccomp/baseline.json has all"
        ),
        "{text}"
    );
    let text = refused(&["compile", "builtin:baseline", "--waive", "io-uring"]);
    assert!(text.contains("`io-uring` cannot be waived"), "{text}");
    said(&["compile", "builtin:baseline", "--waive", "io-uring", "--keep-set-id"]);
}

#[test]
fn what_is_no_profile_is_named_with_its_address() {
    let files = Files::new();
    for (text, expected) in [
        ("", "line 1"),
        ("{}", "/defaultAction: missing"),
        ("[]", "the document: invalid type: array"),
        (r#"{"defaultAction": "SCMP_ACT_LET"}"#, "/defaultAction: unknown variant `SCMP_ACT_LET`"),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscall": []}"#,
            "`/syscall` is not known to this version; hint: correct it",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"action": "SCMP_ACT_ALLOW",
                "names": ["prctl"], "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_IS"}]}]}"#,
            "/syscalls/0/args/0/op: unknown variant",
        ),
    ] {
        let file = files.with("p.json", text);
        let said = refused(&["compile", &file]);
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("p.json"), "{said}");
    }
    let text = refused(&["compile", "/no/such/file"]);
    assert!(text.contains("cannot read /no/such/file: No such file or directory"), "{text}");
    let text = refused(&["compile", "/dev/zero"]);
    assert!(text.contains("cannot read /dev/zero: it has more than 4 MiB"), "{text}");
}

#[test]
fn every_user_may_compile() {
    use std::os::unix::process::CommandExt;
    let runtime = Runtime::new();
    let mut command = runtime.command(["seccomp", "compile", "builtin:allow-list"]);
    command.uid(65_534).gid(65_534);

    runtime.finish(command).ok();
}
