//! Pods whose network, IPC and UTS namespaces the engine made beforehand and pinned, as CRI-O does:
//! they belong to the host, so nothing inside may govern them.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{Bundle, Runtime, Snapshot};

const KINDS: [(&str, &str); 3] = [("network", "net"), ("ipc", "ipc"), ("uts", "uts")];

/// Namespaces of the host's that no process is in, held open by this one.
struct Pinned {
    files: Vec<(&'static str, File)>,
}

/// A process in new namespaces that belong to the host.
fn holder() -> Child {
    let mut command = Command::new("unshare");
    command.args(["--net", "--ipc", "--uts", "sh", "-c", "echo; exec sleep 60"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    child
}

impl Pinned {
    fn of(holder: &Child) -> Self {
        let open = |link| File::open(format!("/proc/{}/ns/{link}", holder.id())).unwrap();
        Self { files: KINDS.map(|(kind, link)| (kind, open(link))).into() }
    }

    fn new() -> Self {
        let mut holder = holder();
        let pinned = Self::of(&holder);
        holder.kill().unwrap();
        holder.wait().unwrap();
        pinned
    }

    /// A container of the pod `sandbox`.
    fn member(&self, sandbox: &str) -> Bundle {
        let bundle = Bundle::new().set("/hostname", json!("pod")).args(["/bin/sleep", "60"]);
        let mut list = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
        list.retain(|one| KINDS.iter().all(|(kind, _)| one["type"] != *kind));
        list.extend(self.files.iter().map(|(kind, file)| {
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            json!({"type": kind, "path": path})
        }));
        bundle
            .set("/linux/namespaces", json!(list))
            .set("/annotations/io.kubernetes.cri-o.SandboxID", json!(sandbox))
            .set("/annotations/io.kubernetes.cri-o.ContainerType", json!("container"))
    }
}

fn namespace(pid: i64, link: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{link}")).unwrap().ino()
}

fn map_of(pid: i64) -> String {
    fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap()
}

// rows: linux.namespaces.ipc, linux.namespaces.uts
#[test]
fn the_first_in_them_gets_ids_and_the_others_of_its_pod_share_them() {
    let (runtime, pinned) = (Runtime::new(), Pinned::new());
    let (first, second) = (pinned.member("pod-1"), pinned.member("pod-1"));
    let before = Snapshot::take(&runtime, &[first.id(), second.id()]);

    let pids = [runtime.started(&first), runtime.started(&second)];

    for ((kind, file), (_, link)) in pinned.files.iter().zip(KINDS) {
        let inode = file.metadata().unwrap().ino();
        assert_eq!(pids.map(|pid| namespace(pid, link)), [inode; 2], "{kind}");
    }
    assert_eq!(namespace(pids[0], "user"), namespace(pids[1], "user"));
    let outside = map_of(pids[0]).split_whitespace().nth(1).unwrap().parse::<u32>().unwrap();
    assert!(outside >= 65_536);
    for bundle in [&first, &second] {
        // Named in the name of the engine, and not to be named by anyone inside.
        let line = "hostname; hostname other 2>&1; touch /dev/mqueue/q && rm /dev/mqueue/q; id -u";
        let said = runtime.call(["exec", bundle.id(), "sh", "-c", line]).ok();
        assert!(said.starts_with("pod\nhostname: sethostname: Operation not permitted"), "{said}");
        assert!(said.ends_with("\n0\n") || said.ends_with("\n0"), "{said}");
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
    before.assert_unchanged();
    // Nobody is in them again.
    let third = pinned.member("pod-2");
    runtime.started(&third);
    runtime.call(["delete", "--force", third.id()]).ok();
}

#[test]
fn who_is_of_another_pod_stays_out() {
    let (runtime, pinned) = (Runtime::new(), Pinned::new());
    let first = pinned.member("pod-1");
    runtime.started(&first);

    for sandbox in ["pod-2", ""] {
        let said = runtime.create(&pinned.member(sandbox)).failed(3);
        assert!(said.contains("refused by rule `ns.no-foreign-user`"), "{said}");
        assert!(said.contains(&format!("leads to container `{}`", first.id())), "{said}");
    }
    let said = Runtime::new().create(&pinned.member("pod-1")).failed(3);
    assert!(said.contains("leads into a box of no running container of this state root"), "{said}");
}

#[test]
fn with_a_process_of_the_hosts_in_them_they_are_refused() {
    let (runtime, mut holder) = (Runtime::new(), holder());
    let pinned = Pinned::of(&holder);

    let said = runtime.create(&pinned.member("pod-1")).failed(3);

    assert!(said.contains("refused by rule `ns.no-foreign-user`"), "{said}");
    assert!(said.contains("a ipc namespace whose processes may be root outside"), "{said}");
    holder.kill().unwrap();
    holder.wait().unwrap();
}
