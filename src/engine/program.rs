//! Looks the program up in the finished root, so that a missing one fails `create` with the
//! words that engines look for.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, ResolveFlags};

use super::cause::Cause;
use crate::plan::ProgramPlan;
use crate::plan::text::RootedPath;
use crate::sys::{Errno, errno, fd};

/// Checks that one of the candidates is a file that someone may execute.
///
/// Whether *this* user may is known to the kernel alone, at execve.
pub(super) fn check(root: BorrowedFd<'_>, program: &ProgramPlan) -> Result<(), Cause> {
    let name = program.arguments.first().map_or("", |text| text.as_str());
    let mut best: Option<Cause> = None;
    for candidate in &program.candidates {
        let path = if candidate.as_str().starts_with('/') {
            RootedPath::new(candidate.as_str())
        } else {
            RootedPath::new(&format!("{}/{candidate}", program.directory))
        };
        let path = path.map_err(|_| Errno::EINVAL)?;
        match examine(root, &path) {
            Ok(()) => return Ok(()),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(Errno::EISDIR) => best = Some(said(Errno::EACCES, name, "is a directory")),
            Err(Errno::EACCES) => best = Some(said(Errno::EACCES, name, "permission denied")),
            Err(Errno::ELOOP) => {
                best = Some(said(Errno::ELOOP, name, "too many levels of symbolic links"));
            }
            Err(error) => best = Some(error.into()),
        }
    }
    let missing = if name.contains('/') {
        "no such file or directory"
    } else {
        "executable file not found in $PATH"
    };
    Err(best.unwrap_or_else(|| said(Errno::ENOENT, name, missing)))
}

fn said(errno: Errno, name: &str, what: &str) -> Cause {
    Cause::with_detail(errno, format!("exec: \"{name}\": {what}"))
}

fn examine(root: BorrowedFd<'_>, path: &RootedPath) -> Result<(), Errno> {
    // No link of procfs is followed under this rule either, but it is told apart from a loop.
    let file = match fd::open_resolved(root, path.as_c_str(), OFlags::PATH, ResolveFlags::IN_ROOT) {
        // A link of procfs: only the process itself can follow it.
        Err(Errno::EXDEV) => return Ok(()),
        other => other?,
    };
    let stat = rustix::fs::fstat(&file).map_err(errno)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::EISDIR),
        FileType::RegularFile if stat.st_mode & 0o111 != 0 => Ok(()),
        FileType::RegularFile
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(Errno::EACCES),
    }
}
