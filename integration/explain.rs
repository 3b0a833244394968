//! `explain`, on what engines really sent: each config is accepted, or refused for the right
//! reason, and nothing is created either way.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, Snapshot};

const CAPTURED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/golden/captured");

/// A network, IPC and UTS namespace of somebody else's.
struct Holder(Child);

impl Holder {
    fn new(options: &[&str]) -> Self {
        let mut child = Command::new("unshare")
            .args(options)
            .args(["sh", "-c", "echo ready; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        Self(child)
    }

    fn namespace(&self, kind: &str) -> String {
        let name = if kind == "network" { "net" } else { kind };
        format!("/proc/{}/ns/{name}", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bundle with a captured config, its namespaces those of `holder`, its limits within ours.
fn captured(name: &str, holder: &Holder) -> Bundle {
    let text = fs::read_to_string(Path::new(CAPTURED).join(name)).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace.get("path").is_some() {
            namespace["path"] = json!(holder.namespace(namespace["type"].as_str().unwrap()));
        }
    }
    if let Some(limits) = config["process"]["rlimits"].as_array_mut() {
        limits.clear();
    }
    config["root"]["path"] = json!("rootfs");
    let bundle = Bundle::new();
    bundle.raw(config.to_string().as_bytes())
}

fn explain(runtime: &Runtime, bundle: &Bundle) -> (Option<i32>, String) {
    let before = Snapshot::take(runtime, &[bundle.id()]);
    let ran = runtime.call(["explain", "--bundle", bundle.dir().to_str().unwrap()]);
    before.assert_unchanged();
    (ran.status, format!("{}{}", ran.stdout, ran.stderr))
}

#[test]
fn what_engines_ask_for_by_default_is_accepted() {
    let runtime = Runtime::new();
    let holder = Holder::new(&["-n", "-i", "-u"]);
    for name in [
        "podman-default.json",
        "podman-5-default.json",
        "podman-init.json",
        "podman-pod-infra.json",
        "podman-tty.json",
        "podman-userns-auto.json",
        "podman-volume.json",
        "ctr-default.json",
        "cri-pod-default-sandbox.json",
    ] {
        let (status, said) = explain(&runtime, &captured(name, &holder));

        assert_eq!(status, Some(0), "{name}: {said}");
        for word in ["level   hardened", "digest  sha256:", "seccomp.load", "process.execute"] {
            assert!(said.contains(word), "{name} without {word}: {said}");
        }
    }
}

#[test]
fn what_cannot_be_held_is_refused_for_its_reason() {
    let runtime = Runtime::new();
    let holder = Holder::new(&["-n", "-i", "-u"]);
    for (name, status, reason) in [
        ("podman-hostns.json", 3, "rule `ns.no-host-pid`: /linux/namespaces has no `pid`"),
        ("podman-privileged.json", 3, "refused by rule"),
        // Of somebody whose root is root outside.
        ("podman-pod-container.json", 3, "namespace whose processes may be root outside"),
        ("cri-pod-default-container.json", 3, "namespace whose processes may be root outside"),
    ] {
        let (found, said) = explain(&runtime, &captured(name, &holder));

        assert_eq!(found, Some(status), "{name}: {said}");
        assert!(said.contains(reason), "{name}: {said}");
    }
}

#[test]
fn namespaces_of_another_user_namespace_are_refused() {
    let runtime = Runtime::new();
    let holder = Holder::new(&["-U", "-n", "-i", "-u"]);
    for name in ["podman-pod-container.json", "cri-pod-default-container.json"] {
        let (status, said) = explain(&runtime, &captured(name, &holder));

        assert_eq!(status, Some(3), "{name}: {said}");
        assert!(said.contains("rule `ns.no-foreign-user`"), "{name}: {said}");
    }
}

#[test]
fn the_hosts_own_namespace_is_recognised_behind_a_path() {
    let runtime = Runtime::new();
    let holder = Holder::new(&[]);
    let bundle = captured("podman-pod-container.json", &holder);

    let (status, said) = explain(&runtime, &bundle);

    assert_eq!(status, Some(3), "{said}");
    for kind in ["network", "ipc", "uts"] {
        assert!(said.contains(&format!("leads to the host's {kind} namespace")), "{kind}: {said}");
    }
}

#[test]
fn every_step_and_every_change_says_who_asked_for_it() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().set("/root/readonly", json!(false));
    let dir = bundle.dir().to_str().unwrap();

    let said = runtime.call(["explain", "--json", "--bundle", dir]).ok();

    let explained: Value = serde_json::from_str(&said).unwrap();
    for step in explained["plan"]["steps"].as_array().unwrap() {
        let origin = step["origin"].as_object().unwrap();
        assert_eq!(origin.len(), 1, "{step}");
        assert!(["config", "rule", "builtin"].contains(&origin.keys().next().unwrap().as_str()));
    }
    let changes = explained["plan"]["changes"].as_array().unwrap();
    assert!(
        changes
            .iter()
            .any(|one| one["rule"] == "rootfs.read-only" && one["at"] == "/root/readonly")
    );
    assert!(
        changes.iter().all(|one| one["policy"].as_str().unwrap().starts_with("hardened.toml:"))
    );
}
