//! Docker's networks: its hook moves a device into a network of the container's ids.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::Docker;
use crate::engines::support::eventually;

fn namespace(pid: i32, link: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{link}")).unwrap().ino()
}

const SERVE: &str = "echo page > /tmp/index.html; httpd -f -p 80 -h /tmp";

#[test]
#[ignore = "drives a real engine"]
fn a_server_is_reached_over_the_bridge_and_by_a_published_port() {
    let Some(docker) = Docker::new(&[]) else { return };
    docker.begin("web", &["-p", "127.0.0.1:8080:80", "--user", "1000"], SERVE);
    let address = docker.inspect("web", "NetworkSettings.IPAddress");
    assert!(address.starts_with("172."), "{address}");

    let get = format!("wget -qO- http://{address}/");
    eventually("the page", || docker.run(&[], &get).stdout == "page\n");
    let published = "busybox wget -qO- http://127.0.0.1:8080/";
    eventually("the page", || docker.place().shell(published).stdout == "page\n");
    // The network belongs to the container's ids: low ports are root's and everyone's in it.
    let said = docker.run(&[], "ip -o -4 addr show eth0; ip link set eth0 down 2>&1").stdout;
    assert!(said.contains(" 172.") && said.contains("not permitted"), "{said}");
}

#[test]
#[ignore = "drives a real engine"]
fn a_network_of_the_users_knows_names() {
    let Some(docker) = Docker::new(&[]) else { return };
    docker.call(&["network", "create", "shop"]).ok();
    docker.begin("web", &["--network", "shop"], SERVE);

    eventually("the page", || {
        docker.run(&["--network", "shop"], "wget -qO- http://web/").stdout == "page\n"
    });
    docker.begin("late", &[], "sleep 600");
    docker.call(&["network", "connect", "shop", "late"]).ok();
    let get = ["exec", "late", "wget", "-qO-", "http://web/"];
    eventually("the page", || docker.call(&get).stdout == "page\n");
    docker.call(&["network", "disconnect", "shop", "late"]).ok();
}

#[test]
#[ignore = "drives a real engine"]
fn networks_are_left_out_or_shared_as_asked() {
    let Some(docker) = Docker::new(&[]) else { return };

    let said = docker.run(&["--network", "none"], "ip -o link | wc -l").ok();
    assert_eq!(said, "1");
    docker.begin("first", &["--ipc", "shareable"], "sleep 600");
    let ids = |said: String| said.lines().map(|line| line.parse().unwrap()).collect::<Vec<u64>>();
    let identity = "stat -Lc %i /proc/self/ns/user /proc/self/ns/pid /proc/self/ns/ipc \
                    /proc/self/ns/net";
    let all = ["user", "pid", "ipc", "net"].map(|link| namespace(docker.pid("first"), link));
    for (option, shared) in [("--network", 3), ("--pid", 1), ("--ipc", 2)] {
        let said = ids(docker.run(&[option, "container:first"], identity).ok());
        assert_eq!((said[0], said[shared]), (all[0], all[shared]), "{option}: {said:?} {all:?}");
    }
}
