//! Root file systems that cannot translate ids: their files are given to the container one by one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::support::{Bundle, Runtime, Snapshot, busybox_root, unique_tag};

/// Something mounted, until dropped.
struct Mounted {
    dir: tempfile::TempDir,
}

impl Mounted {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix(&unique_tag()).tempdir().unwrap();
        for name in ["upper", "work", "root"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// An image with owners, links and modes of every kind.
    fn furnish(root: &Path) {
        busybox_root(root);
        let put = |name: &str, mode: u32, (uid, gid): (u32, u32)| {
            let path = root.join(name);
            fs::write(&path, name).unwrap();
            chown(&path, Some(uid), Some(gid)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("etc/shadow", 0o600, (0, 0));
        put("etc/own", 0o640, (1000, 33));
        put("etc/big", 0o644, (70_000, 0));
        put("bin/set-id", 0o4755, (0, 0));
        symlink("own", root.join("etc/link")).unwrap();
        fs::hard_link(root.join("etc/own"), root.join("etc/hard")).unwrap();
        fs::create_dir(root.join("secret")).unwrap();
        fs::set_permissions(root.join("secret"), fs::Permissions::from_mode(0o700)).unwrap();
        put("secret/deep", 0o600, (0, 0));
    }

    /// The image on a ramfs, which translates nothing.
    fn on_ramfs() -> Self {
        let mounted = Self::new();
        mount("ramfs", mounted.root(), "ramfs", MountFlags::empty(), c"mode=755").unwrap();
        Self::furnish(&mounted.root());
        mounted
    }

    /// The image in a layer of fuse-overlayfs, as rootless engines mount it.
    fn on_fuse() -> Option<Self> {
        if !Path::new("/usr/bin/fuse-overlayfs").exists() || !Path::new("/dev/fuse").exists() {
            println!("skipped, because there is no fuse-overlayfs");
            return None;
        }
        let mounted = Self::new();
        let lower = mounted.dir.path().join("lower");
        fs::create_dir(&lower).unwrap();
        Self::furnish(&lower);
        let path = |name: &str| mounted.dir.path().join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            path("lower"),
            path("upper"),
            path("work")
        );
        let status =
            Command::new("fuse-overlayfs").args(["-o", &options]).arg(mounted.root()).status();
        assert!(status.unwrap().success());
        Some(mounted)
    }

    /// An overlay whose layers lie on a file system which translates nothing.
    fn on_an_overlay_of_ramfs() -> Self {
        let mounted = Self::new();
        let base = mounted.root();
        mount("ramfs", &base, "ramfs", MountFlags::empty(), c"mode=755").unwrap();
        for name in ["image", "upper", "work"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        Self::furnish(&base.join("image"));
        fs::create_dir(mounted.merged()).unwrap();
        let options =
            format!("lowerdir={0}/image,upperdir={0}/upper,workdir={0}/work", base.display());
        let options = std::ffi::CString::new(options).unwrap();
        let none = MountFlags::empty();
        mount("overlay", mounted.merged(), "overlay", none, options.as_c_str()).unwrap();
        mounted
    }

    fn merged(&self) -> PathBuf {
        self.dir.path().join("merged")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for place in [self.merged(), self.root()] {
            let _ = unmount(place, UnmountFlags::DETACH);
        }
    }
}

const LOOK: &str = "cat /etc/shadow /secret/deep; echo; \
    stat -c '%n %u %g %a' /etc/shadow /etc/own /etc/link /etc/hard /etc/big /bin/set-id /secret; \
    touch /etc/x 2>&1; id -u";

#[track_caller]
fn check(root: &Path) {
    let before = fs::metadata(root.join("etc/own")).unwrap();
    let bundle = Bundle::with_root(root).shell(LOOK);
    let runtime = Runtime::new();
    let trace = Snapshot::take(&runtime, &[bundle.id()]);

    let said = runtime.run(&bundle).ok();

    assert!(said.starts_with("etc/shadowsecret/deep\n"), "{said}");
    for line in [
        "/etc/shadow 0 0 600",
        "/etc/own 1000 33 640",
        "/etc/link 0 0 777",
        "/etc/hard 1000 33 640",
        "/etc/big 65534 0 644",
        // It grants nothing there, and is gone.
        "/bin/set-id 0 0 755",
        "/secret 0 0 700",
        "0",
    ] {
        assert!(said.lines().any(|there| there == line), "{line:?} is not in {said}");
    }
    assert!(said.contains("Read-only file system"), "{said}");
    // Nothing of the engine's was touched.
    let after = fs::metadata(root.join("etc/own")).unwrap();
    assert_eq!((before.uid(), before.ctime_nsec()), (after.uid(), after.ctime_nsec()));
    assert_eq!(fs::metadata(root.join("bin/set-id")).unwrap().mode() & 0o7777, 0o4755);
    trace.assert_unchanged();
    let dir = bundle.dir().to_str().unwrap();
    let text = runtime.call(["explain", "--bundle", dir]).ok();
    assert!(
        text.contains("rootfs.shift") && text.contains("given to the container's ids"),
        "{text}"
    );
}

#[test]
fn a_ramfs_is_given_away_file_by_file() {
    check(&Mounted::on_ramfs().root());
}

#[test]
fn so_is_a_fuse_overlay() {
    if let Some(mounted) = Mounted::on_fuse() {
        check(&mounted.root());
    }
}

#[test]
fn so_is_an_overlay_whose_layers_cannot_be_mapped() {
    let mounted = Mounted::on_an_overlay_of_ramfs();
    check(&mounted.merged());
}
