//! `HOME` of a process that is told none: what the image's `/etc/passwd` says, whatever that is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use crate::support::{Bundle, Runtime};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:7:7::/srv/web:/bin/sh\n\
    other:x:7:7::/second:/bin/sh\nlast:x:9:9::/last:";

/// Puts something where the image's users are listed.
type Make<'a> = &'a dyn Fn(&Path);

/// A bundle that says where its home is.
fn bundle(uid: u32, environment: &[&str]) -> Bundle {
    let bundle = Bundle::new()
        .set("/process/env", json!(environment))
        .set("/process/user", json!({"uid": uid, "gid": 7}))
        .shell("echo $HOME");
    fs::create_dir_all(bundle.rootfs().join("etc")).unwrap();
    bundle
}

fn with_passwd(uid: u32, environment: &[&str], text: &str) -> String {
    let bundle = bundle(uid, environment);
    fs::write(bundle.rootfs().join("etc/passwd"), text).unwrap();
    Runtime::new().run(&bundle).ok().trim().to_owned()
}

#[test]
fn a_home_that_is_not_given_is_that_of_the_image_s_passwd() {
    for (uid, home) in [(0, "/root"), (7, "/srv/web"), (9, "/last"), (1000, "/")] {
        assert_eq!(with_passwd(uid, &["PATH=/bin"], PASSWD), home, "{uid}");
        assert_eq!(with_passwd(uid, &["PATH=/bin", "HOME=/x", "HOME="], PASSWD), home, "{uid}");
        assert_eq!(with_passwd(uid, &["PATH=/bin", "HOME=", "HOME=/x"], PASSWD), "/x", "{uid}");
    }
    let long = format!("a:x:7:7::/{}:\n", "y".repeat(5000));
    assert_eq!(with_passwd(7, &["PATH=/bin"], &long), "/");
}

#[test]
fn who_enters_gets_the_home_of_the_user_that_is_asked_for() {
    let runtime = Runtime::new();
    let bundle = bundle(0, &["PATH=/bin"]).shell("sleep 100");
    fs::write(bundle.rootfs().join("etc/passwd"), PASSWD).unwrap();
    runtime.started(&bundle);
    let home = |options: &[&str]| {
        let words = [&["exec"], options, &[bundle.id(), "sh", "-c", "echo $HOME"]].concat();
        runtime.call(words).ok()
    };

    assert_eq!(home(&[]), "/root\n");
    assert_eq!(home(&["--user", "7"]), "/srv/web\n");
    assert_eq!(home(&["--user", "7", "--env", "HOME=/mine"]), "/mine\n");
}

#[test]
fn an_image_cannot_hold_the_launch_up_with_its_passwd_or_lead_it_to_the_host() {
    let secret = tempfile::Builder::new().prefix("casemate-home-").tempdir().unwrap();
    fs::write(secret.path().join("passwd"), "host:x:7:7::/of-the-host:\n").unwrap();
    let lead = |at: &Path, target: &Path| symlink(target, at).unwrap();
    let cases: [(&str, Make<'_>); 5] = [
        ("a pipe", &|at| {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                at,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o666),
                0,
            )
            .unwrap();
        }),
        ("a directory", &|at| fs::create_dir(at).unwrap()),
        ("the host's", &|at| lead(at, &secret.path().join("passwd"))),
        ("zeros without end", &|at| lead(at, Path::new("/dev/zero"))),
        ("itself", &|at| lead(at, Path::new("passwd"))),
    ];
    for (what, make) in cases {
        let bundle = bundle(7, &["PATH=/bin"]);
        fs::remove_file(bundle.rootfs().join("etc/passwd")).unwrap();
        make(&bundle.rootfs().join("etc/passwd"));

        assert_eq!(Runtime::new().run(&bundle).ok(), "/\n", "{what}");
    }
}
