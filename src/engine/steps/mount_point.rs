//! Makes what is missing of a path inside a root.
//!
//! Links of the image are followed inside the root only, also those that lead to nothing yet, one
//! component at a time: a link that appears in between leads nowhere else.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};

use crate::engine::cause::Cause;
use crate::plan::text::RootedPath;
use crate::sys::{Errno, errno, fd};

/// As many links as the kernel would follow.
const MOST_LINKS: u32 = 40;

/// A file or directory that was made as a mount point: its parent and its name.
#[derive(Debug)]
pub(in crate::engine) struct Made {
    parent: OwnedFd,
    name: CString,
    directory: bool,
}

impl Made {
    /// A directory.
    pub(in crate::engine) fn directory(parent: OwnedFd, name: CString) -> Self {
        Self { parent, name, directory: true }
    }

    /// An entry that is no directory.
    pub(in crate::engine) fn file(parent: OwnedFd, name: CString) -> Self {
        Self { parent, name, directory: false }
    }

    /// Removes it again, if nobody put anything into it.
    pub(in crate::engine) fn take_back(&self) {
        let flags = if self.directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let empty = self.directory
            || rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| stat.st_size == 0);
        if empty {
            let _ = rustix::fs::unlinkat(&self.parent, &self.name, flags);
        }
    }
}

/// Makes what is missing of the path `at`, and adds it to `made`, topmost first, also when the rest
/// fails.
///
/// What is made belongs to the host ids in `owner`, or to this process.
pub(in crate::engine) fn make(
    root: BorrowedFd<'_>,
    at: &RootedPath,
    file: bool,
    owner: Option<(u32, u32)>,
    made: &mut Vec<Made>,
) -> Result<(), Cause> {
    match fd::open_in_root(root, at.as_c_str(), OFlags::PATH) {
        Ok(_) => return Ok(()),
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let mut walk = Walk::new(at);
    while let Some(part) = walk.left.pop() {
        if part == ".." {
            walk.up();
            continue;
        }
        let name = CString::new(part.as_str()).map_err(|_| Errno::EINVAL)?;
        let parent = walk.here(root)?;
        match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                walk.follow(parent.as_fd(), &name)?;
                continue;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::NOENT) => {
                let directory = !(walk.left.is_empty() && file);
                if make_entry(parent.as_fd(), &name, directory)? {
                    let given = give(parent.as_fd(), &name, owner);
                    made.push(Made { parent, name, directory });
                    given?;
                }
            }
            Err(error) => return Err(errno(error).into()),
        }
        walk.down(&part);
    }
    Ok(())
}

/// A walk along a path whose links are replaced by what they say.
struct Walk {
    /// Where it is: a path from the root, without links.
    walked: Vec<String>,
    /// What is left to walk, the next component last.
    left: Vec<String>,
    links: u32,
}

impl Walk {
    fn new(at: &RootedPath) -> Self {
        let mut left: Vec<_> = at.components().map(str::to_owned).collect();
        left.reverse();
        Self { walked: Vec::new(), left, links: 0 }
    }

    /// The directory it is in. No link can be in its path, unless somebody put it there just now.
    fn here(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let path = format!("/{}", self.walked.join("/"));
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        fd::open_resolved(root, &path, OFlags::PATH | OFlags::DIRECTORY, resolve)
    }

    fn up(&mut self) {
        self.walked.pop();
    }

    fn down(&mut self, part: &str) {
        self.walked.push(part.to_owned());
    }

    fn follow(&mut self, parent: BorrowedFd<'_>, name: &CString) -> Result<(), Cause> {
        self.links = self.links.saturating_add(1);
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(errno)?;
        let target = target.into_string().map_err(|_| Errno::EINVAL)?;
        if target.starts_with('/') {
            self.walked.clear();
        }
        let parts = target.split('/').filter(|part| !part.is_empty() && *part != ".");
        self.left.extend(parts.rev().map(str::to_owned));
        Ok(())
    }
}

/// Makes one entry; `false` when somebody else made it meanwhile.
fn make_entry(parent: BorrowedFd<'_>, name: &CString, directory: bool) -> Result<bool, Cause> {
    let made = if directory {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    };
    match made {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(error) => Err(errno(error).into()),
    }
}

fn give(parent: BorrowedFd<'_>, name: &CString, owner: Option<(u32, u32)>) -> Result<(), Cause> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(parent, name, owner.0, owner.1, flags).map_err(|error| errno(error).into())
}
