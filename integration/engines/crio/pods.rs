//! Pods of CRI-O's: their namespaces are made and pinned before there is a container.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Crio;
use crate::engines::cri::{Message, Pod, Service};
use crate::engines::support::{assert_boxed, eventually};

fn namespace(pid: i32, link: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{link}")).unwrap().ino()
}

fn map(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap()
}

#[test]
#[ignore = "drives a real engine"]
fn containers_share_the_ids_of_the_pod_and_nobody_elses() {
    let Some(crio) = Crio::new() else { return };
    let pods = ["one", "two"].map(Pod::new);
    let pids = pods.each_ref().map(|pod| {
        let sandbox = pod.run(&crio).unwrap();
        ["a", "b"].map(|name| {
            let name = format!("{}-{name}", pod.name);
            crio.pid(&pod.start(&crio, &sandbox, &name, "hostname; sleep 600"))
        })
    });

    for (pod, [a, b]) in pods.iter().zip(pids) {
        for link in ["user", "net", "ipc", "uts"] {
            assert_eq!(namespace(a, link), namespace(b, link), "{link}");
        }
        for link in ["pid", "mnt"] {
            assert_ne!(namespace(a, link), namespace(b, link), "{link}");
        }
        assert_boxed(a);
        assert_boxed(b);
        for name in ["a", "b"] {
            let log = crio.place().dir().join(format!("logs/{}-{name}.log", pod.name));
            let line = format!("stdout F host-{}\n", pod.name);
            eventually("its name", || {
                fs::read_to_string(&log).is_ok_and(|log| log.contains(&line))
            });
        }
    }
    assert_ne!(map(pids[0][0]), map(pids[1][0]));
}

#[test]
#[ignore = "drives a real engine"]
fn a_pod_with_a_range_of_kubelets_has_that_range() {
    let Some(crio) = Crio::new() else { return };
    let base = 2_500_001_792;
    let pod = Pod::new("ranged").with_range(base);
    let sandbox = pod.run(&crio).unwrap();

    let pids = ["a", "b"].map(|name| crio.pid(&pod.start(&crio, &sandbox, name, "sleep 600")));

    for pid in pids {
        let map = map(pid);
        let words: Vec<_> = map.split_whitespace().collect();
        assert_eq!(words, ["0", &base.to_string(), "65536"]);
        assert_boxed(pid);
    }
    assert_eq!(namespace(pids[0], "user"), namespace(pids[1], "user"));
}

/// This machine may not lower the score that CRI-O gives to every sandbox that it starts, and there
/// is no option for it.
const BEARABLE: &str = r#"cd /usr/local/bin && mv casemate casemate.real && cat > casemate <<'E'
#!/bin/sh
for word; do
	[ "$last" != --bundle ] || sed -i 's/"oomScoreAdj": *-998/"oomScoreAdj":0/' "$word/config.json"
	last=$word
done
exec casemate.real "$@"
E
chmod 755 casemate"#;

#[test]
#[ignore = "drives a real engine"]
fn a_pod_that_shares_its_processes_sees_them() {
    let Some(crio) = Crio::new() else { return };
    crio.place().shell(BEARABLE).ok();
    let pod = Pod::new("share").sharing_processes();
    let sandbox = pod.run(&crio).unwrap();
    let first = pod.start(&crio, &sandbox, "first", "sleep 601");
    pod.start(&crio, &sandbox, "second", "ps -o args; sleep 602");

    assert_eq!(namespace(crio.pid(&sandbox), "pid"), namespace(crio.pid(&first), "pid"));
    assert_eq!(namespace(crio.pid(&sandbox), "user"), namespace(crio.pid(&first), "user"));
    let log = crio.place().dir().join("logs/second.log");
    eventually("what it saw", || {
        let seen = fs::read_to_string(&log).unwrap_or_default();
        seen.contains("sleep 601") && seen.contains("sleep infinity")
    });
}

#[test]
#[ignore = "drives a real engine"]
fn a_refusal_is_the_event_that_kubelet_shows() {
    let Some(crio) = Crio::new() else { return };

    // Where no sandbox is started, the first container is refused.
    for (pod, rule) in [
        (Pod::new("network").on_the_hosts_network(), "ns.no-host-network"),
        (Pod::new("ipc").with_the_hosts_ipc(), "ns.no-host-ipc"),
        (Pod::new("pid").with_the_hosts_processes(), "ns.no-host-pid"),
    ] {
        let sandbox = pod.run(&crio).unwrap();
        let made = pod.create(&crio, &sandbox, "c", "true", |config, security| (config, security));
        let why = made.unwrap_err();
        assert!(why.contains(&format!("refused by rule `{rule}`")), "{why}");
        assert!(why.contains("hint: "), "{why}");
        crio.end_sandbox(&sandbox);
    }
    let pod = Pod::new("plain");
    let sandbox = pod.run(&crio).unwrap();
    for host in ["/proc", "/run/casemate"] {
        let mount = Message::new().text(1, "/host").text(2, host);
        let made = pod.create(&crio, &sandbox, "c", "true", |config, security| {
            (config.message(7, &mount), security)
        });
        let why = made.unwrap_err();
        assert!(why.contains("refused by rule `mount.no-host-kernel-files`"), "{why}");
    }
}
