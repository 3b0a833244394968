//! Options that people give to `docker run`, and volumes.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Docker;

#[test]
#[ignore = "drives a real engine"]
fn the_options_that_people_use_work() {
    let Some(docker) = Docker::new(&[]) else { return };

    for (options, line, said) in [
        (&["--tmpfs", "/cache:size=1m,mode=700"][..], "touch /cache/x && stat -c %a /cache", "700"),
        (&["--init"], "cat /proc/1/comm", "docker-init"),
        (&["--read-only"], "! touch /x 2>/dev/null && echo held", "held"),
        (&["--user", "1000:1000"], "id -u; id -g", "1000\n1000"),
        (&["--hostname", "box"], "hostname", "box"),
        (&["--workdir", "/home"], "pwd", "/home"),
        (&["--env", "A=b"], "echo $A", "b"),
        (&["--group-add", "44"], "id -G | tr ' ' '\\n' | grep -x 44", "44"),
        (&["--oom-score-adj", "300"], "cat /proc/self/oom_score_adj", "300"),
        (&["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward", "1"),
        (&["--shm-size", "1m"], "df -k /dev/shm | tail -n 1 | awk '{print $2}'", "1024"),
        (&["--ulimit", "nofile=99:99"], "ulimit -n", "99"),
        (&["--cap-add", "ALL"], "grep CapEff /proc/self/status | cut -f 2", "00000000000005fb"),
        (&["--cap-drop", "ALL"], "grep CapEff /proc/self/status | cut -f 2", "0000000000000000"),
        (&["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status", {
            "Seccomp:\t2"
        }),
        (&["--userns", "host"], "test $(awk '{print $2}' /proc/self/uid_map) != 0; echo $?", "0"),
        (&["--cpus", "0.5", "--cpuset-cpus", "0"], "nproc", "1"),
        (&["--add-host", "db:10.1.2.3"], "grep -w 10.1.2.3 /etc/hosts", "10.1.2.3\tdb"),
    ] {
        assert_eq!(docker.run(options, line).ok(), said, "{options:?}");
    }
}

#[test]
#[ignore = "drives a real engine"]
fn volumes_keep_their_owners_and_what_was_written() {
    let Some(docker) = Docker::new(&[]) else { return };
    let dir = docker.place().dir().join("data-of-999");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(999), Some(999)).unwrap();
    let bind = format!("{}:/data", dir.display());

    let line = "stat -c %u /data; echo kept > /data/file; chown 33 /data/file";
    assert_eq!(docker.run(&["-v", &bind], line).ok(), "999");
    assert_eq!(fs::metadata(dir.join("file")).unwrap().uid(), 33);
    let said = docker.run(&["-v", &format!("{bind}:ro")], "cat /data/file; touch /data/x 2>&1");
    assert!(said.stdout.starts_with("kept\n") && said.stdout.contains("Read-only"), "{said:?}");
    docker.run(&["-v", "named:/data"], "echo named > /data/file").ok();
    assert_eq!(docker.run(&["-v", "named:/data"], "cat /data/file").ok(), "named");
    let said = docker.run(&["-v", &bind], "cp /bin/busybox /data/sh; chmod 4755 /data/sh");
    assert_ne!(said.status, Some(0));
    assert_eq!(fs::metadata(dir.join("sh")).unwrap().mode() & 0o7000, 0);
    docker.begin("box", &["-v", &bind], "sleep 600");
    docker.call(&["cp", "box:/data/file", docker.place().dir().join("out").to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(docker.place().dir().join("out")).unwrap(), "kept\n");
}
