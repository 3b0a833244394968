//! Pods as kubelet makes them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Containerd, Message};
use crate::engines::cri::{Pod, Service};

/// The host's process id of a container or a sandbox, from the engine's own record.
#[track_caller]
pub(super) fn pid(containerd: &Containerd, id: &str) -> i32 {
    let tasks = containerd.ctr(&["-n", "k8s.io", "tasks", "ls"]).ok();
    let line = tasks.lines().find(|line| line.starts_with(id)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(super) fn namespace(pid: i32, link: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{link}")).unwrap().ino()
}

#[test]
#[ignore = "drives a real engine"]
fn sandbox_and_containers_share_the_ids_of_the_pod_and_nobody_elses() {
    let Some(containerd) = Containerd::new() else { return };
    let pods = ["one", "two"].map(Pod::new);
    let sandboxes = pods.each_ref().map(|pod| pod.run(&containerd).unwrap());
    let containers: Vec<_> = pods
        .iter()
        .zip(&sandboxes)
        .map(|(pod, sandbox)| {
            ["a", "b"].map(|name| {
                let name = format!("{}-{name}", pod.name);
                pod.start(&containerd, sandbox, &name, "sleep 600")
            })
        })
        .collect();

    let pause = sandboxes.each_ref().map(|id| pid(&containerd, id));
    for (sandbox, ids) in pause.iter().zip(&containers) {
        for id in ids {
            let pid = pid(&containerd, id);
            for link in ["user", "net", "ipc", "uts"] {
                assert_eq!(namespace(pid, link), namespace(*sandbox, link), "{link}");
            }
            for link in ["pid", "mnt"] {
                assert_ne!(namespace(pid, link), namespace(*sandbox, link), "{link}");
            }
            crate::engines::support::assert_boxed(pid);
        }
        crate::engines::support::assert_boxed(*sandbox);
    }
    let map = |pid: i32| fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    assert_ne!(map(pause[0]), map(pause[1]));
    for sandbox in &sandboxes {
        let id = Message::new().text(1, sandbox);
        containerd.must("StopPodSandbox", &id);
        containerd.must("RemovePodSandbox", &id);
    }
    let base = |text: String| text.split_whitespace().nth(1).unwrap().to_owned();
    let _ = base;
    assert_eq!(containerd.ctr(&["-n", "k8s.io", "containers", "ls", "-q"]).ok(), "");
}

#[test]
#[ignore = "drives a real engine"]
fn a_pod_with_a_range_of_kubelets_has_that_range() {
    let Some(containerd) = Containerd::new() else { return };
    if !containerd.is_second() {
        println!("skipped, because containerd 1 makes no user namespaces for pods");
        return;
    }
    let base = 2_500_001_792;
    let pod = Pod::new("ranged").with_range(base);
    let sandbox = pod.run(&containerd).unwrap();
    let line = "stat -c %u /bin/busybox; echo kept > /tmp/x; sleep 600";
    let container = pod.start(&containerd, &sandbox, "c", line);

    let pids = [&sandbox, &container].map(|id| pid(&containerd, id));
    for pid in pids {
        let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
        let words: Vec<_> = map.split_whitespace().collect();
        assert_eq!(words, ["0", &base.to_string(), "65536"]);
        crate::engines::support::assert_boxed(pid);
    }
    for link in ["user", "net", "ipc", "uts"] {
        assert_eq!(namespace(pids[0], link), namespace(pids[1], link), "{link}");
    }
    let log = containerd.place().dir().join("logs/c.log");
    crate::engines::support::eventually("its files' owner", || {
        fs::read_to_string(&log).unwrap_or_default().contains("stdout F 0\n")
    });
    assert_eq!(containerd.exec(&container, &["cat", "/tmp/x"]).0, "kept\n");
}

#[test]
#[ignore = "drives a real engine"]
fn a_pod_that_shares_its_processes_sees_them() {
    let Some(containerd) = Containerd::new() else { return };
    let pod = Pod::new("share").sharing_processes();
    let sandbox = pod.run(&containerd).unwrap();
    let first = pod.start(&containerd, &sandbox, "first", "sleep 601");
    let second = pod.start(&containerd, &sandbox, "second", "ps -o args; sleep 602");

    let pids = [&sandbox, &first, &second].map(|id| pid(&containerd, id));

    assert_eq!(namespace(pids[0], "pid"), namespace(pids[1], "pid"));
    assert_eq!(namespace(pids[0], "pid"), namespace(pids[2], "pid"));
    let log = containerd.place().dir().join("logs/second.log");
    crate::engines::support::eventually("what it saw", || {
        let seen = fs::read_to_string(&log).unwrap_or_default();
        seen.contains("sleep 601") && seen.contains("sleep infinity")
    });
    let id = Message::new().text(1, &first).number(2, 0);
    containerd.must("StopContainer", &id);
    containerd.must("RemoveContainer", &Message::new().text(1, &first));
}

#[test]
#[ignore = "drives a real engine"]
fn a_refusal_is_the_event_that_kubelet_shows() {
    let Some(containerd) = Containerd::new() else { return };

    for (pod, rule) in [
        (Pod::new("network").on_the_hosts_network(), "ns.no-host-network"),
        (Pod::new("ipc").with_the_hosts_ipc(), "ns.no-host-ipc"),
        (Pod::new("pid").with_the_hosts_processes(), "ns.no-host-pid"),
    ] {
        let why = pod.run(&containerd).unwrap_err();
        assert!(why.contains(&format!("refused by rule `{rule}`")), "{why}");
        assert!(why.contains("hint: "), "{why}");
    }
    let pod = Pod::new("plain");
    let sandbox = pod.run(&containerd).unwrap();
    let mount = |host: &str| Message::new().text(1, "/host").text(2, host);
    let rule = "mount.no-host-kernel-files";
    let disk = containerd.place().shell("ls -d /dev/[sv]d[a-z] | head -n 1").ok();
    for host in ["/proc", "/", "/run/casemate", &disk].into_iter().filter(|host| !host.is_empty()) {
        let made = pod.create(&containerd, &sandbox, "c", "true", |config, security| {
            (config.message(7, &mount(host)), security)
        });
        let id = made.unwrap();
        let why = containerd.ask("StartContainer", &Message::new().text(1, &id)).unwrap_err();
        assert!(why.contains(&format!("refused by rule `{rule}`")), "{why}");
        containerd.must("RemoveContainer", &Message::new().text(1, &id));
    }
}

#[test]
#[ignore = "drives a real engine"]
fn an_exception_opens_what_a_refusal_named() {
    let Some(containerd) = Containerd::new() else { return };
    let policy = "level = \"hardened\"\n[[exception]]\nid = \"hosts\"\nreason = \"a test\"\n\
                  waive = [\"ns.no-host-network\", \"ns.no-host-uts\", \"ns.no-host-ipc\", \
                  \"mount.no-host-kernel-files\"]\n\
                  allow = { \"caps.ceiling\" = [\"CAP_NET_ADMIN\"] }\n";
    let line = format!(
        "mkdir -p $D/policy /etc/casemate && printf '{policy}' > $D/policy/policy.toml && \
         mount --bind $D/policy /etc/casemate && stat -Lc %i /proc/self/ns/net /proc/self/ns/ipc"
    );
    let said = containerd.place().shell(&line).ok();
    let own: Vec<u64> = said.lines().map(|line| line.parse().unwrap()).collect();

    let pods = [
        ("net", own[0], Pod::new("network").on_the_hosts_network()),
        ("ipc", own[1], Pod::new("ipc").with_the_hosts_ipc()),
    ];
    for (link, inode, pod) in pods {
        let sandbox = pod.run(&containerd).unwrap();
        let id = pod.start(&containerd, &sandbox, link, "sleep 600");
        let pid = pid(&containerd, &id);
        assert_eq!(namespace(pid, link), inode, "{link}");
        crate::engines::support::assert_boxed(pid);
    }
    let pod = Pod::new("plain");
    let sandbox = pod.run(&containerd).unwrap();
    // Field 1 of the security context: capabilities, of which field 1 is what is added.
    let added = Message::new().text(1, "NET_ADMIN");
    let made = pod.create(&containerd, &sandbox, "able", "sleep 600", |config, security| {
        (config, security.message(1, &added))
    });
    let id = made.unwrap();
    containerd.must("StartContainer", &Message::new().text(1, &id));
    let (status, _, _) = containerd.exec(&id, &["grep", "CapEff", "/proc/self/status"]);
    let effective = u64::from_str_radix(status.split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_eq!(effective & (1 << 12), 1 << 12, "{status}");
}
