//! `/linux/netDevices`: devices of the host, given to a container and taken back.
//!
//! All of it happens in network namespaces of the tests' own, which stand for the host.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Bundle, Ran, Runtime};

/// A network namespace with a pair of devices, that plays the host.
struct Host(Child);

impl Host {
    fn new() -> Self {
        let line = "ip link add dev0 type veth peer name dev1; \
                    ip link set veth0 name dev1; \
                    ip link set lo up; ip link set dev0 address 02:00:00:00:00:07 mtu 1400; \
                    ip address add 192.0.2.7/24 dev dev0; ip address add 2001:db8::7/64 dev dev0; \
                    ip address add 127.0.0.33/8 scope host dev dev0; \
                    ip link set dev0 up; ip link set dev1 up; echo ready; exec sleep 60";
        let mut holder = Command::new("unshare")
            .args(["--net", "busybox", "sh", "-c", line])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = std::io::BufReader::new(holder.stdout.take().unwrap());
        assert_eq!(std::io::BufRead::lines(stdout).next().unwrap().unwrap(), "ready");
        Self(holder)
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// A command that runs on this host.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program);
        command
    }

    fn devices(&self) -> String {
        let output = self.command("busybox").args(["ip", "address"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self, runtime: &Runtime, bundle: &Bundle) -> Ran {
        self.run_with(runtime, bundle, &[])
    }

    fn run_with(&self, runtime: &Runtime, bundle: &Bundle, env: &[(&str, &str)]) -> Ran {
        let inner = runtime.command(["run", "--bundle", bundle.dir().to_str().unwrap()]);
        let mut command = self.command(inner.get_program().to_str().unwrap());
        command.args(inner.get_args()).arg(bundle.id()).envs(env.iter().copied());
        runtime.finish(command)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SHOW: &str = "ip -o link; ip -o address";

fn with(devices: Value) -> Bundle {
    Bundle::new().set("/linux/netDevices", devices).shell(SHOW)
}

fn allowed() -> Runtime {
    Runtime::under("level = \"hardened\"\nhost.net-devices = [\"dev*\"]\n")
}

// rows: linux.netDevices
#[test]
fn a_device_comes_with_its_attributes_and_its_permanent_global_addresses() {
    for runtime in [Runtime::audit(), allowed()] {
        let host = Host::new();

        let said = host.run(&runtime, &with(json!({"dev0": {}}))).ok();

        assert!(said.contains("dev0") && said.contains("mtu 1400"), "{said}");
        assert!(said.contains("02:00:00:00:00:07"), "{said}");
        assert!(said.contains("inet 192.0.2.7/24"), "{said}");
        assert!(said.contains("inet6 2001:db8::7/64"), "{said}");
        assert!(!said.contains("127.0.0.33"), "{said}");
        let link = said.lines().find(|line| line.contains(" dev0")).unwrap();
        assert!(link.contains(",UP"), "{link}");
    }
}

// rows: linux.netDevices.name
#[test]
fn a_device_gets_the_name_that_the_bundle_says() {
    for (name, called) in [("inner", "inner"), ("net%d", "net0"), ("lo%d", "lo0")] {
        let host = Host::new();

        let said = host.run(&allowed(), &with(json!({"dev0": {"name": name}}))).ok();

        let is_there =
            said.contains(&format!(" {called}@")) || said.contains(&format!(" {called}:"));
        assert!(is_there, "{said}");
        assert!(said.contains("inet 192.0.2.7/24") && !said.contains(" dev0"), "{said}");
    }
}

// rows: linux.netDevices
#[test]
fn a_device_goes_into_a_namespace_that_the_engine_made_and_stays_there() {
    let (host, engine) = (Host::new(), Host::new());
    let bundle = with(json!({"dev1": {"name": "given"}}))
        .set("/linux/namespaces/1", json!({"type": "network", "path": engine.path()}));

    let said = host.run(&allowed(), &bundle).ok();

    assert!(said.contains(" given"), "{said}");

    assert!(engine.devices().contains(" given"), "{}", engine.devices());
}

// rows: linux.netDevices
#[test]
fn a_name_that_is_taken_is_an_error_and_the_host_has_its_device_again() {
    let host = Host::new();
    let before = host.devices();

    let said = host.run(&allowed(), &with(json!({"dev0": {"name": "lo"}}))).failed(1);

    assert!(said.contains("`net.move-device` failed: dev0 as lo: EEXIST"), "{said}");
    assert_same_devices(&host.devices(), &before);
    let said = host.run(&allowed(), &with(json!({"dev9": {}}))).failed(1);
    assert!(said.contains("`net.move-device` failed: dev9: ENODEV"), "{said}");
}

/// What is settled about devices: not the state of their carrier.
#[track_caller]
fn assert_same_devices(now: &str, before: &str) {
    let settled = |text: &str| {
        let mut lines: Vec<_> = text
            .lines()
            .filter(|line| !line.contains("fe80:") && !line.contains("127.0.0.33"))
            .filter(|line| !line.contains("valid_lft"))
            .map(|line| {
                line.replace(",LOWER_UP", "")
                    .replace("state UP", "")
                    .replace("state LOWERLAYERDOWN", "")
            })
            .map(|line| {
                line.replace("NO-CARRIER,", "").replace("M-DOWN", "").replace(" tentative", "")
            })
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(settled(now), settled(before));
}

#[cfg(feature = "fault")]
#[test]
fn a_launch_that_fails_later_gives_the_device_back() {
    let host = Host::new();
    let (runtime, bundle) = (allowed(), with(json!({"dev0": {"name": "inner"}})));
    let dir = bundle.dir().to_str().unwrap();
    let explained = runtime.call(["explain", "--json", "--bundle", dir]).ok();
    let explained: Value = serde_json::from_str(&explained).unwrap();
    let steps = explained["plan"]["steps"].as_array().unwrap();
    let moving = steps.iter().position(|step| step["action"]["do"] == "move-net-device").unwrap();
    let waits = steps.iter().skip(moving + 1).position(|step| step["action"]["do"] == "await");
    let number = (moving + 1 + waits.unwrap() + 1).to_string();
    let before = host.devices();

    let ran = host.run_with(&runtime, &bundle, &[("CASEMATE_FAULT", &number)]);

    let said = ran.failed(1);
    assert!(said.contains("EUCLEAN"), "{said}");
    assert_same_devices(&host.devices(), &before);
}

// rows: linux.netDevices
#[test]
fn the_host_keeps_its_devices_where_the_policy_does_not_give_them() {
    let bundle = with(json!({"dev0": {}}));
    let said = Runtime::new().run(&bundle).failed(3);
    assert!(
        said.contains("refused by rule `net.no-host-devices`: /linux/netDevices/dev0"),
        "{said}"
    );
    let other = Runtime::under("level = \"hardened\"\nhost.net-devices = [\"eth1\"]\n");
    other.run(&bundle).failed(3);
}

// rows: linux.netDevices
#[test]
fn what_makes_no_sense_is_named() {
    let namespaces = json!([{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]);
    let without = with(json!({"dev0": {}})).set("/linux/namespaces", namespaces);
    for (bundle, words) in [
        (without, "/linux/netDevices: needs a `network` namespace"),
        (with(json!({"a/b": {}})), "not the name of a network device: `a/b`"),
        (with(json!({"dev0": {"name": "x y"}})), "not the name of a network device: `x y`"),
        (with(json!({"dev0": {"name": "a-name-too-long-"}})), "longer than 15 bytes"),
    ] {
        let said = Runtime::audit().run(&bundle).failed(1);
        assert!(said.contains(words), "{said}");
    }
}
