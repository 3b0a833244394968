//! A bundle made out of nothing but this binary.
//!
//! It asks for more than it should get, as engines' defaults do and a little beyond: a writable
//! root and /sys, `CAP_SYS_ADMIN` and others, no `no_new_privs`, no filter, nothing masked. So
//! what the box withholds is the runtime's work, not the bundle's modesty.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};

const CONFIG: &str = include_str!("bundle.json");

const DIRECTORIES: &[&str] = &["bin", "dev", "etc", "proc", "run", "sys", "tmp", "var/tmp"];

/// `security.capability` of revision 2, effective: CAP_SYS_PTRACE (19) and CAP_SYS_ADMIN (21).
///
/// Reference: capabilities(7), "File capability extended attribute versioning".
const FILE_CAPABILITIES: [u8; 20] = [1, 0, 0, 2, 0, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Makes `config.json` and `rootfs` in a directory that exists.
///
/// The root holds three copies of the running program: a plain one, one that is set-uid root,
/// and one with file capabilities (left out where the file system has none, and then that
/// attempt is not proven). The first process is to be `casemate try --inside`.
///
/// # Errors
/// Those of making directories and files; what was made is left to whoever owns `dir`.
pub fn build(dir: &Path) -> io::Result<()> {
    let root = dir.join("rootfs");
    for name in DIRECTORIES {
        fs::create_dir_all(root.join(name))?;
    }
    for name in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(name), Permissions::from_mode(0o1777))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:\nnobody:x:1000:1000::/:\n")?;
    copy_program(&root.join("bin/casemate"), 0o755)?;
    copy_program(&root.join("bin/setuid"), 0o4755)?;
    let filecaps = root.join("bin/filecaps");
    copy_program(&filecaps, 0o755)?;
    let flags = XattrFlags::empty();
    if setxattr(&filecaps, c"security.capability", &FILE_CAPABILITIES, flags).is_err() {
        fs::remove_file(&filecaps)?;
    }
    fs::write(dir.join("config.json"), CONFIG)
}

fn copy_program(to: &Path, mode: u32) -> io::Result<()> {
    fs::copy("/proc/self/exe", to)?;
    fs::set_permissions(to, Permissions::from_mode(mode))
}
