//! What a container can leave on the host through a writable volume, below a real engine: no
//! program that makes others root. With the level `audit` it can, which shows that the level
//! `hardened` is what stops it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::podman::Podman;
use super::support::{HEARD, call_heard};

/// Tries every way to a set-id program and to one with capabilities in /data, and says of each
/// whether the call was let through.
const ATTACK: &str = r##"
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
static void say(const char *name, long result) { printf("%s %s\n", name, result < 0 ? "refused" : "done"); }
static const char *make(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0755)); return name; }
int main(void) {
    umask(0);
    if (chdir("/data")) return 1;
    say("chmod", chmod(make("chmod"), 04755));
    say("fchmod", fchmod(open(make("fchmod"), O_WRONLY), 04755));
    say("fchmodat", fchmodat(AT_FDCWD, make("fchmodat"), 02755, 0));
    say("fchmodat2", syscall(__NR_fchmodat2, AT_FDCWD, make("fchmodat2"), 04755, 0));
    say("open", open("open", O_CREAT | O_WRONLY, 04755));
    say("creat", creat("creat", 06755));
    struct open_how how = { .flags = O_CREAT | O_WRONLY, .mode = 04755 };
    say("openat2", syscall(SYS_openat2, AT_FDCWD, "openat2", &how, sizeof how));
    say("mknod", mknod("mknod", S_IFREG | 04755, 0));
    say("mknodat", mknodat(AT_FDCWD, "mknodat", S_IFREG | 02755, 0));
    say("device", mknod("device", S_IFCHR | 0666, 1 << 8 | 5));
    struct vfs_cap_data cap = { VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, { { 1u << CAP_SETUID, 0 }, { 0, 0 } } };
    say("setxattr", setxattr(make("setxattr"), "security.capability", &cap, sizeof cap, 0));
    say("fsetxattr", fsetxattr(open(make("fsetxattr"), O_WRONLY), "security.capability", &cap, sizeof cap, 0));
    struct vfs_ns_cap_data own = { VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE, { { 1u << CAP_SETUID, 0 }, { 0, 0 } }, 0 };
    say("v3", setxattr(make("v3"), "security.capability", &own, sizeof own, 0));
    return 0;
}
"##;

fn build(dir: &Path) -> PathBuf {
    let (source, program) = (dir.join("attack.c"), dir.join("attack"));
    fs::write(&source, ATTACK).unwrap();
    let built = Command::new("cc").arg("-static").arg("-o").arg(&program).arg(&source).output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// Files in a directory that make whoever runs them somebody else.
fn powerful(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let mut value = [0; 64];
        let has_capabilities =
            rustix::fs::lgetxattr(entry.path(), c"security.capability", &mut value[..]).is_ok();
        if entry.metadata().unwrap().mode() & 0o6000 != 0 || has_capabilities {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found.sort_unstable();
    found
}

/// Runs the attack as root inside on an empty volume: what it said, and what is on the host.
fn attack(podman: &Podman, name: &str, flags: &[&str]) -> (String, Vec<String>) {
    let dir = podman.place().dir().join(format!("volume-{name}"));
    fs::create_dir(&dir).unwrap();
    let data = format!("{}:/data", dir.display());
    let program = format!("{}:/attack:ro", podman.place().dir().join("attack").display());
    let run = ["run", "--rm", "-i", "--cap-add", "ALL", "--network", "none"];
    let volumes = ["-v", &data, "-v", &program];
    let image = ["localhost/busybox:1", "sh", "-c", &format!("{HEARD}exec /attack")];
    let mut command = podman.command(&[flags, &run, &volumes, &image].concat());
    let said = call_heard(&mut command).ok();
    (said, powerful(&dir))
}

#[test]
#[ignore = "drives a real engine"]
fn nothing_with_power_is_left_on_a_volume() {
    let Some(podman) = Podman::new() else { return };
    build(podman.place().dir());
    let policy = podman.place().dir().join("audit.toml");
    fs::write(&policy, "level = \"audit\"\n").unwrap();

    let (said, found) = attack(&podman, "hardened", &[]);
    assert!(found.is_empty(), "{found:?}: {said}");
    assert!(!said.contains(" done"), "{said}");

    let flag = format!("policy={}", policy.display());
    let (said, found) = attack(&podman, "audit", &["--runtime-flag", &flag]);
    for way in ["chmod", "creat", "fchmod", "mknod", "open", "openat2", "setxattr", "fsetxattr"] {
        assert!(found.iter().any(|name| name == way), "{way}: {found:?}: {said}");
    }
}
