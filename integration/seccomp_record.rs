//! `seccomp record`, `--record`, the annotation: a profile is learnt, and it is enough.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Snapshot, copy_program, eventually, make_program, patience};

/// A runtime under a policy with this table `[seccomp]`.
fn under(bundle: &Bundle, table: &str) -> Runtime {
    let file = bundle.dir().join("policy.toml");
    fs::write(&file, format!("level = \"hardened\"\n[seccomp]\n{table}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    Runtime::new().with_global("--policy").with_global(file)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The names that a profile permits beside the core set, sorted.
fn permitted(profile: &Value) -> Vec<String> {
    let rules = profile["syscalls"].as_array().unwrap();
    let is_core = |rule: &&Value| rule["comment"].as_str().unwrap().contains("the core set");
    let rules = rules.iter().filter(|rule| !is_core(rule));
    let allowed = rules.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    let mut names: Vec<_> =
        allowed.map(|rule| rule["names"][0].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The host's processes that watch a container.
fn watchers() -> Vec<PathBuf> {
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let watches = |path: &PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "casemate-watch\n")
            && !fs::read_to_string(path.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
    };
    all.filter(watches).collect()
}

fn watcher_of(runtime: &Runtime, bundle: &Bundle) -> Option<PathBuf> {
    let state = read(&runtime.root().join(bundle.id()).join("state.json"));
    let pid = state["record"]["watcher"]["pid"].as_i64()?;
    Some(PathBuf::from(format!("/proc/{pid}")))
}

const WORK: &str = "mkdir /tmp/a; ln -s a /tmp/b; touch /tmp/a/c; chmod 700 /tmp/a; id; \
                    kill -0 $$; ls -l /tmp > /dev/null; rm -r /tmp/a /tmp/b; echo done";

fn working() -> Bundle {
    Bundle::new().set("/root/readonly", json!(false)).shell(WORK)
}

#[test]
fn a_recorded_profile_is_enough_and_permits_little_more() {
    let bundle = working();
    let runtime = Runtime::new();
    let (profile, dir) = (bundle.dir().join("profile.json"), bundle.dir().to_str().unwrap());
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime
        .call(["run", "--record", profile.to_str().unwrap(), "--bundle", dir, bundle.id()])
        .ok();

    assert!(said.ends_with("done\n"), "{said}");
    before.assert_unchanged();
    assert_eq!(fs::metadata(&profile).unwrap().permissions().mode() & 0o7777, 0o600);
    let recorded = read(&profile);
    let names = permitted(&recorded);
    for name in ["chmod", "clone", "execve", "mkdir", "symlink"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    assert!(names.len() < 30, "{names:?}");
    assert!(!names.iter().any(|name| ["socket", "mount", "ptrace"].contains(&name.as_str())));

    let bundle = bundle.set("/linux/seccomp", recorded);
    assert_eq!(runtime.run(&bundle).ok(), said);
    let other = bundle.shell("nc -l -p 1 2>&1; echo $?");
    let said = runtime.run(&other).ok();
    assert!(said.contains("Operation not permitted") && said.ends_with("1\n"), "{said}");
}

#[test]
fn what_is_not_in_a_recorded_profile_is_refused_by_name() {
    let bundle = working();
    let runtime = Runtime::new();
    let profile = bundle.dir().join("profile.json");
    let dir = bundle.dir().to_str().unwrap().to_owned();
    runtime.call(["seccomp", "record", "-o", profile.to_str().unwrap(), "--bundle", &dir]).ok();
    let bundle = bundle.set("/linux/seccomp", read(&profile)).shell("nc -l -p 1; echo end");

    let ran = runtime.call(["run", "--seccomp-report", "--bundle", &dir, bundle.id()]);

    assert_eq!(ran.stdout, "end\n");
    assert!(
        ran.stderr.contains("socket (argument 0 0x2, argument 1 0x1) failed with EPERM"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("program  nc (/bin/busybox)"), "{ran:?}");
    assert!(
        ran.stderr.contains("by       /linux/seccomp/defaultAction: the profile does not name"),
        "{ran:?}"
    );
    let file = bundle.dir().join("report.json");
    let option = format!("--seccomp-report={}", file.display());
    runtime.call(["run", &option, "--bundle", &dir, bundle.id()]).ok();
    assert_eq!(read(&file)["refusals"][0]["call"], "socket");
}

#[test]
fn the_box_stands_while_it_is_recorded() {
    let bundle = Bundle::new().shell(
        "unshare -U true 2>&1; chroot / true 2>&1; mount -t tmpfs x /tmp 2>&1; \
         chmod 4755 /tmp 2>&1; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status",
    );
    let runtime = Runtime::new();
    let (profile, dir) = (bundle.dir().join("profile.json"), bundle.dir().to_str().unwrap());

    let ran = runtime.call(["seccomp", "record", "-o", profile.to_str().unwrap(), "--bundle", dir]);

    let said = &ran.stdout;
    assert_eq!(said.matches("not permitted").count(), 3, "{ran:?}");
    assert!(said.contains("mount: permission denied"), "{said}");
    assert!(said.contains("Seccomp:\t2") && said.contains("NoNewPrivs:\t1"), "{said}");
    let names = permitted(&read(&profile));
    assert!(!names.iter().any(|name| ["unshare", "chroot", "mount"].contains(&name.as_str())));
    // What was refused is told, with who decided.
    assert!(ran.stderr.contains("baseline rule `mount.change`"), "{ran:?}");
}

#[test]
fn other_arguments_can_be_recorded_of_a_bundle_and_its_status_is_passed_on() {
    let bundle = Bundle::new().shell("exit 1");
    let runtime = Runtime::new();
    let (profile, dir) = (bundle.dir().join("profile.json"), bundle.dir().to_str().unwrap());

    let file = profile.to_str().unwrap();
    let ran = runtime.call([
        "seccomp",
        "record",
        "-o",
        file,
        "--bundle",
        dir,
        "--",
        "/bin/sh",
        "-c",
        "mkdir /tmp/x; exit 7",
    ]);

    assert_eq!(ran.status, Some(7), "{ran:?}");
    assert!(permitted(&read(&profile)).contains(&"mkdir".to_owned()));
}

#[test]
fn a_created_container_is_recorded_until_its_end() {
    let bundle = Bundle::new()
        .set("/root/readonly", json!(false))
        .shell("echo up; read line; mkdir /tmp/late; ls -l /proc/self/fd; echo end");
    let runtime = Runtime::new();
    let (profile, dir) = (bundle.dir().join("profile.json"), bundle.dir().to_str().unwrap());
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let file = profile.to_str().unwrap();
    let mut create = runtime.command(["create", "--record", file, "--bundle", dir, bundle.id()]);
    let (stdin, mut input) = std::io::pipe().unwrap();
    create.stdin(stdin);
    let created = runtime.finish(create);
    assert_eq!(created.status, Some(0), "{created:?}");

    // An engine reads the command's output to its end: nobody may hold it open.
    let mut start = runtime.command(["start", bundle.id()]);
    let started = start.stdout(std::process::Stdio::piped()).output().unwrap();
    assert!(started.status.success());

    let watcher = watcher_of(&runtime, &bundle).unwrap();
    assert!(watchers().contains(&watcher));
    for number in 0..=2 {
        let open = fs::read_link(watcher.join(format!("fd/{number}"))).unwrap();
        assert_eq!(open, Path::new("/dev/null"));
    }
    let held: Vec<_> = fs::read_dir(watcher.join("fd")).unwrap().flatten().collect();
    assert!(held.len() <= 10, "{held:?}");
    let status = fs::read_to_string(watcher.join("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(status.contains("CapEff:\t0000000000080002"), "{status}");
    assert!(!profile.exists());
    std::io::Write::write_all(&mut input, b"go\n").unwrap();
    runtime.wait_status(&bundle, "stopped");
    runtime.delete(&bundle).ok();

    assert!(created.printed().ends_with("end\n"), "{}", created.printed());
    assert!(permitted(&read(&profile)).contains(&"mkdir".to_owned()));
    before.assert_unchanged();
    assert!(!watchers().contains(&watcher));
}

#[test]
fn a_killed_container_leaves_its_profile_and_no_watcher() {
    let bundle = Bundle::new().shell("mkdir -p /tmp; echo up; exec sleep 60");
    let runtime = Runtime::new();
    let (profile, dir) = (bundle.dir().join("profile.json"), bundle.dir().to_str().unwrap());
    let before = Snapshot::take(&runtime, &[bundle.id()]);
    let file = profile.to_str().unwrap();
    let ran = runtime.call(["run", "-d", "--record", file, "--bundle", dir, bundle.id()]);
    ran.wait_for("up\n");
    let watcher = watcher_of(&runtime, &bundle).unwrap();

    runtime.call(["delete", "--force", bundle.id()]).ok();

    assert!(permitted(&read(&profile)).contains(&"execve".to_owned()));
    assert!(!watchers().contains(&watcher));
    before.assert_unchanged();
}

#[test]
fn without_its_watcher_a_container_is_refused_what_it_would_have_answered() {
    let bundle = Bundle::new().shell("echo up; read line; mkdir /tmp/x; unshare -U true; echo end");
    let runtime = under(&bundle, "report = \"notify\"");
    let dir = bundle.dir().to_str().unwrap();
    let mut run = runtime.command(["run", "-d", "--bundle", dir, bundle.id()]);
    let (stdin, mut input) = std::io::pipe().unwrap();
    run.stdin(stdin);
    let ran = runtime.finish(run);
    ran.wait_for("up\n");
    let watcher = watcher_of(&runtime, &bundle).unwrap();
    let pid = watcher.file_name().unwrap().to_str().unwrap().parse().unwrap();

    let kill = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(kill, rustix::process::Signal::KILL).unwrap();
    std::io::Write::write_all(&mut input, b"go\n").unwrap();
    ran.wait_for("end\n");

    // Only what is refused was its to answer: that is refused still, if with another error.
    let said = fs::read_to_string(ran.stderr_file()).unwrap();
    assert!(said.contains("unshare(0x10000000): Function not implemented"), "{said}");
    assert_eq!(said.matches("Function not implemented").count(), 1, "{said}");
    runtime.call(["delete", "--force", bundle.id()]).ok();
}

#[test]
fn what_exec_starts_is_watched_too() {
    let bundle = Bundle::new().set("/root/readonly", json!(false)).args(["/bin/sleep", "60"]);
    let runtime = under(&bundle, "report = \"notify\"");
    let (profile, dir) = (bundle.dir().join("profile.json"), bundle.dir().to_str().unwrap());
    let file = profile.to_str().unwrap();
    runtime.call(["create", "--record", file, "--bundle", dir, bundle.id()]).ok();
    let exec = |line: &str| runtime.call(["exec", bundle.id(), "/bin/sh", "-c", line]);
    let early = exec("true");
    assert_ne!(early.status, Some(0));
    assert!(early.stderr.contains("nobody watches before it is started"), "{early:?}");
    runtime.start(&bundle).ok();

    let said = exec("mkdir /tmp/by-exec && echo made; unshare -U true; exit 3");
    assert_eq!((said.status, &*said.stdout), (Some(3), "made\n"), "{said:?}");
    assert!(said.stderr.contains("unshare(0x10000000): Operation not permitted"), "{said:?}");
    assert_eq!(exec("true").status, Some(0));

    runtime.call(["delete", "--force", bundle.id()]).ok();
    assert!(permitted(&read(&profile)).contains(&"mkdir".to_owned()));
}

#[test]
fn an_annotation_records_where_the_policy_has_it() {
    let bundle = Bundle::new().shell("mkdir -p /tmp");
    let profiles = bundle.dir().join("profiles");
    fs::create_dir(&profiles).unwrap();
    let annotation = "/annotations/org.casemate.seccomp.record";
    let bundle = bundle.set(annotation, json!("web"));
    let runtime = under(&bundle, &format!("record-to = {profiles:?}"));

    runtime.run(&bundle).ok();
    assert!(permitted(&read(&profiles.join("web.json"))).contains(&"execve".to_owned()));

    let refused = Runtime::new().run(&bundle).failed(3);
    assert!(refused.contains("refused by rule `seccomp.record`"), "{refused}");
    assert!(refused.contains("the policy has no place for it"), "{refused}");
    for name in ["../x", "", ".hidden", "a/b", "a\nb"] {
        let bundle = Bundle::new().set(annotation, json!(name));
        let runtime = under(&bundle, &format!("record-to = {profiles:?}"));
        let refused = runtime.run(&bundle).failed(3);
        assert!(refused.contains("is no name of a profile"), "{name}: {refused}");
    }
    assert_eq!(fs::read_dir(&profiles).unwrap().count(), 1);
}

#[test]
fn a_profile_that_cannot_be_written_fails_before_anything_exists() {
    let bundle = Bundle::new();
    let runtime = Runtime::new();
    let dir = bundle.dir().to_str().unwrap();
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    for (file, why) in [("/none/x", "open /none: ENOENT"), ("/dev/null", "no plain file")] {
        let said =
            runtime.call(["create", "--record", file, "--bundle", dir, bundle.id()]).failed(1);
        assert!(said.contains(why), "{said}");
    }
    before.assert_unchanged();
}

#[test]
fn a_program_that_never_started_leaves_no_profile() {
    let bundle = Bundle::new().args(["/bin/broken"]);
    make_program(bundle.rootfs().join("bin/broken"), "no program");
    let runtime = Runtime::new();
    let (profile, dir) = (bundle.dir().join("profile.json"), bundle.dir().to_str().unwrap());
    fs::write(&profile, "of another day").unwrap();
    let before = Snapshot::take(&runtime, &[bundle.id()]);

    let file = profile.to_str().unwrap();
    let said = runtime.call(["run", "--record", file, "--bundle", dir, bundle.id()]).failed(1);

    assert!(said.contains("exec format error"), "{said}");
    assert_eq!(fs::read_to_string(&profile).unwrap(), "of another day");
    before.assert_unchanged();
}

#[test]
fn refusals_are_told_while_it_runs_and_followed_to_its_end() {
    let bundle = Bundle::new().shell(
        "unshare -U true; unshare -U true; echo first; read line; chroot / true; \
         mount -t tmpfs x /tmp; echo second; read line",
    );
    let runtime = under(&bundle, "report = \"notify\"");
    let dir = bundle.dir().to_str().unwrap();
    let mut run = runtime.command(["run", "-d", "--bundle", dir, bundle.id()]);
    let (stdin, mut input) = std::io::pipe().unwrap();
    run.stdin(stdin);
    let ran = runtime.finish(run);
    ran.wait_for("first\n");
    let log = || -> Value {
        let said = runtime.call(["seccomp", "log", "--json", bundle.id()]).ok();
        serde_json::from_str(&said).unwrap()
    };
    // Who watches notes a call a moment after it has answered it.
    eventually("both are told", || log()["refusals"][0]["count"] == 2);

    let json = log();
    let refusals = json["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 1, "{json}");
    let refusal = &refusals[0];
    assert_eq!((&refusal["call"], &refusal["error"]), (&json!("unshare"), &json!("EPERM")));
    assert_eq!((&refusal["count"], &refusal["program"]), (&json!(2), &json!("unshare")));
    assert_eq!(refusal["by"], "baseline rule `namespace.unshare`");
    let explained = runtime.call(["seccomp", "explain", bundle.id(), "unshare", "mkdir"]).ok();
    assert!(explained.contains("baseline rule `namespace.unshare`"), "{explained}");
    assert!(!explained.contains("asks"), "{explained}");
    let mut follow = runtime.command(["seccomp", "log", "--follow", "--json", bundle.id()]);
    let mut followed = follow.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut input, b"go\n").unwrap();
    ran.wait_for("second\n");
    // What was refused last is noted a moment later: that is waited for when all has ended.
    let watcher = watcher_of(&runtime, &bundle).unwrap();
    let watcher = watcher.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let tell = |signal| {
        let watcher = rustix::process::Pid::from_raw(watcher).unwrap();
        rustix::process::kill_process(watcher, signal).unwrap();
    };
    tell(rustix::process::Signal::STOP);
    std::io::Write::write_all(&mut input, b"end\n").unwrap();
    runtime.wait_status(&bundle, "stopped");
    std::thread::sleep(std::time::Duration::from_millis(700));
    let ended = followed.try_wait().unwrap();
    tell(rustix::process::Signal::CONT);
    assert_eq!(ended, None, "the last may be missing");
    let followed = followed.wait_with_output().unwrap();
    assert!(followed.status.success());
    let lines = String::from_utf8(followed.stdout).unwrap();
    assert!(lines.contains("`mount.chroot`") && lines.contains("`mount.change`"), "{lines}");
    runtime.call(["delete", bundle.id()]).ok();

    let said = Runtime::new().call(["seccomp", "log", bundle.id()]).failed(1);
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn the_kernels_log_tells_what_this_container_was_refused() {
    let bundle = Bundle::new().shell("unshare -U true; exec sleep 60");
    let other = Bundle::new().shell("chroot / true; exec sleep 60");
    let runtime = under(&bundle, "report = \"kernel-log\"");
    for bundle in [&bundle, &other] {
        runtime.create(bundle).ok();
        runtime.start(bundle).ok();
    }
    let deadline = std::time::Instant::now() + patience(std::time::Duration::from_secs(5));
    let log = || runtime.call(["seccomp", "log", bundle.id()]).ok();
    let mut said = log();
    while !said.contains("unshare") && std::time::Instant::now() < deadline {
        said = log();
    }
    if !said.contains("unshare") {
        // Others may fill it, and the kernel limits how much it says.
        println!("skipped, because the kernel's log did not show the refusal: {said}");
        return;
    }

    assert!(said.contains("unshare failed with an error"), "{said}");
    assert!(said.contains("program  unshare (/bin/busybox)"), "{said}");
    assert!(!said.contains("chroot"), "of another container: {said}");
    assert_eq!(watcher_of(&runtime, &bundle), None);
}

#[test]
fn nobody_notes_anything_unless_asked_and_that_is_said() {
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    let runtime = Runtime::new();
    runtime.create(&bundle).ok();

    let said = runtime.call(["seccomp", "log", bundle.id()]).failed(1);

    assert!(said.contains("nobody notes what the filter refuses"), "{said}");
    assert!(said.contains("report = \"notify\""), "{said}");
}

#[test]
fn a_command_of_the_host_is_recorded_by_anybody() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let binary = dir.path().join("casemate");
    copy_program(env!("CARGO_BIN_EXE_casemate"), &binary);
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let profile = dir.path().join("profile.json");

    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command.arg(&binary).args(["seccomp", "record", "-o"]).arg(&profile);
    command.args(["--", "sh", "-c", "mkdir $0/x; rmdir $0/x; id -u; exit 5"]).arg(dir.path());
    let ran = command.output().unwrap();

    assert_eq!(ran.status.code(), Some(5), "{ran:?}");
    assert_eq!(ran.stdout, b"65534\n");
    let names = permitted(&read(&profile));
    for name in ["mkdir", "rmdir", "execve"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }

    let mut command = Command::new(&binary);
    command.args(["seccomp", "record", "-o"]).arg(&profile).args(["--", "no-such-program"]);
    let ran = command.output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("execute `no-such-program`: ENOENT"), "{said}");
}

#[test]
fn other_runtimes_take_a_recorded_profile() {
    let bundle = working();
    let runtime = Runtime::new();
    let profile = bundle.dir().join("profile.json");
    let dir = bundle.dir().to_str().unwrap().to_owned();
    runtime.call(["seccomp", "record", "-o", profile.to_str().unwrap(), "--bundle", &dir]).ok();
    let runc = Path::new("/usr/sbin/runc");
    if !runc.exists() {
        println!("skipped, because there is no runc to try it with");
        return;
    }
    let mut recorded = read(&profile);
    // What runc itself calls between its filter and the program.
    let own = json!({"names": ["fstatfs"], "action": "SCMP_ACT_ALLOW", "comment": "runc"});
    recorded["syscalls"].as_array_mut().unwrap().push(own);
    let memory = json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"});
    let bundle = bundle.set("/linux/seccomp", recorded).set("/mounts/-", memory);

    let said = Runtime::of(runc).run(&bundle).ok();

    assert!(said.ends_with("done\n"), "{said}");
}
