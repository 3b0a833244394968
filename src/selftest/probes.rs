//! The attempts that are more than a call: each looks, or tries, and says what came of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, id};

use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsmount, fsopen,
    move_mount,
};

use super::inside::{IDENTITY, field};
use super::mounts;
use super::outcome::{Outcome, errno};
use crate::sys::attempt::{clone_away, clone3_away, unshare_by_i386};

/// What `hardened` leaves: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP and
/// NET_BIND_SERVICE.
const CAPABILITIES: u64 = 0x5fb;

/// Somebody who is not root, for what only such a user could gain.
const NOBODY: u32 = 1000;

/// Kernel files that tell of the host, or reach it.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// Looks at a text file of the kernel's.
fn look(path: &str, judge: impl FnOnce(&str) -> Outcome) -> Outcome {
    match fs::read_to_string(path) {
        Ok(text) => judge(&text),
        Err(error) => Outcome::Denied(errno(&error)),
    }
}

// What is in reach of the outside.

pub(super) fn descriptors() -> Outcome {
    let listed = match fs::read_dir("/proc/self/fd") {
        Ok(listed) => listed,
        Err(error) => return Outcome::Denied(errno(&error)),
    };
    let mut wrong = Vec::new();
    for entry in listed.flatten() {
        let number = entry.file_name().to_string_lossy().parse().unwrap_or(u32::MAX);
        let link = fs::read_link(entry.path()).unwrap_or_default();
        let is_directory = fs::metadata(entry.path()).is_ok_and(|data| data.is_dir());
        // The one that lists the directory is our own.
        let own = link.starts_with("/proc") && link.ends_with("fd");
        if !own && (number > 2 || is_directory) {
            wrong.push(format!("{number} is {}", link.display()));
        }
    }
    Outcome::seen(&wrong, "standard input, output and error")
}

fn same_file(one: &str, other: &str) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

pub(super) fn directory() -> Outcome {
    let above = same_file("../../../../../../../../..", "/");
    match (std::env::current_dir(), above) {
        (Ok(path), Ok(true)) if path.is_absolute() => Outcome::Held(path.display().to_string()),
        (path, above) => Outcome::Succeeded(format!("at {path:?}, root above it: {above:?}")),
    }
}

fn id_map(path: &str) -> Outcome {
    look(path, |text| {
        let wrong: Vec<_> = text
            .lines()
            .filter(|line| line.split_whitespace().nth(1) == Some("0"))
            .map(|line| format!("mapped to 0: {}", line.trim()))
            .collect();
        let right = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Outcome::seen(&wrong, &right)
    })
}

pub(super) fn users() -> Outcome {
    id_map("/proc/self/uid_map")
}

pub(super) fn groups() -> Outcome {
    id_map("/proc/self/gid_map")
}

pub(super) fn owners() -> Outcome {
    match fs::metadata("/bin/casemate").map(|data| (data.uid(), data.gid())) {
        Ok((0, 0)) => Outcome::Held("/bin/casemate belongs to 0:0".to_owned()),
        Ok((uid, gid)) => Outcome::Succeeded(format!("/bin/casemate belongs to {uid}:{gid}")),
        Err(error) => Outcome::Denied(errno(&error)),
    }
}

pub(super) fn processes() -> Outcome {
    let listed = match fs::read_dir("/proc") {
        Ok(listed) => listed,
        Err(error) => return Outcome::Denied(errno(&error)),
    };
    // Where this attempt is made by a process that entered, that is its parent.
    let parent = std::os::unix::process::parent_id();
    let strange = listed
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok())
        .filter(|pid| ![1, parent, id()].contains(pid))
        .count();
    if strange == 0 {
        Outcome::Held("init and this attempt".to_owned())
    } else {
        Outcome::Succeeded(format!("{strange} other processes"))
    }
}

pub(super) fn proc_root() -> Outcome {
    match same_file("/proc/1/root/", "/") {
        Ok(true) => Outcome::Held("the same root".to_owned()),
        Ok(false) => Outcome::Succeeded("another root".to_owned()),
        Err(error) => Outcome::Held(format!("{:?}", errno(&error))),
    }
}

pub(super) fn abstract_sockets() -> Outcome {
    look("/proc/net/unix", |text| {
        let wrong: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .filter(|name| name.starts_with('@'))
            .map(str::to_owned)
            .collect();
        Outcome::seen(&wrong, "none")
    })
}

// Mounts and namespaces.

pub(super) fn mount_by_new_calls() -> Outcome {
    let mount = || {
        let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let mount = fsmount(&context, flags, MountAttrFlags::empty())?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&mount, c"", rustix::fs::CWD, c"/tmp", flags)?;
        rustix::mount::unmount(c"/tmp", rustix::mount::UnmountFlags::DETACH)
    };
    Outcome::of_io(mount().map_err(io::Error::from), "mounted on /tmp, and taken off")
}

pub(super) fn clone_user() -> Outcome {
    Outcome::of(clone_away(libc::CLONE_NEWUSER), "granted")
}

pub(super) fn clone_mount() -> Outcome {
    Outcome::of(clone_away(libc::CLONE_NEWNS), "granted")
}

pub(super) fn clone3_user() -> Outcome {
    Outcome::of(clone3_away(libc::CLONE_NEWUSER), "granted")
}

pub(super) fn join(kind: &str) -> Outcome {
    match File::open(Path::new("/proc/1/ns").join(kind)) {
        Ok(file) => Outcome::of(setns(file, CloneFlags::empty()), "granted"),
        Err(error) => Outcome::Denied(errno(&error)),
    }
}

pub(super) fn i386() -> Outcome {
    Outcome::of(unshare_by_i386(libc::CLONE_NEWUSER), "granted")
}

// Files.

/// Makes a file in a directory and removes it.
pub(super) fn create_in(dir: &str) -> io::Result<()> {
    let path = Path::new(dir).join(format!(".casemate-try-{}", id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

pub(super) fn writable_mounts() -> Outcome {
    look("/proc/self/mountinfo", |text| {
        let (loose, all) = mounts::writable(text, |point| {
            fs::metadata(point).is_ok_and(|data| data.file_type().is_char_device())
        });
        Outcome::seen(&loose, &format!("writable, all nosuid,nodev: {}", all.join(" ")))
    })
}

/// Whether a path has anything to read.
fn tells(path: &&&str) -> bool {
    if let Ok(mut entries) = fs::read_dir(path) {
        return entries.next().is_some();
    }
    File::open(path).and_then(|mut file| file.read(&mut [0])).is_ok_and(|count| count > 0)
}

pub(super) fn masks() -> Outcome {
    let wrong: Vec<_> = MASKED.iter().filter(tells).map(ToString::to_string).collect();
    Outcome::seen(&wrong, &format!("{} paths are absent, empty or refused", MASKED.len()))
}

pub(super) fn devices() -> Outcome {
    let mut wrong = Vec::new();
    for dir in ["/dev", "/dev/pts", "/dev/shm", "/dev/mapper", "/dev/net", "/dev/input"] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(data) = entry.metadata() else { continue };
            let (major, minor) = (major(data.rdev()), minor(data.rdev()));
            // null, zero, full, random, urandom; tty, console, ptmx; terminals of a devpts.
            let plain =
                matches!((major, minor), (1, 3 | 5 | 7 | 8 | 9) | (5, 0..=2) | (136..=143, _));
            let is_character = data.file_type().is_char_device();
            if data.file_type().is_block_device() || (is_character && !plain) {
                wrong.push(format!("{} {major}:{minor}", entry.path().display()));
            }
        }
    }
    Outcome::seen(&wrong, "no block device, and only the usual character devices")
}

// Privilege.

fn status_is(name: &str, value: &str) -> Outcome {
    look("/proc/self/status", |text| {
        let found = field(text, name).join(" ");
        let said = format!("{name} is {found}");
        if found == value { Outcome::Held(said) } else { Outcome::Succeeded(said) }
    })
}

pub(super) fn no_new_privs() -> Outcome {
    status_is("NoNewPrivs", "1")
}

pub(super) fn filter() -> Outcome {
    status_is("Seccomp", "2")
}

/// The capability sets of a status file that go beyond what a level leaves.
pub(super) fn beyond(status: &str) -> Vec<String> {
    let allowed = |name| if name == "CapAmb" { 0 } else { CAPABILITIES };
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .into_iter()
        .map(|name| (name, field(status, name).join(" ")))
        .filter(|(name, set)| {
            u64::from_str_radix(set, 16).map_or(true, |set| set & !allowed(*name) != 0)
        })
        .map(|(name, set)| format!("{name} is {set}"))
        .collect()
}

pub(super) fn capabilities() -> Outcome {
    look("/proc/self/status", |text| {
        Outcome::seen(&beyond(text), &format!("CapBnd is {}", field(text, "CapBnd").join(" ")))
    })
}

/// Runs a copy of this program, which prints its own status file.
pub(super) fn status_of(program: &str, as_user: Option<u32>) -> io::Result<String> {
    let mut command = Command::new(program);
    command.arg0(IDENTITY).args(std::env::args_os().skip(1)).env_clear();
    if let Some(user) = as_user {
        command.uid(user).gid(user);
    }
    let printed = command.output()?;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    if field(&text, "Uid").is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(text)
}

/// What running a program as nobody gains: a user id of 0, or a capability.
fn gained_by(program: &str) -> Outcome {
    let status = match status_of(program, Some(NOBODY)) {
        Ok(status) => status,
        Err(error) => return Outcome::Inconclusive(format!("{program} did not run: {error}")),
    };
    let users = field(&status, "Uid");
    let effective = field(&status, "CapEff").join(" ");
    let said = format!("user ids {}, CapEff {effective}", users.join(" "));
    let none = effective.bytes().all(|digit| digit == b'0');
    if none && !users.contains(&"0") { Outcome::Held(said) } else { Outcome::Succeeded(said) }
}

pub(super) fn set_uid() -> Outcome {
    gained_by("/bin/setuid")
}

pub(super) fn file_capabilities() -> Outcome {
    gained_by("/bin/filecaps")
}

pub(super) fn lower_oom_score() -> Outcome {
    Outcome::of_io(fs::write("/proc/self/oom_score_adj", "-1000"), "lowered to -1000")
}

pub(super) fn raise_limit() -> Outcome {
    match setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        Ok(()) => Outcome::of(setrlimit(Resource::RLIMIT_CORE, 0, 1), "raised from 0 to 1"),
        Err(errno) => Outcome::Inconclusive(format!("cannot lower it first: {errno:?}")),
    }
}

/// Makes a device node where files can be made, opens it, removes it.
fn node(kind: SFlag, (major, minor): (u64, u64)) -> Outcome {
    let mut outcome = Outcome::Inconclusive("no directory to make it in".to_owned());
    for dir in ["/tmp", "/dev/shm", "/run"] {
        let path = Path::new(dir).join(format!(".casemate-node-{}", id()));
        match mknod(&path, kind, Mode::S_IRUSR, makedev(major, minor)) {
            Ok(()) => {
                let opened = File::open(&path).is_ok();
                let _ = fs::remove_file(&path);
                return Outcome::Succeeded(format!(
                    "made {major}:{minor} in {dir}, opened: {opened}"
                ));
            }
            Err(nix::errno::Errno::ENOENT) => {}
            // A read-only directory says nothing about devices.
            Err(nix::errno::Errno::EROFS) => {}
            Err(errno) => outcome = Outcome::Denied(errno),
        }
    }
    outcome
}

/// The numbers of the first disk that the kernel names, else of a loop device.
fn disk() -> (u64, u64) {
    let table = fs::read_to_string("/proc/partitions").unwrap_or_default();
    table
        .lines()
        .find_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .unwrap_or((7, 0))
}

pub(super) fn block_device() -> Outcome {
    node(SFlag::S_IFBLK, disk())
}

pub(super) fn memory_device() -> Outcome {
    node(SFlag::S_IFCHR, (1, 1))
}
