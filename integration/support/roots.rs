//! Root file systems: busybox, Debian, an overlay.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use rustix::fs::{XattrFlags, setxattr};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use super::{copy_program, tagged_dir};

const DIRECTORIES: &[&str] = &[
    "bin", "dev", "etc", "home", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "var/tmp",
];

/// Makes a root with Debian's static busybox and a link for each of its applets.
pub(crate) fn busybox_root(root: &Path) {
    static APPLETS: OnceLock<String> = OnceLock::new();
    let applets = APPLETS.get_or_init(|| {
        let listed = Command::new("/bin/busybox").arg("--list").output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    });
    for name in DIRECTORIES {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::set_permissions(root.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
    for name in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(name), Permissions::from_mode(0o1777)).unwrap();
    }
    copy_program("/bin/busybox", root.join("bin/busybox"));
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/:/bin/sh\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nu:x:1000:\nextra:x:2000:u\n").unwrap();
}

/// A Debian minimal root: made once, shared by all tests, so never to be changed by one.
///
/// It is kept in `$CASEMATE_TEST_CACHE`, or below `target`. The mirror and the proxy are the ones
/// that this machine's apt uses.
pub(crate) fn debian_root() -> PathBuf {
    let cache = std::env::var_os("CASEMATE_TEST_CACHE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache"),
        PathBuf::from,
    );
    fs::create_dir_all(&cache).unwrap();
    let root = cache.join("debian-bookworm");
    let lock = File::create(cache.join("debian-bookworm.lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    if !root.exists() {
        let half_done = cache.join("debian-bookworm.new");
        let _ = fs::remove_dir_all(&half_done);
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", "bookworm"]).arg(&half_done).arg(mirror());
        if let Some(proxy) = apt_proxy() {
            command.env("http_proxy", &proxy).env("https_proxy", proxy);
        }
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        fs::rename(&half_done, &root).unwrap();
    }
    root
}

/// Debian packages whose programs tests put to work.
const SOFTWARE: &[&str] =
    &["busybox-static", "nginx-light", "postgresql", "python3", "redis-server"];

/// The root of [`debian_root`] with real software in it, unpacked and not configured: no user, no
/// service, no data. Made once, shared by all tests, so never to be changed by one.
pub(crate) fn software_root() -> PathBuf {
    let debian = debian_root();
    let cache = debian.parent().unwrap();
    let root = cache.join("debian-bookworm-software");
    let lock = File::create(cache.join("debian-bookworm-software.lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    if root.exists() {
        return root;
    }
    let half_done = cache.join("debian-bookworm-software.new");
    let _ = fs::remove_dir_all(&half_done);
    let run = |command: &mut Command| {
        let done = command.output().unwrap();
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run(Command::new("cp").arg("-a").arg(&debian).arg(&half_done));
    let apt = |words: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(&half_done).args(["apt-get", "-qq", "-y", "-o", "APT::Sandbox::User=root"]);
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        if let Some(proxy) = apt_proxy() {
            command.env("http_proxy", &proxy).env("https_proxy", proxy);
        }
        command
    };
    run(&mut apt(&["update"]));
    let install = ["install", "--download-only", "--no-install-recommends"];
    run(apt(&install).args(SOFTWARE));
    let archives = half_done.join("var/cache/apt/archives");
    for package in fs::read_dir(&archives).unwrap().flatten().map(|entry| entry.path()) {
        if package.extension().is_some_and(|end| end == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&package).arg(&half_done));
            fs::remove_file(package).unwrap();
        }
    }
    run(Command::new("chroot").arg(&half_done).arg("ldconfig"));
    let mut users = fs::read_to_string(half_done.join("etc/passwd")).unwrap();
    users.push_str("u:x:1000:1000::/tmp:/bin/sh\n");
    fs::write(half_done.join("etc/passwd"), users).unwrap();
    fs::rename(&half_done, &root).unwrap();
    root
}

/// Debian packages whose services run in containers of real engines.
const SERVICES: &[&str] = &[
    "busybox-static",
    "cron",
    "etcd-client",
    "etcd-server",
    "nginx-light",
    "nodejs",
    "openjdk-17-jdk-headless",
    "postgresql",
    "python3",
    "redis-server",
];

/// Installs the packages named in its arguments in the root `$R`, as an image's build would:
/// configured, with users and directories, without a service that is started.
const INSTALL: &str = r#"
set -e
mount --bind /dev "$R/dev" && mount -t proc proc "$R/proc"
policy=$R/usr/sbin/policy-rc.d
printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
apt="chroot $R apt-get -qq -y -o APT::Sandbox::User=root"
$apt update && $apt install --no-install-recommends "$@"
rm -rf "$policy" "$R"/var/cache/apt/archives/*.deb "$R"/var/lib/apt/lists/*
rm -rf "$R"/usr/share/doc "$R"/usr/share/man "$R"/usr/share/locale "$R"/tmp/*
umount "$R/dev" "$R/proc"
"#;

/// The root of [`debian_root`] with services installed in it, as images are made. Made once, shared
/// by all tests, so never to be changed by one.
pub(crate) fn services_root() -> PathBuf {
    let debian = debian_root();
    let cache = debian.parent().unwrap();
    let root = cache.join("debian-bookworm-services");
    let lock = File::create(cache.join("debian-bookworm-services.lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    if root.exists() {
        return root;
    }
    let half_done = cache.join("debian-bookworm-services.new");
    let _ = fs::remove_dir_all(&half_done);
    let copied = Command::new("cp").arg("-a").arg(&debian).arg(&half_done).status().unwrap();
    assert!(copied.success());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", INSTALL, "sh"]);
    command.args(SERVICES).env("R", &half_done).env("DEBIAN_FRONTEND", "noninteractive");
    command.env("LC_ALL", "C");
    if let Some(proxy) = apt_proxy() {
        command.env("http_proxy", &proxy).env("https_proxy", proxy);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::rename(&half_done, &root).unwrap();
    root
}

/// The address from which this machine's apt gets Debian's packages.
fn mirror() -> String {
    let targets = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(CODENAME) $(REPO_URI)",
            "Created-By: Packages",
        ])
        .output()
        .unwrap();
    let targets = String::from_utf8(targets.stdout).unwrap();
    let mut lines = targets.lines().filter_map(|line| line.strip_prefix("Debian bookworm "));
    lines.next().expect("no Debian bookworm among apt's sources: run `apt-get update`").to_owned()
}

fn apt_proxy() -> Option<String> {
    let shell = Command::new("apt-config").args(["shell", "P", "Acquire::http::Proxy"]).output();
    let text = String::from_utf8(shell.unwrap().stdout).unwrap();
    Some(text.trim().strip_prefix("P='")?.strip_suffix('\'')?.to_owned())
}

/// An overlay of three layers, mounted, as an engine would hand it over.
///
/// | path | base | middle | upper | seen |
/// |---|---|---|---|---|
/// | `/etc/whiteout` | file | whiteout | | nothing |
/// | `/etc/changed` | `base` | `middle` | | `middle` |
/// | `/opaque` | `old` in it | opaque, `new` in it | | `new` only |
/// | `/etc/upper` | | | file | file |
/// | `/srv/owned` | file of 1000:1000, 0600 | | | the same |
pub(crate) struct Overlay {
    dir: TempDir,
}

impl Overlay {
    pub(crate) fn new(tag: &str) -> Self {
        let overlay = Self { dir: tagged_dir(tag) };
        let [base, middle, upper] = overlay.layers();
        busybox_root(&base);
        for dir in ["opaque", "srv"] {
            fs::create_dir(base.join(dir)).unwrap();
        }
        for name in ["etc/whiteout", "etc/changed", "opaque/old", "srv/owned"] {
            fs::write(base.join(name), "base").unwrap();
        }
        let owned = base.join("srv/owned");
        std::os::unix::fs::chown(&owned, Some(1000), Some(1000)).unwrap();
        fs::set_permissions(owned, Permissions::from_mode(0o600)).unwrap();
        for dir in [middle.join("etc"), middle.join("opaque"), upper.join("etc")] {
            fs::create_dir_all(dir).unwrap();
        }
        let none = Mode::empty();
        mknod(&middle.join("etc/whiteout"), SFlag::S_IFCHR, none, makedev(0, 0)).unwrap();
        fs::write(middle.join("etc/changed"), "middle").unwrap();
        fs::write(middle.join("opaque/new"), "middle").unwrap();
        let flags = XattrFlags::empty();
        setxattr(middle.join("opaque"), c"trusted.overlay.opaque", b"y", flags).unwrap();
        fs::write(upper.join("etc/upper"), "upper").unwrap();
        overlay.mount();
        overlay
    }

    fn mount(&self) {
        let [base, middle, upper] = self.layers();
        let work = self.dir.path().join("work");
        for dir in [&work, &self.root()] {
            fs::create_dir(dir).unwrap();
        }
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            middle.display(),
            base.display(),
            upper.display(),
            work.display(),
        );
        let options = std::ffi::CString::new(options).unwrap();
        let flags = MountFlags::empty();
        mount("overlay", self.root(), "overlay", flags, options.as_c_str()).unwrap();
    }

    /// The layers' directories, lowest first.
    pub(crate) fn layers(&self) -> [PathBuf; 3] {
        ["base", "middle", "upper"].map(|name| self.dir.path().join(name))
    }

    /// Where it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("merged")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = unmount(self.root(), UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::support::{Bundle, Overlay, Ran, Runtime, debian_root, has_runc, unique_tag};

    #[test]
    fn the_overlay_shows_what_its_layers_say() {
        let overlay = Overlay::new(&unique_tag());

        let root = overlay.root();
        assert!(!root.join("etc/whiteout").exists());
        assert_eq!(fs::read_to_string(root.join("etc/changed")).unwrap(), "middle");
        assert!(!root.join("opaque/old").exists() && root.join("opaque/new").exists());
        assert!(root.join("etc/upper").exists() && root.join("bin/sh").exists());
    }

    #[test]
    fn a_container_runs_in_the_overlay() {
        if !has_runc() {
            return;
        }
        let overlay = Overlay::new(&unique_tag());
        let bundle = Bundle::with_root(&overlay.root()).args(["/bin/cat", "/etc/changed"]);

        let ran: Ran = Runtime::of(Path::new("/usr/sbin/runc")).run(&bundle);

        assert_eq!(ran.ok(), "middle");
    }

    #[test]
    #[ignore = "fetches packages where there is no cached root yet"]
    fn the_debian_root_has_an_os_release() {
        let text = fs::read_to_string(debian_root().join("etc/os-release")).unwrap();

        assert!(text.contains("VERSION_CODENAME=bookworm"), "{text}");
    }
}
