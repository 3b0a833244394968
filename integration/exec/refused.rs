//! What cannot be started, what may not be, and the words and statuses that say so.

use std::fs;

use serde_json::{Value, json};

use super::{exec, sleeper, started};
use crate::support::{Bundle, Runtime, Snapshot, make_program, unique_tag};

// rows: cli.exit-statuses, cli.error-words
#[test]
fn a_program_that_cannot_run_is_255_in_the_words_that_engines_make_126_and_127_of() {
    let runtime = Runtime::new();
    let bundle = Bundle::new();
    fs::write(bundle.rootfs().join("etc/plain"), "no program\n").unwrap();
    let script = bundle.rootfs().join("bin/broken");
    make_program(script, "#!/no/such/interpreter\n");
    let bundle = started(&runtime, bundle);
    for (program, words) in [
        ("nonesuch", "exec: \"nonesuch\": executable file not found in $PATH"),
        ("/nonesuch", "exec: \"/nonesuch\": no such file or directory"),
        ("/bin/broken", "exec /bin/broken: no such file or directory"),
        ("/etc/plain", "exec: \"/etc/plain\": permission denied"),
        ("/etc", "exec /etc: permission denied"),
    ] {
        for options in [&[][..], &["--detach"]] {
            let file = bundle.dir().join("pid");
            let options = [options, &["--pid-file", file.to_str().unwrap()]].concat();

            let said = exec(&runtime, &bundle, &options, &[program]).failed(255);

            assert!(said.contains(words), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(!file.exists(), "{program}");
        }
    }
}

#[test]
fn a_directory_outside_of_the_root_is_none() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let said = exec(&runtime, &bundle, &["--cwd", "/nope"], &["true"]).failed(255);
    assert!(said.contains("`process.change-directory` failed: /nope: ENOENT"), "{said}");
    assert!(said.contains("no such file or directory"), "{said}");
    for number in 0..40 {
        let cwd = format!("/proc/self/fd/{number}");
        let ran = exec(&runtime, &bundle, &["--cwd", &cwd], &["pwd"]);

        assert_eq!(ran.status, Some(255), "{cwd}: {ran:?}");
    }
    let said = exec(&runtime, &bundle, &["--cwd", "tmp"], &["true"]).failed(255);
    assert!(said.contains("/cwd: not absolute: `tmp`"), "{said}");
}

#[test]
fn what_the_document_asks_for_and_is_not_done_is_refused_by_name() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let file = bundle.dir().join("process.json");
    let whole = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["true"]});
    let with = |pointer: &str, value: Value| {
        let mut document = whole.clone();
        document[pointer] = value;
        fs::write(&file, document.to_string()).unwrap();
        exec(&runtime, &bundle, &["--process", file.to_str().unwrap()], &[])
    };

    with("env", json!(["A=b"])).ok();
    for (name, value, words) in [
        ("args", json!([]), "/args: empty"),
        ("args", json!([""]), "/args/0: empty"),
        ("cwd", json!("tmp"), "/cwd: not absolute"),
        ("env", json!(["A"]), "/env/0: no `=`"),
        ("oomScoreAdj", json!(1001), "/oomScoreAdj: not from -1000 to 1000"),
        ("user", json!({"uid": -1, "gid": 0}), "/user/uid"),
        ("user", json!({"uid": 0, "gid": 4_294_967_295_u32}), "/user/gid: 4294967295 is no id"),
        ("noNewPrivilege", json!(true), "`/noNewPrivilege` is not known to this version"),
        ("execCPUAffinity", json!({"final": "3-1"}), "/execCPUAffinity/final: `3-1` ends before"),
    ] {
        let said = with(name, value.clone()).failed(255);
        assert!(said.contains(words), "{name} {value}: {said}");
    }
    fs::write(&file, "{").unwrap();
    let said = exec(&runtime, &bundle, &["--process", file.to_str().unwrap()], &[]).failed(255);
    assert!(said.contains("process.json: line 1, column 1"), "{said}");
    let said = exec(&runtime, &bundle, &["--process", "/nowhere"], &[]).failed(255);
    assert!(said.contains("cannot read `/nowhere`"), "{said}");
    let pipe = bundle.dir().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let _kept = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let said = exec(&runtime, &bundle, &["--process", pipe.to_str().unwrap()], &[]).failed(255);
    assert!(said.contains("timed out"), "{said}");
    let said = exec(&runtime, &bundle, &["--process", "/dev/zero"], &[]).failed(255);
    assert!(said.contains("is a device, not a regular file"), "{said}");
}

#[test]
fn arguments_that_make_no_sense_are_refused_before_anything_is_opened() {
    let runtime = Runtime::new();
    for (line, words) in [
        (&["exec", "web-1"][..], "COMMAND"),
        (&["exec"], "required arguments were not provided"),
        (&["exec", "--cap", "CAP_NONE", "web-1", "true"], "`CAP_NONE` is no capability"),
        (&["exec", "--env", "A", "web-1", "true"], "is not `NAME=VALUE`"),
        (&["exec", "--cgroup", "../x", "web-1", "true"], "`..` would lead out"),
        (&["exec", "--nosuch", "web-1", "true"], "unexpected argument '--nosuch'"),
    ] {
        let said = runtime.call(line.iter()).failed(2);

        assert!(said.contains(words), "{line:?}: {said}");
    }
}

#[test]
fn what_no_container_may_have_no_process_that_enters_one_has() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let file = bundle.dir().join("process.json");
    let document = json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["true"],
        "scheduler": {"policy": "SCHED_FIFO", "priority": 1},
    });
    fs::write(&file, document.to_string()).unwrap();

    let said = exec(&runtime, &bundle, &["--process", file.to_str().unwrap()], &[]).failed(3);

    assert!(said.contains("refused by rule `task.no-realtime`: /scheduler/policy"), "{said}");
}

/// A runtime under a policy, which is gone when this is dropped.
struct Ruled {
    runtime: Runtime,
    file: std::path::PathBuf,
}

impl Ruled {
    fn new(policy: &str) -> Self {
        let file = std::env::temp_dir().join(unique_tag());
        fs::write(&file, policy).unwrap();
        Self { runtime: Runtime::new().with_global("--policy").with_global(&file), file }
    }
}

impl Drop for Ruled {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

#[test]
fn the_policy_can_refuse_every_command() {
    let ruled = Ruled::new("level = \"hardened\"\n\n[exec]\nallow = false\n");
    let bundle = sleeper(&ruled.runtime);

    let said = exec(&ruled.runtime, &bundle, &[], &["true"]).failed(3);

    assert!(said.contains("refused by rule `exec.allow`: /args asks for a command"), "{said}");
    assert!(said.contains(&format!("{}:3", ruled.file.display())), "{said}");
}

#[test]
fn the_policy_of_the_containers_creation_holds_as_well_as_that_of_today() {
    let ruled = Ruled::new("level = \"hardened\"\n[exec]\nallow = [\"/bin/true\"]\n");
    let bundle = sleeper(&ruled.runtime);
    exec(&ruled.runtime, &bundle, &[], &["/bin/true"]).ok();
    exec(&ruled.runtime, &bundle, &[], &["/bin/false"]).failed(3);

    fs::write(&ruled.file, "level = \"hardened\"\n").unwrap();
    exec(&ruled.runtime, &bundle, &[], &["/bin/true"]).ok();
    exec(&ruled.runtime, &bundle, &[], &["/bin/false"]).failed(3);

    fs::write(&ruled.file, "level = \"hardened\"\n[exec]\nallow = [\"/bin/false\"]\n").unwrap();
    exec(&ruled.runtime, &bundle, &[], &["/bin/true"]).failed(3);
    exec(&ruled.runtime, &bundle, &[], &["/bin/false"]).failed(3);
}

#[test]
fn a_listed_command_is_found_and_runs_with_what_the_container_has() {
    let policy = "level = \"hardened\"\n[exec]\nallow = [[\"report\", \"now\"], \"/bin/env\"]\n";
    let ruled = Ruled::new(policy);
    let bundle = Bundle::new().set("/process/env", json!(["PATH=/bin", "A=b"]));
    for (place, text) in [("bin/report", "true"), ("tmp/report", "false")] {
        let script = bundle.rootfs().join(place);
        make_program(script, format!("#!/bin/sh\necho {text}\n"));
    }
    let bundle = started(&ruled.runtime, bundle);
    let run = |options: &[&str], command: &[&str]| exec(&ruled.runtime, &bundle, options, command);

    assert_eq!(run(&["-e", "PATH=/tmp"], &["report", "now", "please"]).ok(), "true\n");
    let said = run(&["-e", "LD_PRELOAD=/tmp/x", "-e", "TERM=vt", "-e", "A=b"], &["/bin/env"]).ok();
    assert!(!said.contains("LD_PRELOAD"), "{said}");
    for line in ["PATH=/bin\n", "A=b\n", "TERM=vt\n", "HOME=/root\n"] {
        assert!(said.contains(line), "{said}");
    }
    run(&[], &["report"]).failed(3);
    run(&[], &["report", "later"]).failed(3);
    run(&[], &["/tmp/report", "now"]).failed(3);
}

#[test]
fn under_audit_a_command_that_would_be_refused_runs() {
    let ruled = Ruled::new("level = \"audit\"\n[exec]\nallow = false\n");
    let bundle = sleeper(&ruled.runtime);

    exec(&ruled.runtime, &bundle, &[], &["true"]).ok();
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let runtime = Runtime::new();
    let bundle = sleeper(&runtime);
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    exec(&runtime, &bundle, &[], &["nonesuch"]).failed(255);
    exec(&runtime, &bundle, &["--cwd", "/nope"], &["true"]).failed(255);
    exec(&runtime, &bundle, &["-u", "70000"], &["true"]).failed(255);

    before.assert_unchanged();
}
