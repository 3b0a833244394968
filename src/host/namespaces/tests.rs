use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::*;

/// A process in namespaces of its own, until dropped.
struct Neighbour(Child);

impl Neighbour {
    /// Unshares as `unshare(1)` is told.
    fn new(flags: &[&str]) -> Self {
        let mut child = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", "echo ready; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn path(&self, link: &str) -> String {
        format!("/proc/{}/ns/{link}", self.0.id())
    }

    fn inode(&self, link: &str) -> u64 {
        stat(self.path(link)).unwrap().st_ino
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
        let _ = self.0.wait();
    }
}

fn look_at(namespaces: Value) -> Result<Vec<NamespaceFacts>, ProbeError> {
    let spec = json!({"ociVersion": "1.2.0", "linux": {"namespaces": namespaces}});
    facts(&serde_json::from_value(spec).unwrap())
}

fn found(kind: &str, path: &str) -> FoundNamespace {
    let facts = look_at(json!([{"type": kind, "path": path}])).unwrap();
    facts.into_iter().next().unwrap().found
}

fn wrong(kind: &str, path: &str) -> String {
    let found = found(kind, path);
    let FoundNamespace::Wrong(why) = found else { panic!("{found:?}") };
    why
}

#[test]
fn own_namespaces_are_the_hosts_under_whatever_path() {
    for kind in Namespace::ALL {
        let path = format!("/proc/{}/ns/{}", std::process::id(), kind.link());

        assert_eq!(found(kind.word(), &path), FoundNamespace::Host, "{}", kind.word());
    }
}

#[test]
fn a_namespace_that_belongs_to_our_own_user_namespace_is_foreign() {
    let neighbour = Neighbour::new(&["--net", "--ipc", "--uts"]);

    for (kind, link) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        assert_eq!(found(kind, &neighbour.path(link)), FoundNamespace::Foreign, "{kind}");
    }
    assert_eq!(found("pid", &neighbour.path("pid")), FoundNamespace::Host);
}

#[test]
fn a_namespace_of_a_pod_says_to_which_user_namespace_it_belongs() {
    let pod = Neighbour::new(&["--user", "--map-root-user", "--net", "--ipc"]);
    let boxed = FoundNamespace::Boxed { owner: pod.inode("user") };

    assert_eq!(found("network", &pod.path("net")), boxed);
    assert_eq!(found("ipc", &pod.path("ipc")), boxed);
    assert_eq!(found("user", &pod.path("user")), boxed);
    assert_eq!(found("uts", &pod.path("uts")), FoundNamespace::Host);
}

#[test]
fn a_namespace_kept_by_a_bind_mount_is_seen_through_it() {
    let neighbour = Neighbour::new(&["--net"]);
    let name = tempfile::NamedTempFile::new().unwrap();
    let path = neighbour.path("net");
    rustix::mount::mount_bind(path.as_str(), name.path()).unwrap();
    drop(neighbour);

    let found = found("network", name.path().to_str().unwrap());

    rustix::mount::unmount(name.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(found, FoundNamespace::Foreign);
}

#[test]
fn a_namespace_of_another_kind_is_wrong_also_when_it_is_our_own() {
    let neighbour = Neighbour::new(&["--uts"]);
    let said =
        |kind, is| format!("leads to a namespace that is not of the kind `{kind}` but `{is}`");

    assert_eq!(wrong("network", &neighbour.path("uts")), said("network", "uts"));
    assert_eq!(wrong("ipc", "/proc/self/ns/net"), said("ipc", "network"));
    assert_eq!(wrong("ipc", "/proc/self/ns/time"), said("ipc", "time"));
}

#[test]
fn what_is_no_namespace_is_wrong_and_is_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();

    for name in ["fifo", "file"] {
        let path = dir.path().join(name);
        let path = path.to_str().unwrap();
        assert_eq!(wrong("network", path), format!("{path} is no namespace"));
    }
    assert_eq!(wrong("network", "/proc/self/status"), "/proc/self/status is no namespace");
    assert_eq!(wrong("network", "/n/o"), "/n/o does not exist");
}

#[test]
fn only_entries_with_a_path_are_looked_at_in_their_order() {
    let facts = look_at(json!([
        {"type": "uts", "path": "/proc/self/ns/uts"},
        {"type": "mount"},
        {"type": "pid", "path": ""},
        {"type": "ipc", "path": "/n/o"},
    ]));

    let kinds: Vec<_> = facts.unwrap().into_iter().map(|facts| facts.kind).collect();
    assert_eq!(kinds, [Namespace::Uts, Namespace::Ipc]);
}

#[test]
fn a_relative_path_is_an_error() {
    let error = look_at(json!([{"type": "network", "path": "ns/net"}])).unwrap_err();

    assert_eq!(error.to_string(), "the namespace `ns/net` cannot be joined: not an absolute path");
    assert_eq!(error.at(), "/linux/namespaces");
}
