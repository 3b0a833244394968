//! Groups in a directory that stands in for resctrl, which few machines have.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::with;
use crate::support::{Bundle, Ran, Runtime, tagged_dir, unique_tag};

/// A directory that plays resctrl: a plain one, so what is written stays as it was written.
struct StandIn(tempfile::TempDir);

impl StandIn {
    fn new() -> Self {
        Self(tagged_dir(&unique_tag()))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn group(&self, name: &str, schemata: &str) -> PathBuf {
        let dir = self.path().join(name);
        fs::create_dir_all(dir.join("mon_groups")).unwrap();
        fs::write(dir.join("schemata"), schemata).unwrap();
        dir
    }

    /// As resctrl does with its files when a group is removed.
    fn empty(dir: &Path) {
        for name in ["tasks", "schemata"] {
            let _ = fs::remove_file(dir.join(name));
        }
        let _ = fs::remove_dir(dir.join("mon_groups"));
    }

    fn call(&self, runtime: &Runtime, words: &[&str]) -> Ran {
        let mut command = runtime.command(words);
        command.env("CASEMATE_RESCTRL", self.path());
        runtime.finish(command)
    }

    fn create(&self, runtime: &Runtime, bundle: &Bundle) -> Ran {
        let dir = bundle.dir().to_str().unwrap();
        self.call(runtime, &["create", "--bundle", dir, bundle.id()])
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

// rows: linux.intelRdt.l3CacheSchema, linux.intelRdt.memBwSchema, linux.intelRdt.schemata
// rows: update.--l3-cache-schema, update.--mem-bw-schema
#[test]
fn a_container_has_a_group_of_its_own_for_as_long_as_it_lives() {
    let stand_in = StandIn::new();
    let runtime = Runtime::audit();
    let bundle = with(json!({
        "memBwSchema": "MB:0=20", "schemata": ["L2:0=f", "L3:0=1"], "l3CacheSchema": "L3:0=7f0",
    }))
    .args(["/bin/sleep", "60"]);

    stand_in.create(&runtime, &bundle).ok();

    let group = stand_in.path().join(bundle.id());
    assert_eq!(read(&group.join("schemata")), "L3:0=7f0\nMB:0=20\nL2:0=f\nL3:0=1\n");
    let pid = runtime.state(&bundle)["pid"].to_string();
    assert_eq!(read(&group.join("tasks")), pid);

    runtime.start(&bundle).ok();
    let update = ["update", "--l3-cache-schema", "L3:0=3", "--mem-bw-schema", "MB:0=10"];
    let update: Vec<_> = update.into_iter().chain([bundle.id()]).collect();
    stand_in.call(&runtime, &update).ok();
    assert!(read(&group.join("schemata")).ends_with("L3:0=1\nL3:0=3\nMB:0=10\n"));

    let words = ["exec", "--detach", "--pid-file"];
    let pid_file = bundle.dir().join("exec.pid");
    let words: Vec<_> = words
        .into_iter()
        .chain([pid_file.to_str().unwrap(), bundle.id(), "/bin/sleep", "60"])
        .collect();
    stand_in.call(&runtime, &words).ok();
    assert_eq!(read(&group.join("tasks")), pid + &read(&pid_file));

    StandIn::empty(&group);
    stand_in.call(&runtime, &["delete", "--force", bundle.id()]).ok();
    assert!(!group.exists());
}

// rows: linux.intelRdt.closID
#[test]
fn a_named_group_is_shared_and_stays() {
    let stand_in = StandIn::new();
    let gold = stand_in.group("gold", "    L3:0=7f0;1=1f\n    MB:0= 100\n");
    let runtime = Runtime::audit();
    for asked in [
        json!({"closID": "gold"}),
        json!({"closID": "gold", "l3CacheSchema": "L3:0=7f0"}),
        json!({"closID": "silver", "l3CacheSchema": "L3:0=1"}),
    ] {
        let name = asked["closID"].as_str().unwrap().to_owned();
        let bundle = with(asked).args(["/bin/sleep", "60"]);

        stand_in.create(&runtime, &bundle).ok();

        let pid = runtime.state(&bundle)["pid"].to_string();
        let group = stand_in.path().join(name);
        assert!(read(&group.join("tasks")).ends_with(&pid));
        stand_in.call(&runtime, &["delete", "--force", bundle.id()]).ok();
        assert!(group.is_dir());
    }
    assert_eq!(read(&gold.join("schemata")), "    L3:0=7f0;1=1f\n    MB:0= 100\n");
    assert_eq!(read(&stand_in.path().join("silver/schemata")), "L3:0=1\n");
    let root = with(json!({"closID": "/"})).args(["/bin/sleep", "60"]);
    stand_in.create(&runtime, &root).ok();
    let pid = runtime.state(&root)["pid"].to_string();
    assert_eq!(read(&stand_in.path().join("tasks")), pid);
    stand_in.call(&runtime, &["delete", "--force", root.id()]).ok();
}

// rows: linux.intelRdt.closID
#[test]
fn a_group_that_is_not_as_asked_fails_the_create_and_nothing_is_left() {
    let stand_in = StandIn::new();
    stand_in.group("gold", "L3:0=7f0\n");
    let runtime = Runtime::audit();
    for (asked, words) in [
        (json!({"closID": "gold", "l3CacheSchema": "L3:0=1"}), "its schemata are not `L3:0=1`"),
        (json!({"closID": "bronze"}), "the group must be made beforehand"),
        (json!({"closID": "../x"}), "/linux/intelRdt/closID: is no name of a group"),
    ] {
        let said = stand_in.create(&runtime, &with(asked)).failed(1);
        assert!(said.contains(words), "{said}");
    }
    let own = with(json!({"l3CacheSchema": "L3:0=1"}));
    fs::create_dir(stand_in.path().join(own.id())).unwrap();
    let said = stand_in.create(&runtime, &own).failed(1);
    assert!(said.contains("`resctrl.make` failed") && said.contains("EEXIST"), "{said}");
    assert!(stand_in.path().join(own.id()).exists());
    assert!(!stand_in.path().join("gold/tasks").exists());
}

// rows: linux.intelRdt.enableMonitoring
#[test]
fn a_monitored_container_has_a_group_that_counts_it_alone() {
    let stand_in = StandIn::new();
    let gold = stand_in.group("gold", "");
    let runtime = Runtime::under("level = \"hardened\"\nhost.resctrl = true\n");
    let bundle =
        with(json!({"closID": "gold", "enableMonitoring": true})).args(["/bin/sleep", "60"]);

    stand_in.create(&runtime, &bundle).ok();

    let pid = runtime.state(&bundle)["pid"].to_string();
    let monitor = gold.join("mon_groups").join(bundle.id());
    assert_eq!((read(&gold.join("tasks")), read(&monitor.join("tasks"))), (pid.clone(), pid));
    StandIn::empty(&monitor);
    stand_in.call(&runtime, &["delete", "--force", bundle.id()]).ok();
    assert!(!monitor.exists() && gold.exists());
}
