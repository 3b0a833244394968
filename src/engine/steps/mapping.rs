//! User namespaces that nobody lives in: a mount's own mapping of ids.
//!
//! The kernel takes a mapping only from a user namespace. A process is born into a new one and
//! waits; once its maps are written and the namespace is held by a descriptor, it is killed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::engine::cause::{Cause, Ids};
use crate::engine::spawn;
use crate::plan::mount::{BindMapping, BindMappingLine};
use crate::sys::{Errno, errno, fd, process};

/// Makes a user namespace with this mapping. `proc` is the host's procfs.
pub(in crate::engine) fn make(
    mapping: &BindMapping,
    ids: &Ids<'_>,
    proc: BorrowedFd<'_>,
) -> Result<OwnedFd, Cause> {
    let users = lines(&mapping.uids, |id| ids.user(id))?;
    let groups = lines(&mapping.gids, |id| ids.group(id))?;
    let (pid, holder) = spawn::holder()?;
    let made = furnish(pid, proc, &users, &groups);
    let _ = process::signal(holder.as_fd(), libc::SIGKILL);
    let _ = process::wait_for(pid);
    made
}

fn lines(
    lines: &[BindMappingLine],
    outside: impl Fn(u32) -> Result<u32, Cause>,
) -> Result<String, Cause> {
    let mut text = String::new();
    for line in lines {
        let seen_as = if line.inside { outside(line.seen_as)? } else { line.seen_as };
        text.push_str(&format!("{} {seen_as} {}\n", line.on_disk, line.size));
    }
    Ok(text)
}

fn furnish(pid: i32, proc: BorrowedFd<'_>, users: &str, groups: &str) -> Result<OwnedFd, Cause> {
    let write = |name: &str, text: &str| -> Result<(), Cause> {
        let path = std::ffi::CString::new(format!("{pid}/{name}")).map_err(|_| Errno::EINVAL)?;
        let file = fd::open_beneath(proc, &path, OFlags::WRONLY)?;
        let said = |error| {
            Cause::with_detail(errno(error), format!("{name} of the mount\u{2019}s own mapping"))
        };
        rustix::io::write(&file, text.as_bytes()).map(drop).map_err(said)
    };
    write("gid_map", groups)?;
    write("uid_map", users)?;
    // A link of procfs, to be followed.
    let path = format!("{pid}/ns/user");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, path, flags, Mode::empty()).map_err(|error| errno(error).into())
}
