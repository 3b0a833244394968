//! Containers that share: pods, `container:`, `play kube`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Podman;
use crate::engines::support::{Place, assert_boxed, eventually};

fn namespace(pid: i32, link: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{link}")).unwrap().ino()
}

#[test]
#[ignore = "drives a real engine"]
fn the_containers_of_a_pod_share_ids_network_and_names() {
    let Some(podman) = Podman::new() else { return };
    podman.call(&["pod", "create", "--name", "pod", "-p", "8081:8080"]).ok();
    let line = "echo page > /tmp/index.html; httpd -f -p 8080 -h /tmp";
    podman.start("web", &["--pod", "pod"], line);
    podman.start("side", &["--pod", "pod", "--user", "1000"], "sleep 600");
    let (web, side) = (podman.pid("web"), podman.pid("side"));

    for link in ["user", "net", "ipc", "uts"] {
        assert_eq!(namespace(web, link), namespace(side, link), "{link}");
    }
    for link in ["pid", "mnt"] {
        assert_ne!(namespace(web, link), namespace(side, link), "{link}");
    }
    assert_boxed(web);
    assert_boxed(side);
    let get = "wget -qO- http://127.0.0.1:8080/";
    eventually("the page", || podman.run(&["--pod", "pod"], get).stdout == "page\n");
    podman.call(&["pod", "pause", "pod"]).ok();
    podman.call(&["pod", "unpause", "pod"]).ok();
    podman.call(&["pod", "stop", "--time", "0", "pod"]).ok();
    podman.call(&["pod", "start", "pod"]).ok();
    assert_eq!(podman.inspect("web", "State.Status"), "running");
    assert_eq!(namespace(podman.pid("web"), "user"), namespace(podman.pid("side"), "user"));
    podman.call(&["pod", "rm", "--force", "--time", "0", "pod"]).ok();
}

#[test]
#[ignore = "drives a real engine"]
fn a_container_joins_another_where_the_user_says_so() {
    let Some(podman) = Podman::new() else { return };
    podman.start("first", &[], "sleep 600");
    let first = podman.pid("first");
    let identity = "stat -Lc %i /proc/self/ns/user /proc/self/ns/pid /proc/self/ns/ipc";
    let ids = |said: String| said.lines().map(|line| line.parse().unwrap()).collect::<Vec<u64>>();

    let said = ids(podman.run(&["--pid", "container:first"], identity).ok());
    assert_eq!(said[0], namespace(first, "user"));
    assert_eq!(said[1], namespace(first, "pid"));
    let said = ids(podman.run(&["--ipc", "container:first"], identity).ok());
    assert_eq!(said[0], namespace(first, "user"));
    assert_eq!(said[2], namespace(first, "ipc"));
    // A network that is Podman's can be shared without sharing ids.
    let said = ids(podman.run(&["--network", "container:first"], identity).ok());
    assert_ne!(said[0], namespace(first, "user"));
    let seen = podman.run(&["--pid", "container:first"], "ps -o args; kill -0 1 && echo reached");
    assert!(seen.stdout.contains("sleep 600") && seen.stdout.ends_with("reached\n"), "{seen:?}");
    // One that is the container's own makes them share.
    podman.start("alone", &["--network", "none"], "sleep 600");
    let said = ids(podman.run(&["--network", "container:alone"], identity).ok());
    assert_eq!(said[0], namespace(podman.pid("alone"), "user"));
}

#[test]
#[ignore = "drives a real engine"]
fn the_pod_of_our_own_profile_is_played() {
    let Some(podman) = Podman::new() else { return };
    let image = "docker.io/nginxinc/nginx-unprivileged:stable";
    podman.call(&["tag", "localhost/busybox:1", image]).ok();
    let file = podman.place().dir().join("pod.yaml");
    // The image is another, so it is told what to run.
    let command = "      command: [sh, -c, 'id -u; touch /tmp/x && echo page > /tmp/index.html; \
                   httpd -f -p 8080 -h /tmp']\n";
    let profile = Place::profile("pod.yaml");
    let (begin, end) = profile.split_once("      ports:\n").unwrap();
    fs::write(&file, format!("{begin}{command}      ports:\n{end}")).unwrap();
    let file = file.to_str().unwrap();

    podman.call(&["play", "kube", file]).ok();

    eventually("its user", || podman.call(&["logs", "web-web"]).stdout == "101\n");
    assert_boxed(podman.pid("web-web"));
    let get = "wget -qO- http://127.0.0.1:8080/";
    eventually("the page", || podman.run(&["--pod", "web"], get).stdout == "page\n");
    podman.call(&["play", "kube", "--down", file]).ok();
}

const KUBE: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: shop
spec:
  shareProcessNamespace: true
  volumes: [{name: shared, emptyDir: {}}]
  containers:
  - name: server
    image: localhost/busybox:1
    command: [sh, -c, 'echo page > /tmp/index.html; httpd -f -p 8080 -h /tmp']
  - name: client
    image: localhost/busybox:1
    command: [sh, -c, 'until wget -qO /shared/got 127.0.0.1:8080; do sleep 0.1; done; cat /shared/got; sleep 600']
    securityContext: {runAsUser: 1000}
    volumeMounts: [{name: shared, mountPath: /shared}]
";

#[test]
#[ignore = "drives a real engine"]
fn a_pod_of_kubernetes_is_played() {
    let Some(podman) = Podman::new() else { return };
    let file = podman.place().dir().join("kube.yaml");
    // Podman's emptyDir belongs to root.
    fs::write(&file, KUBE.replace("runAsUser: 1000", "runAsUser: 0")).unwrap();
    let file = file.to_str().unwrap();

    podman.call(&["play", "kube", file]).ok();

    eventually("the page", || podman.call(&["logs", "shop-client"]).stdout == "page\n");
    let (server, client) = (podman.pid("shop-server"), podman.pid("shop-client"));
    assert_eq!(namespace(server, "user"), namespace(client, "user"));
    assert_boxed(server);
    podman.call(&["play", "kube", "--down", file]).ok();
    assert_eq!(podman.call(&["ps", "-aq"]).ok(), "");
}
