//! A root that is mounted on the host: that of a container in the runtime's own mount namespace.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, OFlags, ResolveFlags, statx};
use rustix::mount::UnmountFlags;

use crate::engine::cause::Cause;
use crate::host::mountinfo::MOUNT_ID;
use crate::plan::text::HostPath;
use crate::store::Shown;
use crate::sys::{Errno, errno, fd, mount};

/// The path was followed when it was judged: a link that stands there now is somebody's race.
const AS_IT_WAS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);

/// What will be known of `tree`, which is nowhere yet, once it is mounted where the bundle has the
/// root: its number stays.
pub(in crate::engine) fn known(tree: BorrowedFd<'_>, at: &HostPath) -> Result<Shown, Cause> {
    Ok(Shown { at: PathBuf::from(at.as_str()), mount: number(tree)? })
}

/// Mounts it there.
pub(in crate::engine) fn show(tree: BorrowedFd<'_>, at: &HostPath) -> Result<(), Cause> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let place = fd::open_resolved(rustix::fs::CWD, at.as_c_str(), flags, AS_IT_WAS)?;
    Ok(mount::attach(tree, place.as_fd())?)
}

/// Takes it away again, with all that lies in it, if it is still on top there.
pub fn hide(shown: &Shown) {
    let Ok(at) = CString::new(shown.at.as_os_str().as_bytes()) else { return };
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let Ok(place) = fd::open_resolved(rustix::fs::CWD, &at, flags, AS_IT_WAS) else { return };
    if number(place.as_fd()) == Ok(shown.mount) {
        // Best effort: there is nobody who could do more about it.
        let link = format!("/proc/self/fd/{}", place.as_raw_fd());
        let _ = rustix::mount::unmount(link, UnmountFlags::DETACH);
    }
}

/// The kernel's number for the mount that this is on.
fn number(on: BorrowedFd<'_>) -> Result<u64, Errno> {
    statx(on, c"", AtFlags::EMPTY_PATH, MOUNT_ID).map(|found| found.stx_mnt_id).map_err(errno)
}
