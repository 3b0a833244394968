//! A bundle made out of nothing but this binary.
//!
//! It asks for more than it should get, as engines' defaults do and a little beyond: a writable
//! root and /sys, `CAP_SYS_ADMIN` and others, no `no_new_privs`, no filter, nothing masked. So
//! what the box withholds is the runtime's work, not the bundle's modesty.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};

const CONFIG: &str = include_str!("bundle.json");

/// How many ids a container has.
const RANGE: u32 = 65_536;

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
/// `first`: where the caller is not root of the host and its engine would give the container ids,
/// the first of them; all files then belong to it.
///
/// # Errors
/// Those of making directories and files; what was made is left to whoever owns `dir`.
pub fn build(dir: &Path, first: Option<u32>) -> io::Result<()> {
    let root = dir.join("rootfs");
    for name in DIRECTORIES {
        fs::create_dir_all(root.join(name))?;
    }
    for name in DIRECTORIES.iter().copied().chain(["", "var"]) {
        chown(root.join(name), first, first)?;
    }
    for name in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(name), Permissions::from_mode(0o1777))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:\nnobody:x:1000:1000::/:\n")?;
    chown(root.join("etc/passwd"), first, first)?;
    copy_program(&root.join("bin/casemate"), 0o755, first)?;
    copy_program(&root.join("bin/setuid"), 0o4755, first)?;
    let filecaps = root.join("bin/filecaps");
    copy_program(&filecaps, 0o755, first)?;
    let flags = XattrFlags::empty();
    if setxattr(&filecaps, c"security.capability", &FILE_CAPABILITIES, flags).is_err() {
        fs::remove_file(&filecaps)?;
    }
    fs::write(dir.join("config.json"), config(first)?)
}

fn config(first: Option<u32>) -> io::Result<String> {
    let Some(first) = first else { return Ok(CONFIG.to_owned()) };
    let mut config: serde_json::Value = serde_json::from_str(CONFIG)?;
    let maps = serde_json::json!([{"containerID": 0, "hostID": first, "size": RANGE}]);
    if let Some(linux) = config.get_mut("linux").and_then(serde_json::Value::as_object_mut) {
        linux.insert("uidMappings".to_owned(), maps.clone());
        linux.insert("gidMappings".to_owned(), maps);
        if let Some(namespaces) = linux.get_mut("namespaces").and_then(|list| list.as_array_mut()) {
            namespaces.push(serde_json::json!({"type": "user"}));
        }
    }
    Ok(config.to_string())
}

fn copy_program(to: &Path, mode: u32, owner: Option<u32>) -> io::Result<()> {
    fs::copy("/proc/self/exe", to)?;
    chown(to, owner, owner)?;
    fs::set_permissions(to, Permissions::from_mode(mode))
}
