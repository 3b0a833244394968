use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;

use super::*;

fn bundle() -> (TempDir, Bundle) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    let bundle = Bundle::open(dir.path()).unwrap();
    (dir, bundle)
}

fn spec(root: &str) -> Spec {
    serde_json::from_value(json!({"ociVersion": "1.2.0", "root": {"path": root}})).unwrap()
}

fn found(bundle: &Bundle, root: &str) -> Result<String, ProbeError> {
    facts(&spec(root), bundle).map(|facts| facts.path.to_string())
}

fn fault(bundle: &Bundle, root: &str) -> String {
    let error = found(bundle, root).unwrap_err();
    assert_eq!(error.at(), "/root/path");
    assert!(!error.hint().is_empty());
    error.to_string().replace(bundle.path().to_str().unwrap(), "BUNDLE")
}

#[test]
fn a_directory_is_found_relative_to_the_bundle_and_by_its_absolute_path() {
    let (dir, bundle) = bundle();
    fs::create_dir(dir.path().join("rootfs")).unwrap();
    let absolute = bundle.path().join("rootfs");
    let absolute = absolute.to_str().unwrap();

    for given in ["rootfs", "./rootfs", "rootfs/", "rootfs/.", "rootfs//", absolute] {
        assert_eq!(found(&bundle, given).unwrap(), absolute, "{given}");
    }
    assert!(matches!(facts(&spec("rootfs"), &bundle).unwrap().kind, RootfsKind::Mappable));
}

#[test]
fn the_path_that_is_kept_has_no_links() {
    let (dir, bundle) = bundle();
    fs::create_dir_all(dir.path().join("real/rootfs")).unwrap();
    symlink(bundle.path().join("real"), dir.path().join("link")).unwrap();
    let given = bundle.path().join("link/rootfs");

    let kept = found(&bundle, given.to_str().unwrap()).unwrap();

    assert_eq!(kept, bundle.path().join("real/rootfs").to_str().unwrap());
}

#[test]
fn a_root_that_is_missing_says_so() {
    let (_dir, bundle) = bundle();

    assert_eq!(fault(&bundle, "rootfs"), "the root file system `rootfs` does not exist");
    assert_eq!(fault(&bundle, "/n/o"), "the root file system `/n/o` does not exist");
}

#[test]
fn a_root_that_is_no_directory_says_what_it_is() {
    let (dir, bundle) = bundle();
    fs::write(dir.path().join("file"), "").unwrap();
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    let said = |name, what| format!("the root file system `{name}` is {what}, not a directory");

    assert_eq!(fault(&bundle, "file"), said("file", "a file"));
    assert_eq!(fault(&bundle, "file/"), said("file/", "a file"));
    assert_eq!(fault(&bundle, "socket"), said("socket", "a socket"));
    assert_eq!(fault(&bundle, "/dev/null"), said("/dev/null", "a device"));
    assert_eq!(fault(&bundle, "file/below"), said("file/below", "below a file"));
}

#[test]
fn a_root_that_is_a_link_is_refused_however_its_name_ends() {
    let (dir, bundle) = bundle();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("rootfs")).unwrap();
    let absolute = bundle.path().join("rootfs/");

    for given in ["rootfs", "rootfs/", "rootfs/.", "./rootfs//./", absolute.to_str().unwrap()] {
        let error = found(&bundle, given).unwrap_err();
        assert!(matches!(error, ProbeError::RootLink { .. }), "{given}: {error}");
    }
}

#[test]
fn a_relative_root_does_not_leave_the_bundle() {
    let (dir, bundle) = bundle();
    fs::create_dir(dir.path().join("a")).unwrap();
    symlink("/usr", dir.path().join("out")).unwrap();
    symlink("..", dir.path().join("up")).unwrap();

    for given in ["..", "../x", "a/../../x", "out/bin", "up/x"] {
        let expected = format!("the root file system `{given}` leads out of the bundle");
        assert_eq!(fault(&bundle, given), expected);
    }
    assert!(found(&bundle, "a/../a").is_ok());
}

#[test]
fn a_bundle_without_a_root_says_so() {
    let (_dir, bundle) = bundle();
    let spec = serde_json::from_value(json!({"ociVersion": "1.2.0"})).unwrap();

    let error = facts(&spec, &bundle).unwrap_err();

    assert_eq!(
        (error.to_string().as_str(), error.at()),
        ("the bundle names no root file system", "/root")
    );
}

#[test]
fn a_root_whose_name_is_not_utf8_cannot_be_kept() {
    use std::os::unix::ffi::OsStrExt;
    let (dir, bundle) = bundle();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::create_dir_all(odd.join("rootfs")).unwrap();
    symlink(&odd, dir.path().join("link")).unwrap();
    let given = bundle.path().join("link/rootfs");

    let text = fault(&bundle, given.to_str().unwrap());

    let name = "`BUNDLE/link/rootfs`";
    assert_eq!(text, format!("the root file system {name} has no path to keep: it is not UTF-8"));
}

#[test]
fn a_kernel_file_system_cannot_be_mapped() {
    let (_dir, bundle) = bundle();

    let facts = facts(&spec("/proc/sys"), &bundle).unwrap();

    assert_eq!(facts.fs_type, "proc");
    assert!(matches!(facts.kind, RootfsKind::Unmappable(why) if why.starts_with("is on proc, ")));
}

/// Cost of the usual case: `cargo test --release -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "measures"]
fn cost_of_a_plain_root() {
    let (dir, bundle) = bundle();
    fs::create_dir(dir.path().join("rootfs")).unwrap();
    let spec = spec("rootfs");
    let start = Instant::now();

    (0..1000).for_each(|_| drop(facts(&spec, &bundle).unwrap()));

    println!("rootfs::facts {:?}", start.elapsed() / 1000);
}
