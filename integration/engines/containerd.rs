//! containerd, as root, with the runtime of `profiles/engines/containerd-v2.toml`: by `ctr`, and by
//! its CRI as kubelet uses it.

mod ctr;
mod exec;
mod life;
mod pods;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(super) use super::cri::IMAGE;
use super::cri::{Message, Service, Terminal};
use super::support::{Called, Groups, Place, busybox_oci_archive, call, eventually, has};

/// A bridge with addresses of the place's own, as a network plug-in of a cluster gives it.
const NETWORK: &str = r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [
{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
 "ipam": {"type": "host-local", "dataDir": "/var/lib/cni",
          "ranges": [[{"subnet": "10.85.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
{"type": "portmap", "capabilities": {"portMappings": true}}]}"#;

const SETUP: &str = "\
mkdir -p $D/logs $D/cni /run/containerd /run/netns /var/lib/cni
mv $D/network.conflist $D/cni/10-pods.conflist
for d in /run/containerd /run/netns /var/lib/cni /run/lock; do mount -t tmpfs none $d; done
mount --make-shared /run/netns";

/// A containerd of its own.
pub(super) struct Containerd {
    place: Place,
    daemon: Option<Child>,
}

impl Containerd {
    /// Starts one; `None` where there is no containerd.
    pub(super) fn new() -> Option<Self> {
        if !has("containerd") || !has("curl") {
            return None;
        }
        let setup = format!("cat > $D/network.conflist <<'E'\n{NETWORK}\nE\n{SETUP}");
        // Every sandbox asks for shares of the processor, and the controller may be in v1.
        let place = Place::new(Groups::AsIs, &setup);
        std::fs::write(place.dir().join("config.toml"), configuration(&place)).unwrap();
        let mut containerd = Self { place, daemon: None };
        containerd.start();
        let archive = busybox_oci_archive(containerd.place.dir(), IMAGE);
        containerd.ctr(&["-n", "k8s.io", "images", "import", archive.to_str().unwrap()]).ok();
        Some(containerd)
    }

    /// Whether this is containerd 2.
    pub(super) fn is_second(&self) -> bool {
        is_second(&self.place)
    }

    /// Starts the daemon, and waits until it answers.
    pub(super) fn start(&mut self) {
        let mut command = self.place.command("containerd");
        command.arg("--config").arg(self.place.dir().join("config.toml"));
        let log = std::fs::File::create(self.place.dir().join("containerd.log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        let socket = self.socket();
        eventually("containerd's socket", || socket.exists());
        eventually("containerd's answer", || {
            let network = "until ip link show lo >/dev/null; do :; done";
            let _ = self.place.shell(network);
            let status = call(self.ctr_command(&["plugins", "ls"]).env("X", "")).stdout;
            status.lines().any(|line| line.contains(" cri ") && line.trim_end().ends_with("ok"))
        });
        // It refuses calls until it has found what an earlier one has left running.
        let all = Message::new();
        eventually("its service", || self.ask("ListPodSandbox", &all).is_ok());
    }

    /// Kills the daemon, as a crash would.
    pub(super) fn crash(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        // `nsenter` became containerd itself: it forks for pid namespaces only.
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        std::fs::remove_file(self.socket()).unwrap();
    }

    fn ctr_command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command("ctr");
        command.arg("--address").arg(self.socket()).args(args);
        command
    }

    pub(super) fn ctr(&self, args: &[&str]) -> Called {
        call(&mut self.ctr_command(args))
    }
}

impl Service for Containerd {
    fn place(&self) -> &Place {
        &self.place
    }

    fn socket(&self) -> PathBuf {
        self.place.dir().join("containerd.sock")
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.end_all();
            let tasks = self.ctr(&["tasks", "ls", "-q"]).stdout;
            for id in tasks.lines() {
                let _ = self.ctr(&["tasks", "rm", "-f", id]);
            }
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// The profile as it lies here, and what this place needs beside it.
fn configuration(place: &Place) -> String {
    let dir = place.dir().display();
    let common = format!(
        "root = \"{dir}/root\"\nstate = \"{dir}/state\"\n[grpc]\n  address = \"{dir}/containerd.sock\"\n"
    );
    let cni = format!("bin_dir = \"/usr/lib/cni\"\n  conf_dir = \"{dir}/cni\"\n");
    if is_second(place) {
        let profile = Place::profile("containerd-v3.toml");
        let (version, profile) = profile.split_once("version = 3\n").unwrap();
        return format!(
            "{version}version = 3\n{common}{profile}\n\
             [plugins.\"io.containerd.cri.v1.images\".pinned_images]\n  sandbox = \"{IMAGE}\"\n\
             [plugins.\"io.containerd.cri.v1.runtime\"]\n  disable_apparmor = true\n  \
             restrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.cri.v1.runtime\".cni]\n  {cni}"
        );
    }
    let profile = Place::profile("containerd-v2.toml");
    let (version, profile) = profile.split_once("version = 2\n").unwrap();
    format!(
        "{version}version = 2\n{common}{profile}\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"{IMAGE}\"\n  \
         disable_apparmor = true\n  restrict_oom_score_adj = true\n\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\n  {cni}"
    )
}

/// Whether the place has containerd 2.
fn is_second(place: &Place) -> bool {
    place.shell("containerd --version").ok().contains("/v2 ")
}
