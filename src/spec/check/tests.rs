use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "linux": {},
    })
}

fn said(config: Value) -> Vec<String> {
    let spec: Spec = serde_json::from_value(config).unwrap();
    check(&spec).iter().map(ToString::to_string).collect()
}

/// What is said of the config with `value` at `at`.
fn with(at: &str, value: Value) -> Vec<String> {
    let mut config = good();
    let (parent, name) = at.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
    said(config)
}

#[test]
fn an_empty_config_is_told_all_it_lacks() {
    assert_eq!(
        said(json!({})),
        [
            "/ociVersion: missing; the specification requires it",
            "/process: missing; there is nothing to start",
            "/root: missing; there is no file system to start from",
        ]
    );
}

#[test]
fn any_version_1_is_taken_and_no_other() {
    for version in ["1.0.0", "1.0.2-dev", "1.3.0+dev", "1.99.0-rc.1"] {
        assert_eq!(with("/ociVersion", json!(version)), [""; 0]);
    }
    assert_eq!(with("/ociVersion", json!("2.0.0")), ["/ociVersion: not a version 1.x: `2.0.0`"]);
    for version in ["1", "1.0", "v1.0.0", "1.0.x", "1.0.0.0"] {
        assert!(with("/ociVersion", json!(version))[0].contains("not a semantic version"));
    }
}

#[test]
fn a_program_and_a_directory_are_needed() {
    let empty = "empty; there is no program to start";
    assert_eq!(with("/process/args", json!([])), [format!("/process/args: {empty}")]);
    assert_eq!(with("/process/args", json!(["", "x"])), [format!("/process/args/0: {empty}")]);
    assert_eq!(with("/process/cwd", json!("tmp")), ["/process/cwd: not absolute: `tmp`"]);
    assert_eq!(with("/process/cwd", json!("")), ["/process/cwd: not absolute: ``"]);
}

#[test]
fn an_id_that_means_no_change_is_refused() {
    let user = json!({"uid": u32::MAX, "gid": u32::MAX, "additionalGids": [1, u32::MAX]});
    let said = with("/process/user", user);
    let places: Vec<_> = said.iter().map(|s| s.split(':').next().unwrap()).collect();
    let expected = ["/process/user/uid", "/process/user/gid", "/process/user/additionalGids/1"];
    assert_eq!(places, expected);
}

#[test]
fn ranges_of_the_process_are_kept() {
    let umask = json!({"uid": 0, "gid": 0, "umask": 0o1000});
    assert_eq!(with("/process/user", umask), ["/process/user/umask: more than 511 (0777): 512"]);
    let text = "/process/oomScoreAdj: not from -1000 to 1000: 1001";
    assert_eq!(with("/process/oomScoreAdj", json!(1001)), [text]);
    let size = json!({"height": 65_536, "width": 1});
    let text = "/process/consoleSize/height: more than 65535: 65536";
    assert_eq!(with("/process/consoleSize", size), [text]);
}

#[test]
fn an_environment_entry_is_a_name_and_a_value() {
    assert_eq!(
        with("/process/env", json!(["A=", "B=x=y", "C", "=d"])),
        ["/process/env/2: no `=`: `C`", "/process/env/3: no name before `=`: `=d`"]
    );
}

#[test]
fn rlimits_are_single_and_in_order() {
    let limit = |soft: u64, hard: u64| json!({"type": "RLIMIT_CPU", "soft": soft, "hard": hard});
    assert_eq!(
        with("/process/rlimits", json!([limit(2, 1), limit(1, u64::MAX)])),
        [
            "/process/rlimits/0/soft: above the hard limit: 2 > 1",
            "/process/rlimits/1/type: `RLIMIT_CPU` stands twice",
        ]
    );
}

#[test]
fn names_of_the_host_have_bounds() {
    assert_eq!(with("/hostname", json!("h".repeat(64))), [""; 0]);
    let text = "/hostname: 65 bytes long; the kernel takes 64";
    assert_eq!(with("/hostname", json!("h".repeat(65))), [text]);
    let text = r"/domainname: has a control character: `a\nb`";
    assert_eq!(with("/domainname", json!("a\nb")), [text]);
}

#[test]
fn mounts_have_destination_type_and_source() {
    assert_eq!(
        with(
            "/mounts",
            json!([
                {"destination": ""},
                {"destination": "rel/../x", "type": "tmpfs"},
                {"destination": "/b", "options": ["rbind"]},
                {"destination": "/c", "type": "bind", "source": "/", "options": ["ro", "size=1"]},
                {"destination": "/d", "type": "tmpfs", "options": ["ro", "nosuid,nodev"]},
                {"destination": "/", "options": ["remount", "ro"]},
            ])
        ),
        [
            "/mounts/0/destination: empty",
            "/mounts/0/type: missing; only a bind mount needs none",
            "/mounts/2/source: missing; a bind mount needs one",
            "/mounts/3/options: `size` is for a file system, and a bind mount makes none",
            "/mounts/4/options/1: `nosuid,nodev` is several options in one",
        ]
    );
}

#[test]
fn hooks_have_absolute_paths_and_time() {
    let hooks = json!({
        "createRuntime": [{"path": "bin/true"}, {"path": "/bin/true", "timeout": 0}],
        "prestart": [{"path": "/bin/true", "env": ["X"]}],
    });
    assert_eq!(
        with("/hooks", hooks),
        [
            "/hooks/prestart/0/env/0: no `=`: `X`",
            "/hooks/createRuntime/0/path: not absolute: `bin/true`",
            "/hooks/createRuntime/1/timeout: not above zero: 0",
        ]
    );
}

#[test]
fn an_annotation_has_a_name() {
    let text = "/annotations: has an entry without a name";
    assert_eq!(with("/annotations", json!({"": "x", "a": ""})), [text]);
}

#[test]
fn namespaces_are_single_and_their_paths_absolute() {
    let namespaces = json!([
        {"type": "pid"}, {"type": "pid", "path": ""}, {"type": "network", "path": "ns/net"},
    ]);
    assert_eq!(
        with("/linux/namespaces", namespaces),
        [
            "/linux/namespaces/1/type: `pid` stands twice",
            "/linux/namespaces/2/path: not absolute: `ns/net`",
        ]
    );
}

fn mappings(uids: &[(u32, u32, u32)], gids: &[(u32, u32, u32)]) -> Vec<String> {
    let list = |maps: &[(u32, u32, u32)]| -> Value {
        let object = |(c, h, s)| json!({"containerID": c, "hostID": h, "size": s});
        maps.iter().copied().map(object).collect()
    };
    let mut config = good();
    config["linux"] = json!({
        "namespaces": [{"type": "user"}], "uidMappings": list(uids), "gidMappings": list(gids),
    });
    said(config)
}

#[test]
fn id_mappings_do_not_overlap_overflow_or_vanish() {
    assert_eq!(mappings(&[(0, 0, u32::MAX)], &[(0, 1000, 1), (1, 2000, 9)]), [""; 0]);
    assert_eq!(
        mappings(&[(0, 100, 10), (9, 200, 1), (20, 105, 0), (30, 109, 1)], &[(0, u32::MAX, 1)]),
        [
            "/linux/uidMappings/1/containerID: overlaps an earlier mapping",
            "/linux/uidMappings/2/size: zero; the mapping maps nothing",
            "/linux/uidMappings/3/hostID: overlaps an earlier mapping",
            "/linux/gidMappings/0/hostID: reaches 4294967295, which is no id",
        ]
    );
}

#[test]
fn id_mappings_come_in_pairs_and_need_a_user_namespace() {
    assert_eq!(mappings(&[(0, 0, 1)], &[]), ["/linux/gidMappings: missing; users have one"]);
    assert_eq!(mappings(&[], &[(0, 0, 1)]), ["/linux/uidMappings: missing; groups have one"]);
    let one = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let linux = json!({"uidMappings": one, "gidMappings": one});
    let text = "/linux/namespaces: has no `user`, and the id mappings need it";
    assert_eq!(with("/linux", linux), [text]);
}

#[test]
fn devices_are_nodes_and_stand_once() {
    let node =
        |path: &str, major: u64| json!({"path": path, "type": "c", "major": major, "minor": 5});
    assert_eq!(
        with(
            "/linux/devices",
            json!([
                node("/dev/null", 1), node("/dev/./null", 1), node("null", 1), node("/dev/../x", 1),
                node("/dev/y", 4096),
                {"path": "/dev/p", "type": "p", "fileMode": 0o010_666},
                {"path": "/dev/a", "type": "a"},
                {"path": "/dev/b", "type": "b", "fileMode": 0o020_666},
            ])
        ),
        [
            "/linux/devices/1/path: stands twice: `/dev/./null`",
            "/linux/devices/2/path: not absolute: `null`",
            "/linux/devices/3/path: has a `..`: `/dev/../x`",
            "/linux/devices/4/major: not from 0 to 4095: 4096",
            "/linux/devices/6/type: `a` is for device rules; a node is c, b, u or p",
            "/linux/devices/7: `major` and `minor` missing, or both zero: no device has these",
            "/linux/devices/7/fileMode: not the mode of such a node: 020666",
        ]
    );
}

#[test]
fn a_sysctl_has_one_spelling() {
    for key in ["net.ipv4.ip_forward", "net.ipv4.conf.eth0:1.rp_filter", "kernel.shm_rmid_forced"] {
        assert_eq!(with("/linux/sysctl", json!({key: "1"})), [""; 0]);
    }
    for key in
        ["net/ipv4/ip_forward", "net/../kernel/core_pattern", "net", "", ".a", "a..b", "a.", "N.x"]
    {
        let said = with("/linux/sysctl", json!({key: "1"}));
        assert!(said[0].contains("not the name of a sysctl"), "{key}: {said:?}");
    }
    let text = r"/linux/sysctl/a.b: has a line feed in its value: `1\n2`";
    assert_eq!(with("/linux/sysctl", json!({"a.b": "1\n2"})), [text]);
}

#[test]
fn paths_lead_somewhere_and_a_cgroup_does_not_climb() {
    assert_eq!(with("/linux/maskedPaths", json!(["/proc/kcore", "proc/x"])), [""; 0]);
    assert_eq!(
        with("/linux/maskedPaths", json!(["/proc/kcore", ""])),
        ["/linux/maskedPaths/1: is empty"]
    );
    assert_eq!(with("/linux/readonlyPaths", json!([""])), ["/linux/readonlyPaths/0: is empty"]);
    let text = "/linux/cgroupsPath: has a `..`: `../../x`";
    assert_eq!(with("/linux/cgroupsPath", json!("../../x")), [text]);
    assert_eq!(with("/linux/cgroupsPath", json!("..:a:b")).len(), 1);
    assert_eq!(with("/linux/cgroupsPath", json!("system.slice:a:..b")), [""; 0]);
}

#[test]
fn propagation_is_a_known_word() {
    assert_eq!(with("/linux/rootfsPropagation", json!("rslave")), [""; 0]);
    let text = "/linux/rootfsPropagation: not a propagation type: `public`";
    assert_eq!(with("/linux/rootfsPropagation", json!("public")), [text]);
}

#[test]
fn violations_stop_growing() {
    let said = with("/process/env", Value::from(vec!["x"; 100]));

    assert_eq!(said.len(), 65);
    assert_eq!(said[64], "the document: 36 more faults");
}
