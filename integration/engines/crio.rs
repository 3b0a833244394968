//! CRI-O, as root, with the drop-in of `profiles/engines`, as kubelet uses it.
//!
//! Debian has no CRI-O. `$CASEMATE_TEST_CRIO` names a directory with `crio` and `pinns`, and
//! `hack/engines.sh crio DIR` runs these tests with it.

mod life;
mod pods;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::cri::{IMAGE, Message, Service};
use super::support::{Groups, Place, busybox_archive, call, eventually};
use crate::support::copy_program;

const NETWORK: &str = r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [
{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
 "ipam": {"type": "host-local", "dataDir": "/var/lib/cni",
          "ranges": [[{"subnet": "10.85.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}"#;

const SETUP: &str = "\
mkdir -p $D/logs $D/cni /run/netns /run/crio /run/containers /var/lib/cni /etc/crio
mv $D/network.conflist $D/cni/10-pods.conflist
for d in /run/netns /run/crio /run/containers /run/lock /var/lib/cni /etc/crio; do
	mount -t tmpfs none $d
done
mount --make-shared /run/netns
mkdir /etc/crio/crio.conf.d
mv $D/crio.conf /etc/crio/crio.conf.d/50-casemate.conf
mv $D/machine.conf /etc/crio/crio.conf.d/60-machine.conf";

/// There is no systemd in a place: what the drop-in says of that case.
const MACHINE: &str = "[crio.runtime]\ncgroup_manager = \"cgroupfs\"\nconmon_cgroup = \"pod\"\n\
                       apparmor_profile = \"unconfined\"\n[crio.nri]\nenable_nri = false\n";

/// A CRI-O of its own.
pub(super) struct Crio {
    place: Place,
    programs: PathBuf,
    daemon: Option<Child>,
}

impl Crio {
    /// Starts one; `None` where nobody has brought it.
    pub(super) fn new() -> Option<Self> {
        let Some(programs) = std::env::var_os("CASEMATE_TEST_CRIO").map(PathBuf::from) else {
            println!("skipped, because CASEMATE_TEST_CRIO names no directory with crio and pinns");
            return None;
        };
        let profile = Place::profile("crio.conf");
        let setup = format!(
            "cat > $D/network.conflist <<'E'\n{NETWORK}\nE\ncat > $D/crio.conf <<'E'\n{profile}E\n\
             cat > $D/machine.conf <<'E'\n{MACHINE}E\n{SETUP}"
        );
        let place = Place::new(Groups::AsIs, &setup);
        // Where the place is may be another root.
        for name in ["crio", "pinns"] {
            copy_program(programs.join(name), place.dir().join(name));
        }
        let programs = place.dir().to_owned();
        let archive = busybox_archive(place.dir());
        let mut import = place.command("podman");
        import.arg("--root").arg(place.dir().join("store"));
        import.arg("--runroot").arg(place.dir().join("runroot"));
        import.args(["--events-backend", "file", "import", "--change", "CMD sleep infinity"]);
        call(import.arg(archive).arg(IMAGE)).ok();
        let mut crio = Self { place, programs, daemon: None };
        crio.start();
        Some(crio)
    }

    /// Starts the daemon, and waits until it answers.
    pub(super) fn start(&mut self) {
        let dir = self.place.dir();
        let mut command = self.place.command(self.programs.join("crio").to_str().unwrap());
        for (option, name) in [
            ("--listen", "crio.sock"),
            ("--root", "store"),
            ("--runroot", "runroot"),
            ("--cni-config-dir", "cni"),
            ("--pinns-path", "pinns"),
            ("--container-exits-dir", "exits"),
            ("--container-attach-socket-dir", "attach"),
            ("--namespaces-dir", "namespaces"),
            ("--log-dir", "logs"),
            ("--version-file", "version"),
            ("--version-file-persist", "version-kept"),
            ("--clean-shutdown-file", "clean"),
        ] {
            command.arg(option).arg(dir.join(name));
        }
        command.args(["--cni-plugin-dir", "/usr/lib/cni", "--storage-driver", "overlay"]);
        command.args(["--pause-image", IMAGE, "--pause-command", ""]);
        let log = fs::File::options().create(true).append(true).open(dir.join("crio.log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        let socket = self.socket();
        eventually("CRI-O's socket", || socket.exists());
        eventually("CRI-O's answer", || {
            let said = self.ask("Status", &Message::new());
            // Both conditions: of the runtime and of the network.
            said.is_ok_and(|said| said.message(1).messages(1).iter().all(|one| one.number(2) == 1))
        });
    }

    /// Kills the daemon, as a crash would.
    pub(super) fn crash(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        fs::remove_file(self.socket()).unwrap();
    }

    /// The host's process id of a container, from casemate's own record.
    #[track_caller]
    pub(super) fn pid(&self, id: &str) -> i32 {
        let state = self.place.shell(&format!("casemate state {id}")).ok();
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        i32::try_from(state["pid"].as_i64().unwrap()).unwrap()
    }
}

impl Service for Crio {
    fn place(&self) -> &Place {
        &self.place
    }

    fn socket(&self) -> PathBuf {
        self.place.dir().join("crio.sock")
    }
}

impl Drop for Crio {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        self.end_all();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = daemon.wait();
    }
}
