//! Podman without root: not in this version, and the user reads why and what to do.

use std::process::Command;

use super::support::{Called, Groups, Place, busybox_archive, call, has};

/// A user of the place's own, with ids for one container beside its own.
const SETUP: &str = "\
mkdir $D/home $D/xdg $D/etc && chown 1500:1500 $D/home $D/xdg && chmod 700 $D/xdg
for file in passwd group subuid subgid; do
	touch /etc/$file && cat /etc/$file > $D/$file && mount --bind $D/$file /etc/$file
done
echo \"eng:x:1500:1500::$D/home:/bin/sh\" >> /etc/passwd && echo 'eng:x:1500:' >> /etc/group
echo 'eng:200000:131072' > /etc/subuid && echo 'eng:200000:131072' > /etc/subgid
cp -r /etc/containers/. $D/etc/ && mkdir -p $D/etc/containers.conf.d
mv $D/machine.conf $D/etc/containers.conf && mv $D/podman.conf $D/etc/containers.conf.d/50-casemate.conf
mount --bind $D/etc /etc/containers
mount -t tmpfs none /dev/shm && chmod 1777 /dev/shm";

const MACHINE: &str = "[containers]\n\
                       default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
                       [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";

fn podman(place: &Place, args: &[&str]) -> Called {
    let dir = place.dir();
    let mut command: Command = place.command("setpriv");
    command.args(["--reuid", "1500", "--regid", "1500", "--clear-groups", "env", "-C"]);
    command.arg(dir.join("home")).arg(format!("HOME={}", dir.join("home").display()));
    command.arg(format!("XDG_RUNTIME_DIR={}", dir.join("xdg").display()));
    command.args(["podman", "--storage-driver", "vfs", "--runtime", "casemate"]).args(args);
    call(&mut command)
}

#[test]
#[ignore = "drives a real engine"]
fn without_root_podman_is_told_what_to_do() {
    if !has("podman") || !has("newuidmap") {
        return;
    }
    let drop_in = Place::profile("podman.conf");
    let setup = format!(
        "cat > $D/machine.conf <<'E'\n{MACHINE}E\ncat > $D/podman.conf <<'E'\n{drop_in}E\n{SETUP}"
    );
    let place = Place::new(Groups::V2, &setup);
    let archive = busybox_archive(place.dir());
    podman(&place, &["import", archive.to_str().unwrap(), "localhost/busybox:1"]).ok();

    for options in [&[][..], &["--userns", "auto:size=65536"], &["--userns", "keep-id"]] {
        let run = ["run", "--rm", "--network", "none"];
        let image = ["localhost/busybox:1", "echo", "started"];
        let said = podman(&place, &[&run, options, &image].concat()).failed();

        let why = "it is called in a user namespace whose root is the user 1500 outside";
        assert!(said.contains(why), "{options:?}: {said}");
        let hint = "hint: call the engine as root, as in `sudo podman`; without root, use another \
                    runtime (`podman --runtime crun`)";
        assert!(said.contains(hint) && !said.contains("started"), "{options:?}: {said}");
    }
    // What Podman left to hold its namespace.
    podman(&place, &["system", "migrate"]).ok();
}
