use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::mknodat;
use tempfile::TempDir;

use super::*;

fn bundle() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn fault(dir: &Path) -> String {
    let error = Bundle::open(dir).unwrap_err();
    error.to_string().replace(dir.canonicalize().unwrap_or_default().to_str().unwrap(), "DIR")
}

#[test]
fn a_bundle_reached_by_a_link_keeps_its_real_path_and_its_bytes() {
    let dir = bundle();
    let real = dir.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("config.json"), b"{}").unwrap();
    symlink(&real, dir.path().join("link")).unwrap();

    let opened = Bundle::open(&dir.path().join("link")).unwrap();

    assert_eq!(opened.path(), real.canonicalize().unwrap());
    assert_eq!(opened.config(), b"{}");
}

#[test]
fn a_missing_bundle_and_a_missing_config_say_so() {
    let dir = bundle();

    let missing = Bundle::open(&dir.path().join("none")).unwrap_err();

    assert!(matches!(missing, BundleError::Open { source: Errno::ENOENT, .. }), "{missing:?}");
    assert_eq!(fault(dir.path()), "cannot read `DIR/config.json`");
}

#[test]
fn a_bundle_that_is_a_file_is_refused() {
    let dir = bundle();
    fs::write(dir.path().join("file"), b"").unwrap();

    let error = Bundle::open(&dir.path().join("file")).unwrap_err();

    assert!(matches!(error, BundleError::Open { source: Errno::ENOTDIR, .. }), "{error:?}");
}

#[test]
fn a_config_that_is_a_fifo_does_not_hang() {
    let dir = bundle();
    let path = dir.path().join("config.json");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();

    assert_eq!(fault(dir.path()), "`DIR/config.json` is a FIFO, not a regular file");
}

#[test]
fn a_config_that_is_a_directory_a_socket_or_a_link_is_refused() {
    let dir = bundle();
    let path = dir.path().join("config.json");

    fs::create_dir(&path).unwrap();
    assert_eq!(fault(dir.path()), "`DIR/config.json` is a directory, not a regular file");
    fs::remove_dir(&path).unwrap();

    let socket = UnixListener::bind(&path).unwrap();
    assert_eq!(fault(dir.path()), "`DIR/config.json` is a socket, not a regular file");
    drop(socket);
    fs::remove_file(&path).unwrap();

    symlink("/etc/hostname", &path).unwrap();
    let text = "`DIR/config.json` is a symbolic link; a bundle has its config in itself";
    assert_eq!(fault(dir.path()), text);
}

#[test]
fn a_config_over_the_bound_is_refused_and_one_at_the_bound_is_read() {
    let dir = bundle();
    let file = File::create(dir.path().join("config.json")).unwrap();

    file.set_len(MAX_DOCUMENT_BYTES).unwrap();
    let read = Bundle::open(dir.path()).unwrap().config().len();
    assert_eq!(u64::try_from(read).unwrap(), MAX_DOCUMENT_BYTES);

    file.set_len(MAX_DOCUMENT_BYTES + 1).unwrap();
    assert_eq!(fault(dir.path()), "`DIR/config.json` has more than 4194304 bytes (4 MiB)");
}

#[test]
fn a_process_file_may_be_a_link_but_no_device() {
    let dir = bundle();
    fs::write(dir.path().join("p.json"), b"{}").unwrap();
    symlink("p.json", dir.path().join("link")).unwrap();

    assert_eq!(read_process(&dir.path().join("link")).unwrap(), b"{}");
    let error = read_process(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.to_string(), "`/dev/zero` is a device, not a regular file");
}
