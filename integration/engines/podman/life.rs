//! Single containers: what people do with them every day.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Podman;
use crate::engines::support::{Groups, assert_boxed, call, eventually};

#[test]
#[ignore = "drives a real engine"]
fn run_returns_what_the_program_did_and_said() {
    let Some(podman) = Podman::new() else { return };

    let ran = podman.run(&[], "echo out; echo err >&2; exit 7");

    assert_eq!((ran.status, ran.stdout.as_str()), (Some(7), "out\n"), "{ran:?}");
    assert!(ran.stderr.contains("err"), "{ran:?}");
    assert_eq!(podman.run(&["--user", "1000:1000"], "id -u; id -g").ok(), "1000\n1000");
    let mut command = podman.command(&["run", "--rm", "-i", "localhost/busybox:1", "cat"]);
    let input = podman.place().dir().join("input");
    fs::write(&input, "through standard input").unwrap();
    let said = call(command.stdin(fs::File::open(input).unwrap())).ok();
    assert_eq!(said, "through standard input");
}

#[test]
#[ignore = "drives a real engine"]
fn a_detached_container_lives_is_seen_and_ends() {
    let Some(podman) = Podman::new() else { return };
    podman.start("web", &[], "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done");
    eventually("its output", || podman.call(&["logs", "web"]).ok() == "up");

    assert_boxed(podman.pid("web"));
    let top = podman.call(&["top", "web", "pid", "args"]).ok();
    assert!(top.contains("trap"), "{top}");
    podman.call(&["stats", "--no-stream", "web"]).ok();
    podman.call(&["pause", "web"]).ok();
    assert_eq!(podman.inspect("web", "State.Status"), "paused");
    podman.call(&["unpause", "web"]).ok();
    podman.call(&["kill", "--signal", "WINCH", "web"]).ok();
    assert_eq!(podman.inspect("web", "State.Status"), "running");
    podman.call(&["stop", "--time", "10", "web"]).ok();
    assert_eq!(podman.inspect("web", "State.ExitCode"), "5");
    podman.call(&["start", "web"]).ok();
    podman.call(&["restart", "--time", "10", "web"]).ok();
    podman.call(&["kill", "web"]).ok();
    eventually("its end", || podman.inspect("web", "State.Status") == "exited");
    assert_eq!(podman.inspect("web", "State.ExitCode"), "137");
    podman.call(&["rm", "web"]).ok();
}

#[test]
#[ignore = "drives a real engine"]
fn a_terminal_is_a_terminal() {
    let Some(podman) = Podman::new() else { return };

    let line = "tty; test -t 0 && test -t 1 && echo yes";
    let run = ["run", "--rm", "-t", "localhost/busybox:1", "sh", "-c", line];
    // What it says may be lost: see `call_heard`.
    eventually("its answers", || {
        let said = podman.call(&run).ok();
        said.starts_with("/dev/") && said.trim_end().ends_with("yes")
    });
}

#[test]
#[ignore = "drives a real engine"]
fn volumes_keep_their_owners_and_what_was_written() {
    let Some(podman) = Podman::new() else { return };
    let dir = podman.place().dir().join("data");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(999), Some(999)).unwrap();
    let bind = format!("{}:/data", dir.display());

    let line = "stat -c %u /data; echo kept > /data/file; chown 33 /data/file";
    assert_eq!(podman.run(&["-v", &bind], line).ok(), "999");
    let found = fs::metadata(dir.join("file")).unwrap();
    assert_eq!(found.uid(), 33);
    let said = podman.run(&["-v", &format!("{bind}:ro")], "cat /data/file; touch /data/x 2>&1");
    assert!(said.stdout.starts_with("kept\n") && said.stdout.contains("Read-only"), "{said:?}");
    podman.run(&["-v", "named:/data"], "echo named > /data/file").ok();
    assert_eq!(podman.run(&["-v", "named:/data"], "cat /data/file").ok(), "named");
    let said = podman.run(&["-v", &bind], "cp /bin/busybox /data/sh; chmod 4755 /data/sh");
    assert_ne!(said.status, Some(0));
    assert_eq!(fs::metadata(dir.join("sh")).unwrap().mode() & 0o7000, 0);
}

#[test]
#[ignore = "drives a real engine"]
fn the_options_that_people_use_work() {
    let Some(podman) = Podman::new() else { return };
    let secret = "printf hunter2 | podman --root $D/root --runroot $D/run secret create s1 -";
    podman.place().shell(secret).ok();

    for (options, line, said) in [
        (&["--tmpfs", "/cache:size=1m,mode=700"][..], "touch /cache/x && stat -c %a /cache", "700"),
        (&["--init"], "cat /proc/1/comm", "podman-init"),
        (&["--read-only"], "touch /tmp/x && ! touch /x 2>/dev/null && echo held", "held"),
        (&["--secret", "s1", "--user", "1000"], "cat /run/secrets/s1", "hunter2"),
        (&["--hostname", "box"], "hostname", "box"),
        (&["--workdir", "/home"], "pwd", "/home"),
        (&["--env", "A=b"], "echo $A", "b"),
        (&["--group-add", "44"], "id -G | tr ' ' '\\n' | grep -x 44", "44"),
        (&["--network", "none"], "ip -o link | wc -l", "1"),
        (&["--oom-score-adj", "300"], "cat /proc/self/oom_score_adj", "300"),
        (&["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward", "1"),
        (&["--shm-size", "1m"], "df -k /dev/shm | tail -n 1 | awk '{print $2}'", "1024"),
        (&["--cap-add", "ALL"], "grep CapEff /proc/self/status | cut -f 2", "00000000000005fb"),
        (&["--cap-drop", "ALL"], "grep CapEff /proc/self/status | cut -f 2", "0000000000000000"),
        (
            &["--security-opt", "seccomp=unconfined"],
            "grep Seccomp: /proc/self/status | cut -f 2",
            "2",
        ),
        (&["--security-opt", "unmask=ALL"], "wc -c < /proc/interrupts", "0"),
        (&["--cgroupns", "host"], "cat /proc/self/cgroup | grep -c libpod", "0"),
    ] {
        let ran = podman.run(options, line);

        assert_eq!(ran.stdout.trim_end(), said, "{options:?}: {ran:?}");
    }
}

#[test]
#[ignore = "drives a real engine"]
fn limits_hold() {
    // Where this machine's controllers are.
    let Some(podman) = Podman::with(Groups::AsIs, "") else { return };

    let options = ["--memory", "32m", "--memory-swap", "32m"];
    let ran = podman.run(&options, "dd if=/dev/zero of=/dev/null bs=100M count=1");
    assert_eq!(ran.status, Some(137), "{ran:?}");
    podman.start("seen", &["--memory", "64m"], "head -c 9000000 /dev/zero > /tmp/x; sleep 600");
    let format = "{{.Name}} {{.PIDs}} {{.MemUsage}}";
    eventually("what it uses", || {
        let seen = podman.call(&["stats", "--no-stream", "--format", format, "seen"]).ok();
        let words: Vec<_> = seen.split_whitespace().collect();
        let used = words[2].strip_suffix("MB").and_then(|used| used.parse::<f64>().ok());
        words[0] == "seen"
            && matches!(words[1], "1" | "2")
            && used.is_some_and(|used| used > 9.0)
            && words[4] == "67.11MB"
    });
    let line = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3 & done 2>&1; echo end";
    let ran = podman.run(&["--pids-limit", "8"], line);
    assert!(ran.stdout.contains("can't fork") || ran.status != Some(0), "{ran:?}");
}

#[test]
#[ignore = "drives a real engine"]
fn a_bridge_network_carries_a_page_from_one_container_to_the_host_and_to_another() {
    let Some(podman) = Podman::new() else { return };
    let line = "echo page > /tmp/index.html; httpd -f -p 80 -h /tmp";
    podman.start("web", &["-p", "8080:80"], line);
    let address = podman.inspect("web", "NetworkSettings.IPAddress");
    assert!(address.starts_with("10."), "{address}");

    let get = format!("wget -qO- http://{address}/");
    eventually("the page", || podman.run(&[], &get).stdout == "page\n");
    let from_host = podman.place().shell(&format!("busybox {get}")).ok();
    assert_eq!(from_host, "page");
    // Low ports for root and for others, though the network is Podman's.
    podman.run(&["--user", "1000"], "timeout 1 httpd -f -p 81; test $? = 143").ok();
}

#[test]
#[ignore = "drives a real engine"]
fn mappings_of_the_engines_are_kept() {
    let Some(podman) = Podman::new() else { return };
    podman.place().shell("printf 'containers:2000000:1000000\\n' > $D/subid").ok();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let line = format!("touch $D/there; mount --bind $D/subid {file}");
        podman.place().shell(&line).ok();
    }
    let map = "tr -s ' ' < /proc/self/uid_map; stat -c %u /etc/passwd";

    let said = podman.run(&["--uidmap", "0:100000:65536"], map).ok();
    assert_eq!(said.trim_start(), "0 100000 65536\n0");
    let said = podman.run(&["--userns", "auto:size=65536"], map).ok();
    assert!(said.trim_start().starts_with("0 2000000 65536"), "{said}");
    let said = podman.run(&["--uidmap", "0:0:65536"], map).failed();
    assert!(said.contains("refused by rule `ids.no-host-root`"), "{said}");
}
