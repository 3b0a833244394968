//! Choosing a level, and what `audit` leaves alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::support::{Bundle, Runtime};

/// A policy file in the directory of `bundle`.
fn policy(bundle: &Bundle, text: &str) -> PathBuf {
    let file = bundle.dir().join("policy.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    file
}

fn under(file: &std::path::Path) -> Runtime {
    Runtime::new().with_global("--policy").with_global(file)
}

#[test]
fn under_audit_the_bundle_runs_as_written() {
    let bundle = Bundle::new()
        .set("/root/readonly", json!(false))
        .set("/linux/maskedPaths", json!([]))
        .shell("touch /made; cat /proc/self/uid_map; grep Seccomp: /proc/self/status; wc -c < /proc/interrupts");
    let runtime = under(&policy(&bundle, "level = \"audit\"\n"));

    let said = runtime.run(&bundle).ok();

    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words[..5], ["0", "0", "4294967295", "Seccomp:", "0"]);
    assert_ne!(words[5], "0");
    assert!(bundle.rootfs().join("made").exists());
}

#[test]
fn explain_under_audit_says_what_hardened_would_do() {
    let bundle = Bundle::new().set("/root/readonly", json!(false));
    let file = policy(&bundle, "level = \"audit\"\n");
    let list = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    let list: Vec<_> = list.into_iter().filter(|one| one["type"] != "pid").collect();
    let bundle = bundle.set("/linux/namespaces", json!(list));

    let said = under(&file).call(["explain", "--bundle", bundle.dir().to_str().unwrap()]).ok();

    assert!(said.contains("level   audit"), "{said}");
    assert!(said.contains("`hardened` would change"), "{said}");
    assert!(said.contains("`hardened` would refuse"), "{said}");
    assert!(said.contains("/linux/namespaces has no `pid`"), "{said}");
}

#[test]
fn a_waiting_init_of_the_hosts_root_is_reached_through_a_read_only_mount_only() {
    for (level, expected) in [("audit", true), ("hardened", false)] {
        let bundle = Bundle::new().args(["/bin/sleep", "60"]);
        let runtime = under(&policy(&bundle, &format!("level = \"{level}\"\n")));
        runtime.create(&bundle).ok();
        let pid = runtime.state(&bundle)["pid"].as_i64().unwrap();

        let place = rustix::fs::statvfs(format!("/proc/{pid}/exe")).unwrap();

        // Under `hardened` root inside is nobody to the file, whatever mount it is on.
        let readonly = place.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
        assert_eq!(readonly, expected, "{level}");
    }
}

#[test]
fn a_policy_that_others_may_write_is_no_policy() {
    let bundle = Bundle::new();
    let file = policy(&bundle, "level = \"audit\"\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();

    let said = under(&file).run(&bundle).failed(1);

    assert!(said.contains("writable by others"), "{said}");
}

#[test]
fn a_policy_that_is_not_understood_is_refused_with_its_line() {
    let bundle = Bundle::new();
    let file = policy(&bundle, "level = \"hardened\"\n\n[exemption]\nid = 1\n");

    let said = under(&file).run(&bundle).failed(1);

    assert!(said.contains("line 3") && said.contains("unknown field `exemption`"), "{said}");
}

#[test]
fn a_missing_policy_file_is_an_error_only_when_it_was_named() {
    let bundle = Bundle::new();
    let file = bundle.dir().join("nothing.toml");

    let said = under(&file).run(&bundle).failed(1);

    assert!(said.contains("read the policy"), "{said}");
    Runtime::new().run(&bundle).ok();
}
