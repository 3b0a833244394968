//! What an administrator's exceptions let through, for whom, until when, and how it is told.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime};

/// A runtime under a policy of `hardened` and these exceptions.
fn under(bundle: &Bundle, exceptions: &str) -> Runtime {
    let file = bundle.dir().join("policy.toml");
    fs::write(&file, format!("level = \"hardened\"\n{exceptions}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    Runtime::new().with_global("--policy").with_global(file)
}

fn exception(body: &str) -> String {
    format!("\n[[exception]]\nid = \"e-1\"\nreason = \"it is a test\"\n{body}\n")
}

/// A bundle without this kind of namespace.
fn without(kind: &str) -> Bundle {
    let bundle = Bundle::new();
    let list = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    let list: Vec<_> = list.into_iter().filter(|one| one["type"] != *kind).collect();
    bundle.set("/linux/namespaces", json!(list))
}

fn explained(runtime: &Runtime, bundle: &Bundle) -> String {
    runtime.call(["explain", "--bundle", bundle.dir().to_str().unwrap()]).ok()
}

#[test]
fn the_hosts_network_is_an_exception_that_is_named_everywhere() {
    let ports = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let before = fs::read_to_string(ports).unwrap();
    let bundle = without("network").shell("stat -Lc %i /proc/self/ns/net; cat /proc/self/uid_map");
    let runtime = under(&bundle, &exception("waive = [\"ns.no-host-network\"]"));

    let said = runtime.run(&bundle).ok();

    let host = fs::metadata("/proc/self/ns/net").unwrap().ino();
    assert!(said.starts_with(&format!("{host}\n")), "{said}");
    assert!(!said.contains("4294967295"), "its ids are still its own: {said}");
    assert_eq!(fs::read_to_string(ports).unwrap(), before);
    let text = explained(&runtime, &bundle);
    assert!(
        text.contains("waived by an exception of the policy\n  /linux/namespaces has no `network`")
    );
    assert!(text.contains("by    exception `e-1` (") && text.contains("it is a test"), "{text}");
    runtime.create(&bundle).ok();
    assert_eq!(runtime.state(&bundle)["annotations"]["org.casemate.exceptions"], "e-1");
    let log = fs::read_to_string("/var/log/casemate/audit.jsonl").unwrap();
    let line = log.lines().rev().find(|line| line.contains(bundle.id())).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["waived"], json!(["e-1: ns.no-host-network"]), "{line}");
}

#[test]
fn an_expired_exception_is_as_if_absent() {
    let bundle = without("network");
    let body = "waive = [\"ns.no-host-network\"]\nexpires = 2020-02-29";
    let runtime = under(&bundle, &exception(body));

    let said = runtime.run(&bundle).failed(3);

    assert!(said.contains("refused by rule `ns.no-host-network`"), "{said}");
    assert!(said.contains("exception `e-1` (") && said.contains("held until 2020-02-29"), "{said}");
}

#[test]
fn an_exception_for_others_lets_nothing_through() {
    for selector in [
        "id = \"other-*\"",
        "bundle = \"/srv/others\"",
        "image = \"*\"",
        "annotation = { team = \"net\" }",
    ] {
        let bundle = without("network").set("/annotations/team", json!("web"));
        let body = format!("waive = [\"ns.no-host-network\"]\nmatch = {{ {selector} }}");
        let runtime = under(&bundle, &exception(&body));

        let said = runtime.run(&bundle).failed(3);

        assert!(said.contains("rule `ns.no-host-network`"), "{selector}: {said}");
    }
    let bundle = without("network").set("/annotations/team", json!("net"));
    let body = "waive = [\"ns.no-host-network\"]\nmatch = { annotation = { team = \"net\" } }";
    under(&bundle, &exception(body)).run(&bundle).ok();
}

#[test]
fn a_capability_above_the_ceiling_is_kept_if_it_was_asked_for() {
    let all = json!(["CAP_NET_RAW", "CAP_CHOWN", "CAP_SYS_PTRACE"]);
    let bundle = Bundle::new()
        .set("/process/capabilities", json!({"bounding": all, "effective": all, "permitted": all}))
        .shell("grep CapEff /proc/self/status");
    let runtime = under(&bundle, &exception("allow = { \"caps.ceiling\" = [\"CAP_NET_RAW\"] }"));

    let said = runtime.run(&bundle).ok();

    assert_eq!(said.split_whitespace().nth(1).unwrap(), format!("{:016x}", (1 << 13) | 1));
    let text = explained(&runtime, &bundle);
    assert!(text.contains("/process/capabilities/effective keeps CAP_NET_RAW"), "{text}");
    assert!(text.contains("this lowers P4"), "{text}");
    let plain = Bundle::new().shell("grep CapEff /proc/self/status");
    assert!(!explained(&runtime, &plain).contains("waived"), "it did not matter there");
}

#[test]
fn a_denial_of_the_baseline_can_be_waived_by_name() {
    let line = "linux32 uname -m";
    let denied = Bundle::new().shell(line);
    assert_ne!(Runtime::new().run(&denied).status, Some(0));
    let bundle = Bundle::new().shell(line);
    let runtime = under(&bundle, &exception("waive = [\"seccomp.baseline/process.personality\"]"));

    assert_eq!(runtime.run(&bundle).ok(), "i686\n");

    let text = explained(&runtime, &bundle);
    assert!(text.contains("rule  `seccomp.baseline/process.personality`"), "{text}");
    let wrong = under(&bundle, &exception("waive = [\"seccomp.baseline/no-such\"]"));
    let said = wrong.run(&bundle).failed(1);
    assert!(said.contains("policy.toml, line 3") && said.contains("no-such"), "{said}");
}

#[test]
fn more_scratch_and_one_more_device() {
    let bundle = Bundle::new()
        .set("/root/readonly", json!(false))
        .set(
            "/linux/devices",
            json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}]),
        )
        .shell("touch /home/x && ls /home; stat -c '%t:%T' /dev/fuse; touch /root/x 2>&1");
    let said = Runtime::new().run(&bundle).failed(3);
    assert!(said.contains("rule `dev.standard-only`"), "{said}");
    let allow = "allow = { \"rootfs.scratch\" = [\"/home\", \"/tmp/below\"], \
                 \"dev.standard-only\" = [\"c 10:229\"] }";
    let runtime = under(&bundle, &exception(allow));

    let ran = runtime.run(&bundle);

    assert!(ran.stdout.starts_with("x\na:e5\n"), "{ran:?}");
    assert!(ran.stdout.contains("Read-only file system"), "{ran:?}");
}

#[test]
fn the_kernels_files_of_the_host_may_be_shown_but_never_ours() {
    let bundle = Bundle::new()
        .mount("/host/sys", "bind", "/sys", &["rbind", "ro"])
        .shell("test -d /host/sys/kernel && touch /host/sys/x 2>&1");
    let runtime = under(&bundle, &exception("waive = [\"mount.no-host-kernel-files\"]"));

    let ran = runtime.run(&bundle);
    assert!(ran.stdout.contains("Read-only file system"), "{ran:?}");

    let ours = Bundle::new().mount("/state", "bind", "/run/casemate", &["rbind", "rw"]);
    let said = runtime.run(&ours).failed(3);
    assert!(said.contains("holds what decides about containers"), "{said}");
}

#[test]
fn parameters_of_the_hosts_network_are_never_set() {
    let bundle = without("network").set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    let runtime = under(&bundle, &exception("waive = [\"ns.no-host-network\"]"));

    let said = runtime.run(&bundle).failed(3);

    assert!(said.contains("rule `sysctl.own-namespaces`"), "{said}");
}
