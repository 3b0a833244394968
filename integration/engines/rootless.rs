//! Podman without root: the box stands inside the user's own namespace, and whose root it is, is
//! said where it is the user's own.

mod life;
mod pods;
mod refusals;

use std::fs;
use std::process::Command;

use super::support::{
    Called, Groups, HEARD, Place, assert_held, busybox_archive, call, call_heard, has,
};

/// A user of the place's own, with ids for one container beside its own.
const SETUP: &str = "\
mkdir $D/home $D/xdg $D/etc $D/policy && chown 1500:1500 $D/home $D/xdg && chmod 700 $D/xdg
for file in passwd group subuid subgid; do
	touch /etc/$file && cat /etc/$file > $D/$file && mount --bind $D/$file /etc/$file
done
echo \"eng:x:1500:1500::$D/home:/bin/sh\" >> /etc/passwd && echo 'eng:x:1500:' >> /etc/group
echo 'eng:200000:131072' > /etc/subuid && echo 'eng:200000:131072' > /etc/subgid
cp -r /etc/containers/. $D/etc/ && mkdir -p $D/etc/containers.conf.d
mv $D/machine.conf $D/etc/containers.conf && mv $D/podman.conf $D/etc/containers.conf.d/50-casemate.conf
mount --bind $D/etc /etc/containers
mkdir -p /etc/casemate && mount --bind $D/policy /etc/casemate
mount -t tmpfs none /dev/shm && chmod 1777 /dev/shm
mkdir $D/net && mount -t tmpfs none $D/net && mknod -m 666 $D/net/tun c 10 200
mknod -m 666 $D/net/fuse c 10 229
mkdir -p /dev/net && touch /dev/fuse && mount --bind $D/net/fuse /dev/fuse && mount --bind $D/net /dev/net";

const MACHINE: &str = "[containers]\n\
                       default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
                       [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";

/// Whom the user is outside, and the first of the ids that it may give away.
const USER: u32 = 1500;
const FIRST: u32 = 200_000;

/// An own root: a range of its own for the container, none of it the user's.
const SHIFTED: &[&str] = &["--userns", "auto:size=65536"];

/// Podman of a user.
struct Rootless {
    place: Place,
}

impl Rootless {
    /// `None` where there is no Podman, or nothing that maps ids for users.
    fn new() -> Option<Self> {
        if !has("podman") || !has("newuidmap") {
            return None;
        }
        let drop_in = Place::profile("podman.conf");
        let setup = format!(
            "cat > $D/machine.conf <<'E'\n{MACHINE}E\ncat > $D/podman.conf <<'E'\n{drop_in}E\n{SETUP}"
        );
        let podman = Self { place: Place::new(Groups::V2, &setup) };
        let archive = busybox_archive(podman.place.dir());
        podman.call(&["import", archive.to_str().unwrap(), "localhost/busybox:1"]).ok();
        Some(podman)
    }

    /// What the user calls.
    fn user(&self, program: &str) -> Command {
        let dir = self.place.dir();
        let mut command = self.place.command("setpriv");
        let user = USER.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "env", "-C"]);
        command.arg(dir.join("home")).arg(format!("HOME={}", dir.join("home").display()));
        command.arg(format!("XDG_RUNTIME_DIR={}", dir.join("xdg").display())).arg(program);
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.user("podman");
        command.args(["--storage-driver", "vfs", "--runtime", "casemate"]).args(args);
        command
    }

    fn call(&self, args: &[&str]) -> Called {
        call(&mut self.command(args))
    }

    /// `podman run --rm` without a network, of a line of shell.
    fn run(&self, options: &[&str], line: &str) -> Called {
        let run = ["run", "--rm", "-i", "--network", "none"];
        let line = format!("{HEARD}{line}");
        let image = ["localhost/busybox:1", "sh", "-c", &line];
        call_heard(&mut self.command(&[&run, options, &image].concat()))
    }

    /// A container that lives until it is removed.
    fn start(&self, name: &str, options: &[&str]) {
        let run = ["run", "-d", "--name", name, "--network", "none"];
        self.call(&[&run, options, &["localhost/busybox:1", "sleep", "1000"]].concat()).ok();
    }

    /// The process id of a container's init, as the host counts.
    fn pid(&self, name: &str) -> i32 {
        let inspect = ["inspect", "--format", "{{.State.Pid}}", name];
        self.call(&inspect).ok().parse().unwrap()
    }

    /// What casemate says of a container.
    fn state(&self, name: &str) -> serde_json::Value {
        let id = self.call(&["inspect", "--format", "{{.Id}}", name]).ok();
        let said = call(self.user("casemate").args(["state", &id])).ok();
        serde_json::from_str(&said).unwrap()
    }

    /// Removes a container, whatever it does.
    fn remove(&self, name: &str) {
        self.call(&["rm", "-f", "-t", "0", name]).ok();
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        // What Podman keeps to hold its namespace.
        self.call(&["system", "migrate"]);
    }
}

/// The words of a line of a process's status.
fn status(pid: i32, key: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.trim_start_matches(':').split_whitespace().map(str::to_owned).collect()
}

/// Checks from the host what holds in every box: all but whose ids they are.
#[track_caller]
fn assert_boxed(pid: i32) {
    assert_held(pid);
    let admin = u64::from_str_radix(&status(pid, "CapBnd")[0], 16).unwrap() & (1 << 21);
    assert_eq!(admin, 0, "CAP_SYS_ADMIN is in the bounding set");
}
