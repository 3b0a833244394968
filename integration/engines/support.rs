//! Places for engines, and an image to start.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::leaks;
use crate::support::{busybox_root, copy_program, unique_tag};

/// What is at /sys/fs/cgroup in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Groups {
    /// Cgroup v2 alone, as on today's distributions. The controllers may be elsewhere.
    V2,
    /// What the machine has.
    AsIs,
}

/// Namespaces that an engine and its containers live in, until dropped; then nothing may be left of
/// them.
pub(crate) struct Place {
    dir: TempDir,
    tag: String,
    holder: Child,
    mounts: u64,
}

/// What came of a call in a place.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Called {
    /// The standard output, without the newline at its end, of a call that must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.stdout.trim_end().to_owned()
    }

    /// All that the user read of a call that must have failed.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert_ne!(self.status, Some(0), "{self:?}");
        assert_ne!(self.status, None, "{self:?}");
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// The machine's hierarchies, on memory of the place's own: engines make directories beside them.
const AS_IS: &str = "\
mkdir $D/groups && mount --rbind /sys/fs/cgroup $D/groups
mount -t tmpfs cgroup /sys/fs/cgroup
for d in $D/groups/*; do
	mountpoint -q $d || continue
	mkdir /sys/fs/cgroup/${d##*/} && mount --bind $d /sys/fs/cgroup/${d##*/}
done
umount -l $D/groups";

/// Moves the place into another root with newer engines, if one is named: by pivot_root, for in a
/// mere chroot nobody makes user namespaces. Where ids are registered stays the machine's.
const ENTER: &str = "\
if [ -n \"$CASEMATE_TEST_ROOT\" ]; then
	R=$CASEMATE_TEST_ROOT
	mount --bind $R $R
	for d in proc sys dev tmp; do mount --rbind /$d $R/$d; done
	mount -t tmpfs none $R/run
	mkdir -m 700 -p /run/casemate $R/run/casemate $R/run/lock
	mount --bind /run/casemate $R/run/casemate
	cd $R && pivot_root . . && umount -l . && cd /
fi";

/// A record of the place's own tells which containers there were.
const AUDIT: &str = "\
mkdir -p /var/log/casemate && mkdir -m 700 $D/audit && mount --bind $D/audit /var/log/casemate";

impl Place {
    /// Makes the namespaces. `setup` is a script that runs in them with the place's directory as
    /// `$D`; the binary under test is at /usr/local/bin/casemate.
    pub(crate) fn new(groups: Groups, setup: &str) -> Self {
        let tag = unique_tag();
        let dir = tempfile::Builder::new().prefix(&tag).tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        copy_program(env!("CARGO_BIN_EXE_casemate"), bin.join("casemate"));
        let groups = match groups {
            Groups::V2 => "mount -t cgroup2 none /sys/fs/cgroup",
            Groups::AsIs => AS_IS,
        };
        let script = format!(
            "set -e\n{ENTER}\nmount --bind $D/bin /usr/local/bin\n{AUDIT}\nip link set lo up\n{groups}\n{setup}\n\
             echo ready; exec sleep infinity"
        );
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private", "sh", "-c", &script])
            .env("D", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the place could not be made");
        let mounts = fs::metadata(format!("/proc/{}/ns/mnt", holder.id())).unwrap().ino();
        Self { dir, tag, holder, mounts }
    }

    /// A word that is in no other place's names.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Installs a file of `profiles/engines`.
    pub(crate) fn profile(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/engines").join(name);
        fs::read_to_string(path).unwrap()
    }

    /// A program that will run in the place.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--target", &self.holder.id().to_string(), program]);
        command.env("D", self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Connects to a server in the place.
    pub(crate) fn connect(&self, address: &str) -> TcpStream {
        let network = fs::File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let address = address.to_owned();
        // Only the thread moves; the socket stays where it was made.
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(network.as_fd(), kind).unwrap();
            TcpStream::connect(address).unwrap()
        })
        .join()
        .unwrap()
    }

    /// Runs a line of shell in the place.
    pub(crate) fn shell(&self, line: &str) -> Called {
        call(self.command("sh").args(["-c", line]))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut left = Vec::new();
        if !std::thread::panicking() {
            let holder = i32::try_from(self.holder.id()).unwrap();
            let audit = self.dir.path().join("audit");
            left = leaks::left(self.mounts, holder, &audit, &self.tag);
        }
        // Before anything is said of it: what runs on would keep the test's output open.
        leaks::end_all(self.mounts);
        let _ = self.holder.wait();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

/// How long a call may take. An image of fifty layers was seen to take two minutes.
const LIMIT: Duration = Duration::from_secs(400);

/// Makes a call, and waits for its end. What it leaves running may hold its output open.
pub(crate) fn call(command: &mut Command) -> Called {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    Called { status, stdout: text(out), stderr: text(err) }
}

/// What a line of shell begins with that Podman is to hear from its first word on.
pub(crate) const HEARD: &str = "read attached; ";

/// The same as [`call`] of `podman run -i` with a line of shell that begins with [`HEARD`].
///
/// What it reads came over Podman's own connection, so conmon has accepted that. Without this, what
/// a short container says is lost now and then on a busy machine, whatever the runtime.
pub(crate) fn call_heard(command: &mut Command) -> Called {
    let (input, mut to) = std::io::pipe().unwrap();
    to.write_all(b"\n").unwrap();
    drop(to);
    call(command.stdin(input))
}

/// Asks again and again, for up to a minute, until the answer is yes: engines are slow where other
/// tests have theirs.
#[track_caller]
pub(crate) fn eventually(what: &str, mut asked: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !asked() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a program is installed; says so if not.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    if !found.status.success() {
        println!("skipped, because there is no {program}");
    }
    found.status.success()
}

/// An archive of a root with busybox, to be imported.
pub(crate) fn busybox_archive(dir: &Path) -> PathBuf {
    let root = dir.join("image");
    busybox_root(&root);
    let archive = dir.join("image.tar");
    let packed =
        Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status();
    assert!(packed.unwrap().success());
    archive
}

/// An archive of one image for `ctr images import`: busybox, under `name`.
pub(crate) fn busybox_oci_archive(dir: &Path, name: &str) -> PathBuf {
    let layer = fs::read(busybox_archive(dir)).unwrap();
    let image = dir.join("oci");
    fs::create_dir_all(image.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(image.join("blobs/sha256").join(&digest), bytes).unwrap();
        serde_json::json!({"digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let described = |bytes: &[u8], kind: &str| {
        let mut descriptor = put(bytes);
        descriptor["mediaType"] = format!("application/vnd.oci.image.{kind}").into();
        descriptor
    };
    let layer = described(&layer, "layer.v1.tar");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "infinity"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let config = described(config.to_string().as_bytes(), "config.v1+json");
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let mut manifest = described(manifest.to_string().as_bytes(), "manifest.v1+json");
    manifest["annotations"] = serde_json::json!({
        "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name,
    });
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(image.join("index.json"), index.to_string()).unwrap();
    fs::write(image.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let archive = dir.join("oci.tar");
    let packed =
        Command::new("tar").arg("-C").arg(&image).arg("-cf").arg(&archive).arg(".").status();
    assert!(packed.unwrap().success());
    archive
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines of a process's file in /proc.
fn proc_lines(pid: i32, file: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Checks from the host that the promises hold for a container's init.
#[track_caller]
pub(crate) fn assert_boxed(pid: i32) {
    let map = proc_lines(pid, "uid_map");
    let words: Vec<u32> = map[0].split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!((map.len(), words[0], words[2]), (1, 0, 65536), "{map:?}");
    assert!(words[1] >= 65536, "{map:?}");
    assert_held(pid);
}

/// The same, whoever's ids they are.
#[track_caller]
pub(crate) fn assert_held(pid: i32) {
    let status = proc_lines(pid, "status");
    let is = |line: &str| status.iter().any(|there| there == line);
    assert!(is("NoNewPrivs:\t1") && is("Seccomp:\t2"), "{status:?}");
    let mounts = proc_lines(pid, "mountinfo");
    for line in mounts {
        let words: Vec<_> = line.split(' ').collect();
        assert!(words[5].contains("nosuid"), "{line}");
        assert!(words[4] != "/" || words[5].starts_with("ro"), "{line}");
    }
}

/// What the level `hardened` refuses of an engine's usual options: with the rule, and the reason.
pub(crate) const REFUSED: [(&[&str], &str, &str); 9] = [
    (&["--privileged"], "dev.standard-only", "any other device is a way to the host"),
    (&["--pid", "host"], "ns.no-host-pid", "would see and signal the host's processes"),
    (&["--network", "host"], "ns.no-host-network", "listens on the host's loopback"),
    (&["--ipc", "host"], "ns.no-host-ipc", "share the host's memory segments"),
    (&["--uts", "host"], "ns.no-host-uts", "share the host's name"),
    (&["--device", "/dev/loop-control"], "dev.standard-only", "/dev/loop-control"),
    (&["-v", "/:/host"], "mount.no-host-kernel-files", "is the host's root"),
    (&["-v", "/proc:/host"], "mount.no-host-kernel-files", "is the host's /proc"),
    (&["-v", "/run/casemate:/x"], "mount.no-host-kernel-files", "decides about containers"),
];

/// That a user was told the whole sentence, and nothing was run.
#[track_caller]
pub(crate) fn assert_refused(said: &str, options: &[&str], rule: &str, why: &str) {
    let sentence = format!("refused by rule `{rule}`: ");
    assert!(said.contains(&sentence) && said.contains(why), "{options:?}: {said}");
    assert!(said.contains("; hint: "), "{options:?}: {said}");
    assert!(!said.contains("started"), "{said}");
}
