//! Exec and probes through the CRI: awaited, streamed, with a terminal and without.

use super::pods::pid;
use super::{Containerd, Terminal};
use crate::engines::cri::{Pod, Service};

#[test]
#[ignore = "drives a real engine"]
fn a_probe_gets_output_and_status() {
    let Some(containerd) = Containerd::new() else { return };
    let pod = Pod::new("probed");
    let sandbox = pod.run(&containerd).unwrap();
    let id = pod.start(&containerd, &sandbox, "probed", "touch /tmp/ready; sleep 600");

    let said = containerd.exec(&id, &["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(said, ("out\n".to_owned(), "err\n".to_owned(), 3));
    assert_eq!(containerd.exec(&id, &["test", "-e", "/tmp/ready"]).2, 0);
    assert_eq!(containerd.exec(&id, &["test", "-e", "/tmp/no"]).2, 1);
    let (map, _, _) = containerd.exec(&id, &["cat", "/proc/self/uid_map"]);
    let init = std::fs::read_to_string(format!("/proc/{}/uid_map", pid(&containerd, &id))).unwrap();
    assert_eq!(map, init);
}

#[test]
#[ignore = "drives a real engine"]
fn exec_is_streamed_as_kubectl_does_it() {
    let Some(containerd) = Containerd::new() else { return };
    let pod = Pod::new("streamed");
    let sandbox = pod.run(&containerd).unwrap();
    let id = pod.start(&containerd, &sandbox, "streamed", "sleep 600");

    let command = ["sh", "-c", "read line; echo got $line; echo err >&2; exit 4"];
    let ended = containerd.exec_stream(&id, &command, Terminal::No, "input\n");
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("got input\n", "err\n"));
    assert!(ended.status.contains("\"4\""), "{ended:?}");

    let command = [
        "sh",
        "-c",
        "until stty size | grep 33; do sleep 0.1; done; tty; read line; echo got $line",
    ];
    let ended = containerd.exec_stream(&id, &command, Terminal::Yes, "typed\n");
    assert!(ended.stdout.contains("33 111"), "{ended:?}");
    assert!(ended.stdout.contains("/dev/") && ended.stdout.contains("got typed"), "{ended:?}");
    assert!(ended.status.contains("Success"), "{ended:?}");
}
