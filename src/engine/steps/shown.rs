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

/// Mounts `tree`, which is nowhere yet, where the bundle has the root.
pub(in crate::engine) fn show(tree: BorrowedFd<'_>, at: &HostPath) -> Result<Shown, Cause> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let place = fd::open_resolved(rustix::fs::CWD, at.as_c_str(), flags, AS_IT_WAS)?;
    let shown = Shown { at: PathBuf::from(at.as_str()), mount: number(tree)? };
    mount::attach(tree, place.as_fd())?;
    Ok(shown)
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
