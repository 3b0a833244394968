//! What a container of a pod does from its start to its end.

use std::fs;

use super::pods::pid;
use super::{Containerd, Message};
use crate::engines::cri::{Pod, Service};
use crate::engines::support::eventually;

#[test]
#[ignore = "drives a real engine"]
fn a_container_logs_serves_on_the_pods_address_and_stops() {
    let Some(containerd) = Containerd::new() else { return };
    let pod = Pod::new("web");
    let sandbox = pod.run(&containerd).unwrap();
    let line = "echo to-the-log; echo to-errors >&2; hostname; \
                echo page > /tmp/index.html; httpd -p 80 -h /tmp; \
                trap 'exit 5' TERM; while :; do sleep 0.1; done";
    let web = pod.start(&containerd, &sandbox, "web", line);

    let log = containerd.place().dir().join("logs/web.log");
    eventually("its log", || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.contains("stdout F to-the-log") && log.contains("stderr F to-errors")
    });
    let status = containerd.must("PodSandboxStatus", &Message::new().text(1, &sandbox));
    let address = status.message(1).message(5).text(1);
    assert!(address.starts_with("10.85."), "{address}");
    let get = format!("busybox wget -qO- http://{address}/");
    eventually("the page", || containerd.place().shell(&get).stdout == "page\n");
    let other = pod.start(&containerd, &sandbox, "other", "wget -qO- 127.0.0.1; sleep 600");
    let log = containerd.place().dir().join("logs/other.log");
    eventually("the page", || fs::read_to_string(&log).unwrap_or_default().contains("F page"));
    assert_eq!(containerd.state(&web).0, 1);
    containerd.must("StopContainer", &Message::new().text(1, &web).number(2, 10));
    assert_eq!(containerd.state(&web), (2, 5));
    containerd.must("RemoveContainer", &Message::new().text(1, &web));
    containerd.must("StopContainer", &Message::new().text(1, &other).number(2, 0));
    assert_eq!(containerd.state(&other), (2, 137));
}

#[test]
#[ignore = "drives a real engine"]
fn a_crash_of_containerd_and_its_restart_lose_nothing() {
    let Some(mut containerd) = Containerd::new() else { return };
    let pod = Pod::new("kept");
    let sandbox = pod.run(&containerd).unwrap();
    let line = "while :; do date +%s%N > /tmp/beat; sleep 0.1; done";
    let kept = pod.start(&containerd, &sandbox, "kept", line);
    let before = pid(&containerd, &kept);

    containerd.crash();
    assert!(fs::exists(format!("/proc/{before}")).unwrap());
    containerd.start();

    assert_eq!(pid(&containerd, &kept), before);
    assert_eq!(containerd.state(&kept).0, 1);
    let late = pod.start(&containerd, &sandbox, "late", "sleep 600");
    assert_eq!(
        super::pods::namespace(pid(&containerd, &late), "user"),
        super::pods::namespace(before, "user")
    );
    containerd.must("StopContainer", &Message::new().text(1, &kept).number(2, 0));
    assert_eq!(containerd.state(&kept), (2, 137));
    for method in ["StopPodSandbox", "RemovePodSandbox"] {
        containerd.must(method, &Message::new().text(1, &sandbox));
    }
}
