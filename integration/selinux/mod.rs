//! Labels of SELinux, where the kernel has a policy: `hack/vm.sh --selinux`. Each is read back from
//! the kernel. Where it is permissive, every label that the policy knows can be given.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::{Bundle, Runtime, Snapshot};

/// What a container would be known by, and what is made for it.
const PROCESS: &str = "system_u:system_r:container_t:s0:c1,c2";
const FILES: &str = "system_u:object_r:container_file_t:s0:c1,c2";

/// Whether labels can be given here.
fn is_there() -> bool {
    let enforced = fs::read_to_string("/sys/fs/selinux/enforce");
    let why = match enforced.as_deref().map(str::trim) {
        Err(_) => "SELinux is not enabled here",
        // The kernel tells a name from none only once it has a policy.
        Ok(_) if !is_known("system_u:object_r:tmpfs_t:s0") || is_known("no:such:label:s0") => {
            "SELinux has no policy here"
        }
        Ok("0") if is_known(PROCESS) && is_known(FILES) => return true,
        Ok("0") => "the policy of SELinux does not know containers here",
        Ok(_) => "the policy of SELinux is enforced here, and lets no test give labels",
    };
    println!("skipped, because {why}");
    false
}

fn is_known(label: &str) -> bool {
    fs::write("/sys/fs/selinux/context", format!("{label}\0")).is_ok()
}

/// The label of this process.
fn own_label() -> String {
    let own = fs::read_to_string("/proc/self/attr/current").unwrap();
    own.trim_end_matches(['\0', '\n']).to_owned()
}

fn label_of_process(pid: i64) -> String {
    let label = fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap();
    label.trim_end_matches(['\0', '\n']).to_owned()
}

/// The label of a file that the process sees.
fn label_of_file(pid: i64, path: &str) -> String {
    let path = PathBuf::from(format!("/proc/{pid}/root{path}"));
    let mut label = [0; 4096];
    let length = rustix::fs::getxattr(&path, "security.selinux", &mut label);
    let length = length.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&label[..length]).trim_end_matches('\0').to_owned()
}

fn labelled() -> Bundle {
    Bundle::new().set("/process/selinuxLabel", json!(PROCESS))
}

// rows: process.selinuxLabel
#[test]
fn a_label_reaches_the_program_and_its_keys() {
    if !is_there() {
        return;
    }
    let bundle = labelled().shell("cat /proc/self/attr/current; echo; key_label");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/selinux/key_label.c");
    let program = bundle.rootfs().join("bin/key_label");
    let built = Command::new("cc").args(["-static", source, "-o"]).arg(&program).status();
    assert!(built.unwrap().success());

    let said = Runtime::audit().run(&bundle).ok().replace('\0', "");

    assert_eq!(said.lines().collect::<Vec<_>>(), [PROCESS, PROCESS]);
}

// rows: process.selinuxLabel
#[test]
fn the_boxed_program_is_seen_to_have_its_label() {
    if !is_there() {
        return;
    }
    for runtime in [Runtime::audit(), Runtime::new()] {
        let bundle = labelled().args(["/bin/sleep", "60"]);

        let pid = runtime.started(&bundle);

        assert_eq!(label_of_process(pid), PROCESS);
        assert_ne!(own_label(), PROCESS);
    }
}

// rows: exec.--process-label
#[test]
fn what_enters_takes_another_label_only_where_nothing_is_held_back() {
    if !is_there() {
        return;
    }
    let other = "system_u:system_r:container_t:s0:c3,c4";
    for (runtime, given) in [(Runtime::audit(), other), (Runtime::new(), PROCESS)] {
        let bundle = labelled().args(["/bin/sleep", "60"]);
        runtime.started(&bundle);
        let entered = |options: &[&str]| {
            let show = [bundle.id(), "cat", "/proc/self/attr/current"];
            runtime.call([&["exec"], options, &show].concat()).ok().replace('\0', "")
        };

        assert_eq!(entered(&[]).trim(), PROCESS);
        assert_eq!(entered(&["--process-label", other]).trim(), given);
    }
}

// rows: linux.mountLabel
#[test]
fn what_is_mounted_for_the_container_has_the_label_of_its_mounts() {
    if !is_there() {
        return;
    }
    for runtime in [Runtime::audit(), Runtime::new()] {
        let bundle = labelled()
            .set("/linux/mountLabel", json!(FILES))
            .mount("/m", "tmpfs", "tmpfs", &["mode=1777"])
            .shell("touch /m/made; exec sleep 60");
        let pid = runtime.started(&bundle);
        runtime.call(["exec", bundle.id(), "sh", "-c", "until [ -e /m/made ]; do :; done"]).ok();

        for made in ["/m", "/m/made", "/dev", "/dev/null", "/dev/pts", "/dev/shm"] {
            assert_eq!(label_of_file(pid, made), FILES, "{made}");
        }
        for made in ["/dev/mqueue", "/proc/kcore", "/sys/firmware"] {
            assert_eq!(label_of_file(pid, made), FILES, "{made}");
        }
        // The kernel's own know their files by what is in them.
        for kernels in ["/proc", "/sys", "/sys/fs/cgroup"] {
            assert_ne!(label_of_file(pid, kernels), FILES, "{kernels}");
        }
        assert_ne!(label_of_file(1, "/dev/mqueue"), FILES);
    }
}

// rows: linux.mountLabel
#[test]
fn queues_that_are_only_read_are_labelled_too() {
    if !is_there() {
        return;
    }
    let bundle = Bundle::new()
        .set("/linux/mountLabel", json!(FILES))
        .set("/mounts/4/options", json!(["ro"]))
        .args(["/bin/sleep", "60"]);

    let runtime = Runtime::audit();
    let pid = runtime.started(&bundle);

    assert_eq!(label_of_file(pid, "/dev/mqueue"), FILES);
    let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let queues = table.lines().find(|line| line.contains(" /dev/mqueue ")).unwrap();
    assert!(queues.contains(" ro,"), "{queues}");
}

/// The queues are the host's: no container says what they are known by.
#[test]
fn queues_of_the_host_keep_their_label() {
    if !is_there() {
        return;
    }
    let before = label_of_file(1, "/dev/mqueue");
    let bundle = labelled().set("/linux/mountLabel", json!(FILES)).args(["/bin/sleep", "60"]);
    let namespaces = bundle.config()["linux"]["namespaces"].as_array().unwrap().clone();
    let namespaces: Vec<_> = namespaces.into_iter().filter(|of| of["type"] != "ipc").collect();
    let bundle = bundle.set("/linux/namespaces", json!(namespaces));

    let runtime = Runtime::audit();
    let pid = runtime.started(&bundle);

    assert_eq!(label_of_file(pid, "/dev/mqueue"), before);
    assert_eq!(label_of_file(1, "/dev/mqueue"), before);
}

// rows: process.selinuxLabel, linux.mountLabel
#[test]
fn a_label_that_the_policy_does_not_know_starts_nothing() {
    if !is_there() {
        return;
    }
    for runtime in [Runtime::audit(), Runtime::new()] {
        for property in ["/process/selinuxLabel", "/linux/mountLabel"] {
            let bundle = Bundle::new().set(property, json!("system_u:system_r:no_such_t:s0"));
            let before = Snapshot::take(&runtime, &[bundle.id()]);

            let said = runtime.run(&bundle).failed(1);

            assert!(said.contains("EINVAL"), "{said}");
            assert!(said.contains("no_such_t"), "{said}");
            before.assert_unchanged();
        }
    }
}
