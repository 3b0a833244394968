//! What a container of CRI-O's does from its start to its end.

use std::fs;

use super::Crio;
use crate::engines::cri::{Message, Pod, Service, Terminal};
use crate::engines::support::eventually;

#[test]
#[ignore = "drives a real engine"]
fn a_container_logs_serves_is_entered_and_stops() {
    let Some(crio) = Crio::new() else { return };
    let pod = Pod::new("web");
    let sandbox = pod.run(&crio).unwrap();
    let line = "echo to-the-log; echo to-errors >&2; echo page > /tmp/index.html; \
                httpd -p 80 -h /tmp; trap 'exit 5' TERM; while :; do sleep 0.1; done";
    let web = pod.start(&crio, &sandbox, "web", line);

    let log = crio.place().dir().join("logs/web.log");
    eventually("its log", || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.contains("stdout F to-the-log") && log.contains("stderr F to-errors")
    });
    let status = crio.must("PodSandboxStatus", &Message::new().text(1, &sandbox));
    let address = status.message(1).message(5).text(1);
    assert!(address.starts_with("10.85."), "{address}");
    let get = format!("busybox wget -qO- http://{address}/");
    eventually("the page", || crio.place().shell(&get).stdout == "page\n");

    let said = crio.exec(&web, &["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(said, ("out\n".to_owned(), "err\n".to_owned(), 3));
    let (map, _, _) = crio.exec(&web, &["cat", "/proc/self/uid_map"]);
    assert_eq!(map, fs::read_to_string(format!("/proc/{}/uid_map", crio.pid(&web))).unwrap());
    // CRI-O sends no more of a terminal's output once the command has ended.
    let line = "sleep 0.3; stty size; read line; echo got $line; sleep 0.5";
    let command = ["sh", "-c", line];
    let ended = crio.exec_stream(&web, &command, Terminal::Yes, "typed\n");
    assert!(ended.stdout.contains("33 111") && ended.stdout.contains("got typed"), "{ended:?}");
    let command = ["sh", "-c", "read line; echo got $line; exit 4"];
    let ended = crio.exec_stream(&web, &command, Terminal::No, "input\n");
    assert_eq!(ended.stdout, "got input\n");
    assert!(ended.status.contains("\"4\""), "{ended:?}");

    assert_eq!(crio.state(&web).0, 1);
    crio.must("StopContainer", &Message::new().text(1, &web).number(2, 10));
    assert_eq!(crio.state(&web), (2, 5));
    crio.must("RemoveContainer", &Message::new().text(1, &web));
    crio.end_sandbox(&sandbox);
}

#[test]
#[ignore = "drives a real engine"]
fn a_crash_of_crio_and_its_restart_lose_nothing() {
    let Some(mut crio) = Crio::new() else { return };
    let pod = Pod::new("kept");
    let sandbox = pod.run(&crio).unwrap();
    let kept = pod.start(&crio, &sandbox, "kept", "while :; do sleep 0.1; done");
    let before = crio.pid(&kept);

    crio.crash();
    assert!(fs::exists(format!("/proc/{before}")).unwrap());
    crio.start();

    assert_eq!(crio.pid(&kept), before);
    assert_eq!(crio.state(&kept).0, 1);
    let late = pod.start(&crio, &sandbox, "late", "sleep 600");
    let user = |pid| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    assert_eq!(user(crio.pid(&late)), user(before));
    crio.must("StopContainer", &Message::new().text(1, &kept).number(2, 0));
    assert_eq!(crio.state(&kept), (2, 137));
    crio.end_sandbox(&sandbox);
}
