//! Docker's daemon, as root, with the file of `profiles/engines`.

mod build;
mod life;
mod networks;
mod options;
mod refusals;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::support::{Called, Groups, Place, busybox_archive, call, eventually, has};

pub(super) const IMAGE: &str = "busybox:1";

/// The daemon's files beside its roots. Where ids and states of containers are registered stays the
/// machine's: there is one for all engines.
const SETUP: &str = "\
mkdir -p -m 700 /run/casemate && mkdir $D/run $D/home && mount --bind /run/casemate $D/run
for d in /run /etc/docker; do mkdir -p $d && mount -t tmpfs none $d; done
mkdir -m 700 /run/casemate && mount --move $D/run /run/casemate
mv $D/daemon.json /etc/docker/daemon.json";

/// A daemon of its own.
pub(super) struct Docker {
    place: Place,
    options: Vec<&'static str>,
    daemon: Option<Child>,
}

impl Docker {
    /// Starts one; `None` where there is no Docker.
    pub(super) fn new(options: &[&'static str]) -> Option<Self> {
        Self::with(Groups::AsIs, options)
    }

    /// Starts one that sees these control groups.
    pub(super) fn with(groups: Groups, options: &[&'static str]) -> Option<Self> {
        if !has("dockerd") {
            return None;
        }
        let profile = Place::profile("docker-daemon.json");
        let setup = format!("cat > $D/daemon.json <<'E'\n{profile}E\n{SETUP}");
        let place = Place::new(groups, &setup);
        let mut docker = Self { place, options: options.to_vec(), daemon: None };
        docker.start();
        let archive = busybox_archive(docker.place.dir());
        docker.call(&["import", archive.to_str().unwrap(), IMAGE]).ok();
        Some(docker)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Starts the daemon, and waits until it answers.
    pub(super) fn start(&mut self) {
        let dir = self.place.dir();
        let mut command = self.place.command("dockerd");
        command.arg("--data-root").arg(dir.join("data")).arg("--exec-root").arg(dir.join("exec"));
        command.arg("--pidfile").arg(dir.join("pid"));
        command.arg("-H").arg(format!("unix://{}/docker.sock", dir.display()));
        command.args(["--storage-driver", "overlay2"]);
        if self.is_20() {
            // This machine may not lower it.
            command.args(["--oom-score-adjust", "0"]);
        }
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]).args(&self.options);
        command.arg("--cgroup-parent").arg(format!("/{}", self.place.tag()));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("docker.log"))
            .unwrap();
        command.env("HOME", dir.join("home")).stdout(Stdio::null()).stderr(log);
        // Its containerd is in its group, so that both can be ended at once.
        self.daemon = Some(command.process_group(0).spawn().unwrap());
        eventually("Docker's answer", || self.call(&["version"]).status == Some(0));
    }

    /// Whether this is Docker 20, of Debian 12, and not 28.
    pub(super) fn is_20(&self) -> bool {
        self.place.shell("dockerd --version").ok().contains("version 20.")
    }

    /// Kills the daemon, as a crash would.
    pub(super) fn crash(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        // Its containerd ends with it, a moment later.
        let file = self.place.dir().join("exec/containerd/containerd.pid");
        let pid = std::fs::read_to_string(file).unwrap();
        let process = format!("/proc/{}", pid.trim());
        eventually("the end of its containerd", || !std::path::Path::new(&process).exists());
    }

    /// A call of Docker that is not made yet.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command("/usr/bin/docker");
        command.arg("-H").arg(format!("unix://{}/docker.sock", self.place.dir().display()));
        command.args(args).env("HOME", self.place.dir().join("home"));
        command
    }

    pub(super) fn call(&self, args: &[&str]) -> Called {
        call(&mut self.command(args))
    }

    /// `docker run --rm` with these options, of a line of shell.
    pub(super) fn run(&self, options: &[&str], line: &str) -> Called {
        let image = [IMAGE, "sh", "-c", line];
        self.call(&[&["run", "--rm", "--runtime", "casemate"], options, &image].concat())
    }

    /// `docker run -d` under a name.
    #[track_caller]
    pub(super) fn begin(&self, name: &str, options: &[&str], line: &str) {
        let image = [IMAGE, "sh", "-c", line];
        let start = ["run", "-d", "--runtime", "casemate", "--name", name];
        self.call(&[&start, options, &image].concat()).ok();
    }

    /// A field of `docker inspect`.
    #[track_caller]
    pub(super) fn inspect(&self, name: &str, field: &str) -> String {
        self.call(&["inspect", name, "--format", &format!("{{{{.{field}}}}}")]).ok()
    }

    /// The host's process id of a container's init.
    #[track_caller]
    pub(super) fn pid(&self, name: &str) -> i32 {
        self.inspect(name, "State.Pid").parse().unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let all = self.call(&["ps", "-aq"]).stdout;
        for id in all.lines() {
            let _ = self.call(&["rm", "-f", id]);
        }
        if let Some(mut daemon) = self.daemon.take() {
            // It ends its containerd, and unmounts what it mounted.
            let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = daemon.wait();
        }
        // Docker leaves the parent of its groups.
        let _ = self
            .place
            .shell(&format!("rmdir /sys/fs/cgroup/{0} /sys/fs/cgroup/*/{0}", self.place.tag()));
    }
}
