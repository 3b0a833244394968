//! Without root: called by root of a user namespace, as rootless engines do it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bundle, cgroup2, copy_program, patience, tagged_dir, unique_tag};

/// A user that the host does not know.
const USER: u32 = 61_500;

/// A user namespace as rootless Podman makes it, held open until dropped.
struct User {
    id: u32,
    dir: tempfile::TempDir,
    holder: Child,
}

impl User {
    fn new() -> Self {
        Self::with(USER)
    }

    /// One whose id is another.
    fn with(id: u32) -> Self {
        let dir = tagged_dir(&unique_tag());
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for name in ["run", "home"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            lchown(dir.path().join(name), Some(id), Some(id)).unwrap();
        }
        copy_program(env!("CARGO_BIN_EXE_casemate"), dir.path().join("casemate"));
        let user = id.to_string();
        let mut holder = Command::new("setpriv")
            .args(["--reuid", &user, "--regid", &user, "--clear-groups", "unshare", "--user"])
            .args(["--mount", "--propagation", "slave", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + patience(Duration::from_secs(10));
        let proc = PathBuf::from(format!("/proc/{}", holder.id()));
        let is_there =
            || fs::read(proc.join("cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"));
        while !is_there() {
            assert!(Instant::now() < deadline && holder.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(2));
        }
        for name in ["uid_map", "gid_map"] {
            // Itself, and ids that it may give away.
            fs::write(proc.join(name), format!("0 {id} 1\n1 1700000000 65536\n")).unwrap();
        }
        Self { id, dir, holder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program as root of the namespace.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--target", &self.holder.id().to_string(), "--"]);
        command.arg(program).env("XDG_RUNTIME_DIR", self.path("run"));
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("home"));
        command.env_remove("XDG_STATE_HOME").current_dir("/").stdin(Stdio::null());
        command
    }

    /// casemate, from within a control group.
    fn command_within(&self, group: &Path) -> Command {
        let mut command = Command::new("sh");
        let enter = "echo $$ > \"$0/cgroup.procs\"; exec \"$@\"";
        command.args(["-c", enter]).arg(group);
        let real = self.command(&self.path("casemate"));
        command.arg(real.get_program()).args(real.get_args());
        command.envs(real.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env_remove("XDG_STATE_HOME").current_dir("/").stdin(Stdio::null());
        command
    }

    fn call(&self, args: &[&str]) -> Output {
        self.command(&self.path("casemate")).args(args).output().unwrap()
    }

    /// Runs a bundle whose files are the user's.
    fn run(&self, options: &[&str], bundle: &Bundle) -> Output {
        give(bundle.dir(), self.id);
        let at = bundle.dir().to_str().unwrap();
        let run = ["run", "--bundle", at, bundle.id()];
        self.call(&[options, &run].concat())
    }

    /// An option that has every call made at the level `audit`.
    fn audit(&self) -> [String; 2] {
        let file = self.path("audit.toml");
        fs::write(&file, "level = \"audit\"\n").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        ["--policy".to_owned(), file.display().to_string()]
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}

/// Gives a tree to a user.
fn give(path: &Path, user: u32) {
    lchown(path, Some(user), Some(user)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), user));
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A bundle as Podman gives it to a user: it names no user namespace and no control group.
fn plain(line: &str) -> Bundle {
    Bundle::new().shell(line).unset("/linux/cgroupsPath").unset("/linux/resources")
}

#[test]
fn every_attempt_ends_as_promised() {
    let user = User::new();

    let tried = user.call(&["try"]);

    let report = text(&tried.stdout);
    assert!(
        tried.status.success() && !report.contains("BROKEN"),
        "{report}{}",
        text(&tried.stderr)
    );
    assert!(report.contains("P1  root inside is never root outside"), "{report}");
}

#[test]
fn a_user_namespace_of_the_containers_own_keeps_mounts_out_of_its_hands() {
    let user = User::new();
    let line = "mount -t tmpfs none /tmp && echo mounted; mount -o remount,rw / && echo writable; \
                cat /proc/self/uid_map; id -u";
    let grants = |bundle: Bundle| {
        let all = json!(["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_DAC_OVERRIDE"]);
        ["bounding", "effective", "permitted"].iter().fold(bundle, |bundle, set| {
            bundle.set(&format!("/process/capabilities/{set}"), all.clone())
        })
    };
    let audit = user.audit();
    let audit: Vec<_> = audit.iter().map(String::as_str).collect();

    // Root of the caller's namespace owns its mounts: as written, the bundle may change them.
    let attack = user.run(&audit, &grants(plain(line)));
    assert!(text(&attack.stdout).starts_with("mounted\n"), "{attack:?}");
    let held = user.run(&[], &grants(plain(line)));
    let said = text(&held.stdout);
    assert!(!said.contains("mounted") && !said.contains("writable"), "{held:?}");
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "1", "1", "1", "65536", "0"], "{held:?}");
    let reduced = "P1 reduced: root in this container is you (uid 61500)";
    assert!(text(&held.stderr).contains(reduced), "{held:?}");
}

#[test]
fn a_user_who_has_no_containers_yet_has_an_empty_list() {
    let user = User::new();

    let listed = user.call(&["list", "--format", "json"]);

    assert!(listed.status.success(), "{}", text(&listed.stderr));
    assert_eq!((text(&listed.stdout).as_str(), listed.stderr), ("[]\n", Vec::new()));
    assert_eq!(user.call(&["--root", "/nowhere", "list"]).status.code(), Some(1));
}

#[test]
fn what_cannot_be_held_without_a_group_is_refused() {
    let user = User::new();
    let bundle = plain("true").set("/linux/resources/memory", json!({"limit": 64 << 20}));

    let refused = user.run(&[], &bundle);

    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let why = "/linux/resources/memory/limit: cannot be held without a control group";
    assert!(said.contains(why) && said.contains("use the systemd cgroup manager"), "{said}");
    let started = user.run(&[], &plain("true"));
    assert!(started.status.success(), "{started:?}");
}

#[test]
fn ids_that_the_user_does_not_have_are_refused_by_name() {
    let user = User::new();
    let maps = |first: u32| json!([{"containerID": 0, "hostID": first, "size": 65536}]);
    let mapped = |first| {
        plain("id -u")
            .set("/linux/namespaces/-", json!({"type": "user"}))
            .set("/linux/uidMappings", maps(first))
            .set("/linux/gidMappings", maps(first))
    };

    let refused = user.run(&[], &mapped(2));
    let said = text(&refused.stderr);
    let why = "refused by rule `ids.own-range`: /linux/uidMappings maps 65536 ids from 2 on; the \
               caller's user namespace has 1 from 0 on, 65536 from 1 on";
    assert!(said.contains(why), "{said}");
    let own = mapped(1);
    give(own.dir(), 1_700_000_000);
    let at = own.dir().to_str().unwrap();
    let ran = user.call(&["run", "--bundle", at, own.id()]);
    assert_eq!((text(&ran.stdout), text(&ran.stderr)), ("0\n".to_owned(), String::new()));
}

#[test]
fn the_doctor_tells_a_user_what_holds() {
    let user = User::new();

    let said = user.call(&["doctor"]);

    let said = text(&said.stdout);
    assert!(said.contains("root of a user namespace, and uid 61500 outside"), "{said}");
    assert!(said.contains("`podman run --userns=auto:size=65536`"), "{said}");
    assert!(
        !said.contains(" ILL ") && said.contains(".local/state/casemate/audit.jsonl"),
        "{said}"
    );
    assert!(!user.path("home/.local").exists(), "it changes nothing");
}

#[test]
fn devices_are_the_hosts_own_and_no_others() {
    let user = User::new();
    let device = json!({"path": "/dev/loop-control", "type": "c", "major": 10, "minor": 237});
    let audit = user.audit();
    let audit: Vec<_> = audit.iter().map(String::as_str).collect();

    let made = user.run(&audit, &plain("true").set("/linux/devices", json!([device])));
    let said = text(&made.stderr);
    assert!(said.contains("is a device node, which only root can make"), "{said}");
    let line = "echo x > /dev/null && head -c 4 /dev/zero | wc -c; ls -l /dev/full /dev/tty; \
                mknod /tmp/null c 1 3 || echo denied";
    let used = user.run(&[], &plain(line));
    let said = text(&used.stdout);
    assert!(said.starts_with("4\ncrw") && said.ends_with("denied\n"), "{used:?}");
}

#[test]
fn its_life_is_that_of_any_container() {
    let user = User::new();
    let bundle = plain("trap 'exit 5' TERM; while :; do sleep 0.1; done");
    give(bundle.dir(), USER);
    let at = bundle.dir().to_str().unwrap();
    let ok = |args: &[&str]| {
        let output = user.call(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        text(&output.stdout)
    };
    let to_nowhere = |args: &[&str]| {
        let mut command = user.command(&user.path("casemate"));
        let status = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    to_nowhere(&["create", "--bundle", at, bundle.id()]);
    ok(&["start", bundle.id()]);

    let state: Value = serde_json::from_str(&ok(&["state", bundle.id()])).unwrap();
    assert_eq!((&state["status"], &state["owner"]), (&json!("running"), &json!(USER.to_string())));
    assert!(user.path("run/casemate").join(bundle.id()).exists());
    let init = state["pid"].as_i64().unwrap();
    assert_eq!(fs::metadata(format!("/proc/{init}")).unwrap().uid(), USER);
    let ps: Vec<i64> = serde_json::from_str(&ok(&["ps", "--format", "json", bundle.id()])).unwrap();
    assert!(ps.contains(&init), "{ps:?}");
    assert_eq!(ok(&["exec", bundle.id(), "/bin/sh", "-c", "id -u; exit 0"]), "0\n");
    assert_eq!(user.call(&["exec", bundle.id(), "/bin/sh", "-c", "exit 7"]).status.code(), Some(7));
    for command in [&["pause"][..], &["events", "--stats"], &["update", "--pids-limit", "5"]] {
        let said = user.call(&[command, &[bundle.id()]].concat());
        assert!(
            text(&said.stderr).contains("no control group of its own"),
            "{command:?}: {said:?}"
        );
    }
    ok(&["kill", bundle.id(), "TERM"]);
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while fs::metadata(format!("/proc/{init}")).is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    ok(&["delete", bundle.id()]);
    assert_eq!(fs::read_dir(user.path("run/casemate")).unwrap().count(), 0);
    let record = user.path("home/.local/state/casemate/audit.jsonl");
    let record = fs::read_to_string(record).unwrap();
    let events = record.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<_> = events.map(|of| of["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!((events[0].as_str(), events.last().unwrap().as_str()), ("created", "deleted"));
    assert_eq!(events.len(), 6, "two of `exec` and one of `start` and `kill` each: {events:?}");
}

#[test]
fn a_group_that_is_delegated_to_the_user_is_used() {
    let user = User::new();
    let tag = unique_tag();
    let delegated = cgroup2().join(&tag);
    fs::create_dir(&delegated).unwrap();
    let caller = delegated.join("caller");
    fs::create_dir(&caller).unwrap();
    for group in [&delegated, &caller] {
        for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            lchown(group.join(file), Some(USER), Some(USER)).unwrap();
        }
    }
    let bundle = Bundle::new().shell("while :; do sleep 0.1; done");
    let path = format!("/{tag}/box");
    let bundle = bundle.set("/linux/cgroupsPath", json!(path)).unset("/linux/resources");
    give(bundle.dir(), USER);
    let at = bundle.dir().to_str().unwrap();
    let inside = |args: &[&str]| {
        let mut command = user.command_within(&caller);
        command.args(args);
        // To a file: what is started keeps it open.
        let out = user.path("out");
        command.stdout(fs::File::create(&out).unwrap());
        let status = command.status().unwrap();
        let said = fs::read_to_string(out).unwrap();
        assert!(status.success(), "{args:?}: {said}");
        said
    };

    inside(&["run", "--detach", "--bundle", at, bundle.id()]);
    let state: Value = serde_json::from_str(&inside(&["state", bundle.id()])).unwrap();
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", state["pid"])).unwrap();
    assert!(groups.contains(&format!("0::{path}\n")), "{groups}");
    inside(&["pause", bundle.id()]);
    assert!(inside(&["state", bundle.id()]).contains("\"paused\""));
    inside(&["resume", bundle.id()]);
    inside(&["delete", "--force", bundle.id()]);
    assert!(!delegated.join("box").exists());
    fs::remove_dir(&caller).unwrap();
    fs::remove_dir(&delegated).unwrap();
}

/// As `User=` does it for users that the host knows.
const BECOME_USER: &str = "\
chown -R $0:$0 /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) &&
exec setpriv --reuid $0 --regid $0 --clear-groups $1 --user";

/// The systemd of a user, as a service of the system's; stopped when dropped.
struct Manager {
    unit: String,
    run: PathBuf,
}

impl Manager {
    /// `None`, with the reason, where there is no systemd, or none that could be a user's.
    fn start() -> Option<Self> {
        let skip = |why: &str| {
            println!("skipped, because {why}");
            None
        };
        if !Path::new("/run/systemd/system").is_dir() {
            return skip("systemd is not this machine's init");
        }
        if fs::read_to_string("/proc/mounts").unwrap().contains(" /proc/sys proc ") {
            return skip("parts of /proc are covered here: only root can have another one");
        }
        let manager = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
        let Some(program) = manager.into_iter().find(|path| Path::new(path).exists()) else {
            return skip("there is no program for a user's systemd");
        };
        let run = PathBuf::from(format!("/run/user/{USER}"));
        fs::create_dir_all(&run).unwrap();
        lchown(&run, Some(USER), Some(USER)).unwrap();
        fs::set_permissions(&run, PermissionsExt::from_mode(0o700)).unwrap();
        let manager = Self { unit: format!("{}.service", unique_tag()), run };
        let environment = format!("--setenv=XDG_RUNTIME_DIR={}", manager.run.display());
        let started = Command::new("systemd-run")
            .args(["--quiet", "--unit", &manager.unit, "-p", "Delegate=yes", "-p", "Type=notify"])
            .args([&environment, "--setenv=HOME=/", "sh", "-c", BECOME_USER])
            .args([&USER.to_string(), program])
            .status()
            .unwrap();
        assert!(started.success());
        Some(manager)
    }

    /// A group beside those that the manager makes.
    fn group(&self) -> PathBuf {
        let shown = Command::new("systemctl")
            .args(["show", "--value", "--property", "ControlGroup", &self.unit])
            .output()
            .unwrap();
        let group = cgroup2().join(text(&shown.stdout).trim().trim_start_matches('/'));
        let caller = group.join("caller");
        fs::create_dir(&caller).unwrap();
        for file in ["", "cgroup.procs", "cgroup.threads"] {
            lchown(caller.join(file), Some(USER), Some(USER)).unwrap();
        }
        caller
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["stop", &self.unit]).status();
        let _ = fs::remove_dir_all(&self.run);
    }
}

#[test]
fn the_users_own_systemd_makes_the_group_and_holds_its_limits() {
    let Some(manager) = Manager::start() else { return };
    let (user, caller) = (User::new(), manager.group());
    let bundle = plain("while :; do sleep 0.1; done");
    let path = format!("user.slice:box:{}", bundle.id());
    let bundle = bundle
        .set("/linux/cgroupsPath", json!(path))
        .set("/linux/resources", json!({"pids": {"limit": 20}, "memory": {"limit": 64 << 20}}));
    give(bundle.dir(), USER);
    let at = bundle.dir().to_str().unwrap();
    let inside = |args: &[&str]| {
        let (out, err) = (user.path("out"), user.path("err"));
        let status = user
            .command_within(&caller)
            .args(["--systemd-cgroup"])
            .args(args)
            .stdout(fs::File::create(&out).unwrap())
            .stderr(fs::File::create(&err).unwrap())
            .status();
        let said = fs::read_to_string(err).unwrap();
        assert!(status.unwrap().success(), "{args:?}: {said}");
        fs::read_to_string(out).unwrap()
    };

    inside(&["run", "--detach", "--bundle", at, bundle.id()]);
    let state: Value = serde_json::from_str(&inside(&["state", bundle.id()])).unwrap();
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", state["pid"])).unwrap();
    let place = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    assert!(place.contains(&manager.unit), "{groups}");
    assert!(place.ends_with(&format!("user.slice/box-{}.scope", bundle.id())), "{groups}");
    let limit = |name: &str| fs::read_to_string(cgroup2().join(place).join(name)).unwrap();
    assert_eq!((limit("pids.max"), limit("memory.max")), ("20\n".into(), "67108864\n".into()));
    // A bomb of processes stops there.
    let bomb = "i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done; true";
    let mut command = user.command_within(&caller);
    let bombed = command.args(["exec", bundle.id(), "/bin/sh", "-c", bomb]).output().unwrap();
    assert!(text(&bombed.stderr).contains("can't fork"), "{bombed:?}");
    assert!(limit("pids.events").contains("max "), "{}", limit("pids.events"));
    inside(&["pause", bundle.id()]);
    inside(&["resume", bundle.id()]);
    inside(&["delete", "--force", bundle.id()]);
    assert!(!cgroup2().join(place).exists());
}

#[cfg(feature = "fault")]
#[test]
fn every_step_can_fail_and_leaves_nothing_behind() {
    // One of its own, because its processes are counted.
    let user = User::with(USER + 1);
    let bundle = plain("true")
        .set("/root/readonly", json!(false))
        .set("/process/cwd", json!("/made-for-cwd"))
        .mount("/made/here", "bind", "/etc/hostname", &["bind", "ro"])
        .mount("/memory", "tmpfs", "tmpfs", &["mode=700", "size=64k"])
        .set("/process/oomScoreAdj", json!(500))
        .set("/linux/sysctl", json!({"net.ipv4.ping_group_range": "0 0"}));
    give(bundle.dir(), user.id);
    let at = bundle.dir().to_str().unwrap();
    let explained = user.call(&["explain", "--json", "--bundle", at]);
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let steps = explained["plan"]["steps"].as_array().unwrap();
    let kept = |path: &Path| {
        let found = Command::new("find").arg(path).arg("-xdev").output().unwrap();
        text(&found.stdout)
    };
    let before = kept(bundle.dir());
    let inhabitants = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter(|of| of.metadata().is_ok_and(|of| of.uid() == user.id)).count()
    };
    let alive = inhabitants();

    assert!(steps.len() > 80, "{} steps", steps.len());
    for (number, step) in (1..).zip(steps) {
        let mut command = user.command(&user.path("casemate"));
        command.env("CASEMATE_FAULT", format!("{number}"));
        let failed = command.args(["run", "--bundle", at, bundle.id()]).output().unwrap();
        let said = text(&failed.stderr);
        assert!(!failed.status.success(), "step {number} {step}: {said}");
        assert!(said.contains(&format!("step {number} `")), "{step}: {said}");
        assert_eq!(kept(bundle.dir()), before, "step {number} {step}");
        assert_eq!(kept(&user.path("run/casemate")).lines().count(), 1, "step {number} {step}");
        let deadline = Instant::now() + patience(Duration::from_secs(10));
        while inhabitants() > alive {
            assert!(Instant::now() < deadline, "step {number} {step} left a process");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let ran = user.call(&["run", "--bundle", at, bundle.id()]);
    assert!(ran.status.success(), "{ran:?}");
}
