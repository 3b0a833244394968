//! Options of the command line that other files do not come to, each by what it does.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Bundle, Runtime, patience};

// rows: cli.--root
#[test]
fn each_root_has_containers_of_its_own() {
    let (here, there) = (Runtime::new(), Runtime::new());
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    here.create(&bundle).ok();

    let said = there.call(["state", bundle.id()]).failed(1);
    assert!(said.contains("does not exist"), "{said}");
    there.call(["delete", "--force", bundle.id()]).ok();
    assert_eq!(here.state(&bundle)["status"], "created");
    assert!(here.root().join(bundle.id()).is_dir());

    let same = Bundle::new().args(["/bin/sleep", "60"]);
    let dir = same.dir().to_str().unwrap();
    there.call(["create", "--bundle", dir, bundle.id()]).ok();
    assert_eq!(there.call(["list", "-q"]).ok(), format!("{}\n", bundle.id()));
    assert_eq!(there.call(["list", "-q"]).ok(), format!("{}\n", bundle.id()));
    there.call(["delete", "--force", bundle.id()]).ok();
    assert_eq!(here.state(&bundle)["status"], "created");
}

// rows: create.--bundle
#[test]
fn a_bundle_is_absolute_relative_or_where_the_caller_stands() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sleep", "60"]);
    let absolute = fs::canonicalize(bundle.dir()).unwrap();
    let (above, name) = (absolute.parent().unwrap(), absolute.file_name().unwrap());
    for (from, words) in [
        ("/".as_ref(), vec!["--bundle", absolute.to_str().unwrap()]),
        (above, vec!["-b", name.to_str().unwrap()]),
        (absolute.as_path(), vec!["--bundle=."]),
        (absolute.as_path(), vec![]),
    ] {
        let mut command = runtime.command([&["create"], &words[..], &[bundle.id()]].concat());
        command.current_dir(from);
        runtime.finish(command).ok();

        assert_eq!(runtime.state(&bundle)["bundle"], absolute.to_str().unwrap());
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
    let call = ["create", "--bundle", "/not/there", bundle.id()];
    let said = runtime.call(call).failed(1);
    assert!(said.contains("/not/there"), "{said}");
}

// rows: create.--pidfd-socket
#[test]
fn the_engine_gets_a_pidfd_of_init() {
    let runtime = Runtime::new();
    for verb in [&["create"][..], &["run", "--detach"]] {
        let bundle = Bundle::new().args(["/bin/sleep", "60"]);
        let path = bundle.dir().join("pidfd.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let dir = bundle.dir().to_str().unwrap();
        let options = ["--pidfd-socket", path.to_str().unwrap(), "--bundle", dir, bundle.id()];

        runtime.call([verb, &options].concat()).ok();

        let (stream, _) = listener.accept().unwrap();
        let pidfd = casemate::sys::socket::receive_fd(stream.as_fd(), &mut [0; 16]).unwrap();
        casemate::sys::process::signal(pidfd.as_fd(), 9).unwrap();
        runtime.wait_status(&bundle, "stopped");
        runtime.call(["delete", bundle.id()]).ok();
    }
}

// rows: run.--keep
#[test]
fn what_has_ended_is_kept_if_asked_for() {
    let runtime = Runtime::new();
    let bundle = Bundle::new().args(["/bin/sh", "-c", "exit 3"]);
    let dir = bundle.dir().to_str().unwrap();

    runtime.call(["run", "--bundle", dir, bundle.id()]).failed(3);
    let said = runtime.call(["state", bundle.id()]).failed(1);
    assert!(said.contains("does not exist"), "{said}");

    runtime.call(["run", "--keep", "--bundle", dir, bundle.id()]).failed(3);
    assert_eq!(runtime.state(&bundle)["status"], "stopped");
    let said = runtime.call(["run", "--bundle", dir, bundle.id()]).failed(1);
    assert!(said.contains("exists"), "{said}");
    runtime.delete(&bundle).ok();
}

// rows: create.--no-new-keyring
#[test]
fn the_callers_keys_stay_behind_unless_asked_for() {
    let runtime = Runtime::new();
    let is_held = |name: &str| fs::read_to_string("/proc/keys").unwrap().contains(name);
    for (options, is_kept) in [(&[][..], false), (&["--no-new-keyring"][..], true)] {
        let bundle = Bundle::new().args(["/bin/sleep", "60"]);
        let name = format!("{}-keys", bundle.id());
        let dir = bundle.dir().to_str().unwrap();
        let create = [&["create"], options, &["--bundle", dir, bundle.id()]].concat();
        let create = runtime.command(create);
        // KEYCTL_JOIN_SESSION_KEYRING with a name, then the runtime.
        let script = format!("syscall {}, 1, shift; exec @ARGV", libc::SYS_keyctl);
        let mut command = Command::new("perl");
        command.args(["-e", &script, &name]).arg(create.get_program()).args(create.get_args());

        runtime.finish(command).ok();
        // Until then the socket on which it waits pins the credentials that made it.
        runtime.start(&bundle).ok();

        // Its caller is gone: whoever holds it now is the container. The kernel takes its time to
        // collect what nobody holds.
        let deadline = Instant::now() + patience(Duration::from_secs(10));
        while !is_kept && is_held(&name) {
            assert!(Instant::now() < deadline, "{name} is held");
            std::thread::sleep(Duration::from_millis(20));
        }
        if is_kept {
            std::thread::sleep(Duration::from_millis(200));
            assert!(is_held(&name), "{name} is gone");
        }
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}

// rows: create.--no-pivot
#[test]
fn without_pivot_the_hosts_mounts_are_out_of_reach_all_the_same() {
    // With the host's mounts below the root, a bare procfs could be mounted: one without masks.
    let bare = "unshare -mrpf sh -ec 'mount -t proc none /proc && echo mounted' 2>&1; \
                grep -c . /proc/self/mountinfo; sleep 60";
    let sets = json!(["CAP_SYS_ADMIN", "CAP_SETFCAP", "CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE"]);
    for runtime in [Runtime::audit(), Runtime::new()] {
        let bundle = Bundle::new()
            .set("/process/capabilities/bounding", sets.clone())
            .set("/process/capabilities/permitted", sets.clone())
            .set("/process/capabilities/effective", sets.clone())
            .shell(bare);
        let dir = bundle.dir().to_str().unwrap();
        let created = runtime.call(["create", "--no-pivot", "--bundle", dir, bundle.id()]);
        assert_eq!((created.status, created.stderr.as_str()), (Some(0), ""));
        runtime.start(&bundle).ok();
        created.wait_for("\n");

        let init = runtime.state(&bundle)["pid"].as_i64().unwrap();
        let table = fs::read_to_string(format!("/proc/{init}/mountinfo")).unwrap();
        assert!(!created.printed().contains("mounted\n"), "{}", created.printed());
        // All that there is in its namespace lies below its root, which is the bundle's.
        let root = table.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains(bundle.id()), "{table}");
        let entered = Command::new("nsenter")
            .args([&format!("--mount=/proc/{init}/ns/mnt"), "ls", "/"])
            .output()
            .unwrap();
        let names = String::from_utf8_lossy(&entered.stdout).into_owned();
        assert_eq!(
            names.lines().count(),
            fs::read_dir(bundle.rootfs()).unwrap().count(),
            "{names}"
        );
        runtime.call(["delete", "--force", bundle.id()]).ok();
    }
}
