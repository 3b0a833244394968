//! Calls of the binary, each with a deadline; what it started is deleted in the end.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Bundle, patience, tagged_dir, unique_tag};

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit status; none if a signal ended it.
    pub(crate) status: Option<i32>,
    /// What was printed by the time it ended, also by the container.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// It had to be killed.
    pub(crate) timed_out: bool,
    out: PathBuf,
    err: PathBuf,
}

impl Ran {
    /// What was printed by now: a created container goes on printing after `create` has ended.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    /// Where what it says on standard error goes, also after the call has ended.
    pub(crate) fn stderr_file(&self) -> &Path {
        &self.err
    }

    /// Waits until the container has printed this.
    pub(crate) fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + patience(Duration::from_secs(10));
        while !self.printed().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.printed());
            sleep(Duration::from_millis(2));
        }
    }

    /// The standard output, of a call that must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.status, self.timed_out), (Some(0), false), "{self:?}");
        self.stdout
    }

    /// The standard error, of a call that must have failed with this status.
    #[track_caller]
    pub(crate) fn failed(self, status: i32) -> String {
        assert_eq!((self.status, self.timed_out), (Some(status), false), "{self:?}");
        self.stderr
    }
}

/// A runtime with a state directory of its own.
pub(crate) struct Runtime {
    binary: PathBuf,
    dir: TempDir,
    root: Option<PathBuf>,
    global: Vec<OsString>,
    has_private_cgroup2: bool,
    limit: Duration,
    calls: RefCell<u32>,
    ids: RefCell<Vec<String>>,
}

impl Runtime {
    /// The binary under test.
    pub(crate) fn new() -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_casemate")))
    }

    /// The binary under test, with a state directory that others use, too.
    pub(crate) fn at(root: &Path) -> Self {
        let mut runtime = Self::new();
        runtime.root = Some(root.to_owned());
        runtime
    }

    /// Another binary.
    pub(crate) fn of(binary: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            dir: tagged_dir(&unique_tag()),
            root: None,
            global: Vec::new(),
            has_private_cgroup2: false,
            limit: patience(Duration::from_secs(30)),
            calls: RefCell::new(0),
            ids: RefCell::new(Vec::new()),
        }
    }

    /// Makes every call in a mount namespace of its own where /sys/fs/cgroup is cgroup v2 alone.
    pub(crate) fn with_private_cgroup2(mut self) -> Self {
        self.has_private_cgroup2 = true;
        self
    }

    /// Puts an option before every subcommand.
    pub(crate) fn with_global(mut self, option: impl AsRef<OsStr>) -> Self {
        self.global.push(option.as_ref().to_owned());
        self
    }

    /// Makes every call under a policy file with this text.
    pub(crate) fn under(text: &str) -> Self {
        let runtime = Self::new();
        let file = runtime.dir.path().join("policy.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        runtime.with_global("--policy").with_global(file)
    }

    /// Makes every call at the level `audit`: the bundle as it is written.
    pub(crate) fn audit() -> Self {
        Self::under("level = \"audit\"\n")
    }

    /// Allows each call this long instead of 30 seconds, on a machine of usual speed.
    pub(crate) fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = patience(limit);
        self
    }

    /// The state directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(|| self.dir.path().join("state"))
    }

    /// A call that is not made yet, for tests that need more than [`Self::call`] does.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        const PRIVATE: &str = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
        let mut command = if self.has_private_cgroup2 {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", PRIVATE, "sh"]);
            command.arg(&self.binary);
            command
        } else {
            Command::new(&self.binary)
        };
        command.arg("--root").arg(self.root()).args(&self.global).args(args);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Makes a call and waits for its end, not for that of what it started.
    pub(crate) fn call<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.finish(self.command(args))
    }

    /// Makes a call that [`Self::command`] prepared.
    pub(crate) fn finish(&self, mut command: Command) -> Ran {
        let number = self.calls.replace_with(|number| *number + 1);
        let path = |name| self.dir.path().join(format!("{number}.{name}"));
        let (out, err) = (path("out"), path("err"));
        // Files, not pipes: a container holds them open for as long as it lives.
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut child = command.process_group(0).spawn().unwrap();
        let (status, timed_out) = self.wait(&mut child);
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ran { status, stdout: text(&out), stderr: text(&err), timed_out, out, err }
    }

    fn wait(&self, child: &mut Child) -> (Option<i32>, bool) {
        let deadline = Instant::now() + self.limit;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status.code(), false);
            }
            if Instant::now() > deadline {
                let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
                killpg(group, Signal::SIGKILL).unwrap();
                return (child.wait().unwrap().code(), true);
            }
            sleep(Duration::from_millis(1));
        }
    }

    fn start_of(&self, subcommand: &str, bundle: &Bundle) -> Ran {
        self.ids.borrow_mut().push(bundle.id().to_owned());
        let dir = bundle.dir().as_os_str();
        let words = [OsStr::new(subcommand), OsStr::new("--bundle"), dir, OsStr::new(bundle.id())];
        self.call(words)
    }

    pub(crate) fn run(&self, bundle: &Bundle) -> Ran {
        self.start_of("run", bundle)
    }

    pub(crate) fn create(&self, bundle: &Bundle) -> Ran {
        self.start_of("create", bundle)
    }

    /// Creates and starts a container that stays; gives its init's process id.
    #[track_caller]
    pub(crate) fn started(&self, bundle: &Bundle) -> i64 {
        self.create(bundle).ok();
        self.start(bundle).ok();
        self.state(bundle)["pid"].as_i64().unwrap()
    }

    pub(crate) fn start(&self, bundle: &Bundle) -> Ran {
        self.call(["start", bundle.id()])
    }

    pub(crate) fn kill(&self, bundle: &Bundle, signal: &str) -> Ran {
        self.call(["kill", bundle.id(), signal])
    }

    pub(crate) fn delete(&self, bundle: &Bundle) -> Ran {
        self.call(["delete", bundle.id()])
    }

    /// The state as JSON, of a container that must be there.
    #[track_caller]
    pub(crate) fn state(&self, bundle: &Bundle) -> serde_json::Value {
        serde_json::from_str(&self.call(["state", bundle.id()]).ok()).unwrap()
    }

    /// Waits until the container has this status.
    #[track_caller]
    pub(crate) fn wait_status(&self, bundle: &Bundle, status: &str) {
        let deadline = Instant::now() + patience(Duration::from_secs(10));
        while self.state(bundle)["status"] != status {
            assert!(Instant::now() < deadline, "not {status}: {}", self.state(bundle));
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for id in self.ids.take() {
            self.call(["delete", "--force", &id]);
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::support::{has_runc, make_program};

    fn runc() -> Runtime {
        Runtime::of(Path::new("/usr/sbin/runc"))
    }

    #[test]
    fn run_returns_what_the_container_did() {
        if !has_runc() {
            return;
        }
        let bundle = Bundle::new().shell("echo out; echo err >&2; exit 7");

        let ran = runc().with_global("--debug").run(&bundle);

        assert_eq!(ran.stdout, "out\n");
        assert!(ran.failed(7).contains("err"));
    }

    #[test]
    fn a_container_goes_through_its_life() {
        if !has_runc() {
            return;
        }
        let (runtime, bundle) = (runc(), Bundle::new().shell("echo up; exec sleep 60"));

        let created = runtime.create(&bundle);
        assert_eq!(created.status, Some(0), "{created:?}");
        assert_eq!(runtime.state(&bundle)["status"], "created");
        runtime.start(&bundle).ok();
        created.wait_for("up\n");
        runtime.kill(&bundle, "KILL").ok();
        runtime.wait_status(&bundle, "stopped");
        runtime.delete(&bundle).ok();

        assert!(!runtime.root().join(bundle.id()).exists());
    }

    #[test]
    fn what_hangs_is_killed_and_said_to_be() {
        let runtime = Runtime::new().with_limit(Duration::from_millis(50));
        let mut command = Command::new("/bin/sleep");
        command.arg("60");

        let ran = runtime.finish(command);

        assert!(ran.timed_out && ran.status.is_none(), "{ran:?}");
    }

    #[test]
    fn the_private_view_has_cgroup_v2_alone() {
        let dir = tagged_dir(&unique_tag());
        let script = dir.path().join("script");
        make_program(&script, "#!/bin/sh\ncat /sys/fs/cgroup/cgroup.controllers\n");

        Runtime::of(&script).with_private_cgroup2().call(["state"]).ok();
    }

    #[test]
    fn the_binary_under_test_is_there() {
        let ran = Runtime::new().call(["--version"]);

        assert!(!ran.timed_out && ran.status.is_some(), "{ran:?}");
    }
}
