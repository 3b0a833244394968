//! Hooks of the image: whatever they are, they are held as the program is.

use serde_json::json;

use super::{Logged, shell};
use crate::support::{Bundle, Runtime, eventually, make_program};

/// What of a process tells how it is held.
const HELD: &str = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status; \
                    for n in user mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; \
                    cat /proc/self/uid_map /proc/self/limits /proc/self/cgroup; umask; pwd; id";

/// The user of most images that have one.
fn plain_user(bundle: Bundle) -> Bundle {
    bundle
        .set("/process/user", json!({"uid": 1000, "gid": 100, "additionalGids": [50], "umask": 63}))
        .set("/process/cwd", json!("/tmp"))
}

#[test]
fn a_hook_of_the_image_is_held_exactly_as_the_program_is() {
    let runtime = Runtime::new();
    for user in [false, true] {
        let bundle = Bundle::new()
            .set("/hooks/startContainer", json!([shell(&format!("{{ {HELD}; }} > /dev/shm/hook"))]))
            .shell(&format!("{{ {HELD}; }} > /dev/shm/program; cd /dev/shm; wc -l hook; cmp hook program && cat hook"));
        let bundle = if user { plain_user(bundle) } else { bundle };

        let said = runtime.run(&bundle).ok();

        assert!(said.contains("NoNewPrivs:\t1"), "{said}");
        assert!(said.contains("Seccomp:\t2"), "{said}");
        let uid = if user { "Uid:\t1000\t1000" } else { "Uid:\t0\t0" };
        assert!(said.contains(uid), "{said}");
    }
}

/// What init could do at that time, and what a hook in its place tries.
const ATTACKS: &str = "mount -t tmpfs none /tmp && echo MOUNTED; \
                       umount /proc && echo UNMOUNTED; \
                       mknod /dev/shm/disk b 8 0 && echo NODE; \
                       unshare -m true && echo NAMESPACE; \
                       echo 1 > /proc/sys/kernel/shmmni && echo SYSCTL; \
                       cat /proc/1/environ > /dev/null && echo ENVIRON; \
                       readlink /proc/1/fd/0 && echo DESCRIPTORS; \
                       cat /proc/1/maps > /dev/null && echo MAPS; \
                       kill -STOP 1; kill -KILL 1; echo done";

#[test]
fn a_hook_of_the_image_cannot_do_what_outer_credentials_could() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/hooks/startContainer", json!([shell(&format!("{{ {ATTACKS}; }} > /dev/shm/done"))]))
        .shell("cat /dev/shm/done");

    let said = runtime.run(&bundle).ok();

    // Init, whose descriptors and memory it could not see, lived to become the program.
    assert_eq!(said, "done\n");
}

#[cfg(feature = "fault")]
#[test]
fn the_same_attacks_succeed_without_what_holds_the_program() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/hooks/startContainer", json!([shell(&format!("{{ {ATTACKS}; }} > /dev/shm/done"))]))
        .shell("cat /dev/shm/done");
    let dir = bundle.dir().to_str().unwrap();
    let mut command = runtime.command(["run", "--bundle", dir, bundle.id()]);
    // A hook with the credentials that init has then, in the user namespace of the host.
    let skipped = [
        "ids.write-maps",
        "ns.make",
        "ids.become-root",
        "caps.limit-bounding",
        "caps.set",
        "process.set-ids",
        "seccomp.load",
        "ns.forbid-further",
    ];
    command.env("CASEMATE_SKIP", skipped.join(","));

    let ran = runtime.finish(command);

    assert!(ran.stdout.contains("MOUNTED"), "{ran:?}");
}

#[test]
fn a_hook_of_the_image_is_found_in_the_image() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/hooks/startContainer", json!([{"path": "/only-inside", "args": ["called", "so"]}]))
        .shell("cat /dev/shm/called");
    let hook = bundle.rootfs().join("only-inside");
    make_program(&hook, "#!/bin/sh\necho \"$0 $1\" > /dev/shm/called\n");

    assert_eq!(runtime.run(&bundle).ok(), "/only-inside so\n");

    std::fs::remove_file(&hook).unwrap();
    let said = runtime.run(&bundle).failed(1);
    let expected = "error running startContainer hook #0: no such file or directory";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn what_a_hook_of_the_image_says_is_in_the_error_and_the_program_does_not_run() {
    let runtime = Runtime::new();
    let logged = Logged::new()
        .hook("startContainer", "true")
        .hook("startContainer", "echo on stdout; seq 1 100000; cat /nosuchfile")
        .hook("startContainer", "echo third >> $log")
        .hook("poststop", "echo poststop >> $log")
        .shell("echo program >> /volume/log");
    let bundle = &logged.bundle;

    let said = runtime.run(bundle).failed(1);

    assert!(said.contains("error running startContainer hook #1: exit status 1"), "{said}");
    assert!(said.contains("cat: can't open '/nosuchfile'"), "{said}");
    assert_eq!(logged.logged(), "poststop\n");

    // Through `create` and `start`, the container stays behind as stopped, for `delete`.
    runtime.create(bundle).ok();
    let said = runtime.start(bundle).failed(1);
    assert!(said.contains("error running startContainer hook #1: exit status 1"), "{said}");
    // At once: an engine that hears of the failure deletes the container.
    assert_eq!(runtime.state(bundle)["status"], "stopped");
    assert_eq!(logged.logged(), "poststop\n");
    runtime.delete(bundle).ok();
    assert_eq!(logged.logged(), "poststop\npoststop\n");
}

#[test]
fn a_hook_of_the_image_that_takes_too_long_is_killed() {
    let runtime = Runtime::new();
    let logged = Logged::new().hook("startContainer", "sleep 600 & sleep 600");
    let bundle = logged.bundle.set("/hooks/startContainer/0/timeout", json!(1));
    let began = std::time::Instant::now();

    let said = runtime.run(&bundle).failed(1);

    assert!(said.contains("it ran past its timeout of 1 s, and was killed"), "{said}");
    assert!(began.elapsed().as_secs() < 60);
}

#[test]
fn what_a_hook_of_the_image_leaves_running_goes_on_beside_the_program() {
    let runtime = Runtime::new();
    let bundle = Bundle::new()
        .set("/hooks/startContainer", json!([shell("(sleep 0.3; echo later > /dev/shm/later) &")]))
        .shell("while [ ! -s /dev/shm/later ]; do sleep 0.1; done; cat /dev/shm/later");

    assert_eq!(runtime.run(&bundle).ok(), "later\n");
}

/// A hook of the image may take as long as it likes; nobody who wants to be rid of the container
/// need wait for it.
#[test]
fn a_hook_that_never_ends_does_not_keep_a_container_from_being_killed() {
    for (how, command) in
        [("start", "kill"), ("start", "delete"), ("run", "kill"), ("run", "delete")]
    {
        let runtime = Runtime::new();
        let bundle = Bundle::new();
        let volume = bundle.dir().join("volume");
        std::fs::create_dir(&volume).unwrap();
        let hook = json!([shell("echo > /volume/there; sleep 600")]);
        let bundle = bundle
            .mount("/volume", "bind", volume.to_str().unwrap(), &["rbind", "rw"])
            .set("/hooks/startContainer", hook);
        let dir = bundle.dir().to_str().unwrap();
        let call = match how {
            "start" => {
                runtime.create(&bundle).ok();
                vec!["start", bundle.id()]
            }
            _ => vec!["run", "--bundle", dir, bundle.id()],
        };
        let mut starting = runtime.command(call).spawn().unwrap();
        eventually("the hook does not run", || volume.join("there").exists());
        let began = std::time::Instant::now();

        let ran = match command {
            "kill" => runtime.kill(&bundle, "KILL"),
            _ => runtime.call(["delete", "--force", bundle.id()]),
        };

        ran.ok();
        assert!(!starting.wait().unwrap().success() || how == "start", "{how} {command}");
        assert!(began.elapsed().as_secs() < 60, "{how} {command}: {:?}", began.elapsed());
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}
