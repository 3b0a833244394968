//! Gives a root file system to the container's ids where neither it nor its layers can translate
//! them: FUSE, an overlay whose layers cannot be told, network file systems.
//!
//! A new overlay takes it as its lower layer and memory as its upper one, and every file is given
//! to its owner's id in the container. Only what describes a file is copied up, not what it holds,
//! so this costs a millisecond for some tens of files, and memory for each. Nothing of the engine's
//! is changed. Set-id bits and capabilities of files are lost: they grant nothing on this mount.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};

use super::overlay::uncover;
use super::rootfs::{change, said};
use crate::engine::cause::{Cause, Ids};
use crate::plan::mount::MountAttributes;
use crate::sys::flags::mount_attr;
use crate::sys::mount::{self, NewFilesystem};
use crate::sys::{Errno, errno};

/// More than this many files take too long, and too much memory, to be given away one by one.
const MOST_FILES: u32 = 400_000;
/// Deeper than this is refused: each level holds a descriptor.
const DEEPEST: u32 = 256;

/// What the overlay is made of.
#[derive(Debug)]
pub(in crate::engine) struct Parts {
    lower: OwnedFd,
    memory: OwnedFd,
}

impl Parts {
    /// Copies the root file system's mount, and makes the memory above it.
    pub(in crate::engine) fn make(rootfs: BorrowedFd<'_>) -> Result<Self, Cause> {
        let memory = NewFilesystem::open(c"tmpfs")?;
        memory.set(c"source", c"shifted")?;
        memory.set(c"mode", c"0700")?;
        let memory = memory.mount(mount_attr::NOSUID | mount_attr::NODEV)?;
        for name in [c"upper", c"work"] {
            rustix::fs::mkdirat(&memory, name, Mode::from_raw_mode(0o755)).map_err(errno)?;
        }
        Ok(Self { lower: mount::copy_tree(rootfs, c"", false)?, memory })
    }

    /// Puts them together where they are, attached nowhere: from Linux 6.15 on.
    pub(in crate::engine) fn stack(&self, attributes: MountAttributes) -> Result<OwnedFd, Cause> {
        let path = |of: &OwnedFd, below: &str| {
            let path = format!("/proc/self/fd/{}{below}", of.as_raw_fd());
            CString::new(path).map_err(|_| Errno::EINVAL)
        };
        let overlay = NewFilesystem::open(c"overlay")?;
        let set = |key: &CStr, value: &CStr| {
            overlay.set(key, value).map_err(|error| said(&overlay, error))
        };
        set(c"source", c"overlay")?;
        set(c"lowerdir", &path(&self.lower, "")?)?;
        set(c"upperdir", &path(&self.memory, "/upper")?)?;
        set(c"workdir", &path(&self.memory, "/work")?)?;
        // What is copied up is what describes a file; its bytes stay below.
        set(c"metacopy", c"on")?;
        set(c"index", c"off")?;
        set(c"xino", c"off")?;
        let writable = attributes.set & !mount_attr::RDONLY;
        overlay.mount(writable).map_err(|error| said(&overlay, error))
    }

    /// The same for older kernels: for that moment they lie on `top`, the root of this process's
    /// mount namespace, which nobody else looks at.
    pub(in crate::engine) fn stack_attached(
        &self,
        attributes: MountAttributes,
        top: BorrowedFd<'_>,
    ) -> Result<OwnedFd, Cause> {
        let mut attached = 0;
        let mut made = Ok(());
        for part in [&self.lower, &self.memory] {
            made = mount::attach(part.as_fd(), top).map_err(Cause::from);
            if made.is_err() {
                break;
            }
            attached += 1;
        }
        let tree = made.and_then(|()| self.stack(attributes));
        uncover(top, attached)?;
        tree
    }

    /// Gives all files of what they make to the container's ids, and closes it to writing.
    pub(in crate::engine) fn give(
        &self,
        tree: BorrowedFd<'_>,
        attributes: MountAttributes,
        ids: &Ids<'_>,
    ) -> Result<(), Cause> {
        give_root(self.lower.as_fd(), tree, ids)?;
        let top = open_directory(tree, c".")?;
        let mut left = MOST_FILES;
        give_all(top.as_fd(), ids, &mut left, DEEPEST)?;
        let wanted = MountAttributes { mapped: false, ..attributes };
        Ok(mount::set_attributes(tree, false, &change(wanted, None))?)
    }
}

/// The root is the upper layer's own: it gets what the image's has.
fn give_root(lower: BorrowedFd<'_>, tree: BorrowedFd<'_>, ids: &Ids<'_>) -> Result<(), Cause> {
    let stat = rustix::fs::fstat(lower).map_err(errno)?;
    let (uid, gid) = owner(stat.st_uid, stat.st_gid, ids);
    let root = open_directory(tree, c".")?;
    rustix::fs::fchmod(&root, Mode::from_raw_mode(stat.st_mode & 0o1777)).map_err(errno)?;
    Ok(rustix::fs::fchown(&root, uid, gid).map_err(errno)?)
}

fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty()).map_err(errno)
}

/// The host's numbers for ids of the image; `None` for one that does not exist inside, which stays
/// as it is and belongs to nobody there.
fn owner(uid: u32, gid: u32, ids: &Ids<'_>) -> (Option<Uid>, Option<Gid>) {
    (ids.user(uid).ok().map(Uid::from_raw), ids.group(gid).ok().map(Gid::from_raw))
}

/// Gives all that is below a directory away, its own entries first.
fn give_all(
    directory: BorrowedFd<'_>,
    ids: &Ids<'_>,
    left: &mut u32,
    depth: u32,
) -> Result<(), Cause> {
    let depth = depth.checked_sub(1).ok_or_else(|| too_much("nested too deeply"))?;
    // All names before the first change: what is copied up could be listed again.
    let mut names: Vec<CString> = Vec::new();
    let mut entries = Dir::read_from(directory).map_err(errno)?;
    while let Some(entry) = entries.read() {
        let entry = entry.map_err(errno)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    for name in names {
        *left = left.checked_sub(1).ok_or_else(|| too_much("of more than 400000 files"))?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(directory, &name, flags).map_err(errno)?;
        let (uid, gid) = owner(stat.st_uid, stat.st_gid, ids);
        rustix::fs::chownat(directory, &name, uid, gid, flags).map_err(errno)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = open_directory(directory, &name)?;
            give_all(below.as_fd(), ids, left, depth)?;
        }
    }
    Ok(())
}

fn too_much(what: &str) -> Cause {
    let detail = format!("the root file system is {what}, too much to be given to other ids");
    Cause::with_detail(Errno::E2BIG, detail)
}
