//! Podman, as root, with the drop-in of `profiles/engines`.

mod exec;
mod life;
mod pods;
mod refusals;
mod seccomp;
mod storage;

use std::process::{Command, Stdio};

use super::support::{Called, Groups, HEARD, Place, busybox_archive, call, call_heard, has};

/// What this machine bears, beside the drop-in: hard limits cannot be raised here.
const MACHINE: &str = "[containers]\n\
                       default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";

/// The engine's own things in the place: configuration, locks, networks.
const SETUP: &str = "\
mkdir -p $D/root $D/run $D/tmp $D/etc /run/netns /run/containers /var/lib/cni
cp -r /etc/containers/. $D/etc/
mkdir -p $D/etc/containers.conf.d $D/etc/networks
mv $D/machine.conf $D/etc/containers.conf
mv $D/podman.conf $D/etc/containers.conf.d/50-casemate.conf
mount --bind $D/etc /etc/containers
for d in /dev/shm /run/netns /run/containers /run/lock /var/lib/cni; do
	mount -t tmpfs none $d
done
mount --make-shared /run/netns";

/// Podman with storage, configuration and networks of its own.
pub(in crate::engines) struct Podman {
    place: Place,
}

impl Podman {
    /// Where cgroup v2 is all there is; `None` where there is no Podman.
    pub(in crate::engines) fn new() -> Option<Self> {
        // The controllers of this machine may be in v1.
        Self::with(Groups::V2, "pids_limit = 0\n")
    }

    /// With the control groups that the machine has.
    pub(in crate::engines) fn with(groups: Groups, machine: &str) -> Option<Self> {
        if !has("podman") {
            return None;
        }
        let drop_in = Place::profile("podman.conf");
        let setup = format!(
            "cat > $D/machine.conf <<'E'\n{MACHINE}{machine}E\n\
             cat > $D/podman.conf <<'E'\n{drop_in}E\n{SETUP}"
        );
        let podman = Self { place: Place::new(groups, &setup) };
        let archive = busybox_archive(podman.place.dir());
        podman.call(&["import", archive.to_str().unwrap(), "localhost/busybox:1"]).ok();
        Some(podman)
    }

    pub(in crate::engines) fn place(&self) -> &Place {
        &self.place
    }

    /// A call of Podman that is not made yet.
    pub(in crate::engines) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command("podman");
        let dir = self.place.dir();
        command.arg("--root").arg(dir.join("root")).arg("--runroot").arg(dir.join("run"));
        command.arg("--tmpdir").arg(dir.join("tmp"));
        command.args(["--events-backend", "file", "--runtime", "casemate"]).args(args);
        command
    }

    pub(in crate::engines) fn call(&self, args: &[&str]) -> Called {
        call(&mut self.command(args))
    }

    /// `podman run --rm` with these options, of a line of shell.
    pub(super) fn run(&self, options: &[&str], line: &str) -> Called {
        let image = ["localhost/busybox:1", "sh", "-c", &format!("{HEARD}{line}")];
        call_heard(&mut self.command(&[&["run", "--rm", "-i"], options, &image].concat()))
    }

    /// `podman run -d` under a name.
    #[track_caller]
    pub(super) fn start(&self, name: &str, options: &[&str], line: &str) {
        let image = ["localhost/busybox:1", "sh", "-c", line];
        self.call(&[&["run", "-d", "--name", name], options, &image].concat()).ok();
    }

    /// A field of `podman inspect`.
    #[track_caller]
    pub(in crate::engines) fn inspect(&self, name: &str, field: &str) -> String {
        self.call(&["inspect", name, "--format", &format!("{{{{.{field}}}}}")]).ok()
    }

    /// The host's process id of a container's init.
    #[track_caller]
    pub(in crate::engines) fn pid(&self, name: &str) -> i32 {
        self.inspect(name, "State.Pid").parse().unwrap()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        for args in [&["pod", "rm", "-af", "-t", "0"][..], &["rm", "-af", "-t", "0"]] {
            let _ = self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        let _ = self.command(&["umount", "-af"]).stdout(Stdio::null()).status();
    }
}
