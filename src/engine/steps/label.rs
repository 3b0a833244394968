//! Steps of init that set what a security module knows it by: after its credentials, for the
//! kernel takes a label only from who opened the file with the credentials it still has; before
//! its filter, which may not let it write.
//!
//! The files are found through a procfs of init's own, which no mount of the bundle can cover:
//! a link, another mount or another file system on the way is an error. Nothing here allocates.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;

use crate::engine::prepare::InitPlan;
use crate::plan::labels::Label;
use crate::sys::{Errno, Result, errno, fd, process};

/// Longest label, with the word before it, in bytes. The kernel takes a page.
const MOST_BYTES: usize = 4095;

/// Sets a label of this process.
pub(in crate::engine) fn set(plan: &InitPlan<'_>, label: &Label) -> Result<()> {
    match label {
        Label::AppArmor(profile) => set_apparmor(plan, profile.as_c_str()),
        Label::Selinux(label) => set_selinux(plan, label.as_c_str()),
        Label::Keys(label) => label_keys(plan, label.as_c_str()),
    }
}

/// Has AppArmor confine the program by this profile.
fn set_apparmor(plan: &InitPlan<'_>, profile: &CStr) -> Result<()> {
    let file = open(plan.proc(), b"/attr/apparmor/exec")?;
    write(file.as_fd(), b"exec ", profile.to_bytes())?;
    // What is read back has the mode after it, or a line feed.
    let ends = |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\n' | 0));
    confirm(file.as_fd(), profile.to_bytes(), ends)
}

/// Has SELinux give the program this label.
fn set_selinux(plan: &InitPlan<'_>, label: &CStr) -> Result<()> {
    let file = open(plan.proc(), b"/attr/exec")?;
    write(file.as_fd(), b"", label.to_bytes())?;
    confirm(file.as_fd(), label.to_bytes(), |byte| matches!(byte, None | Some(b'\n' | 0)))
}

/// Has SELinux give this label to the keys that are made from here on.
fn label_keys(plan: &InitPlan<'_>, label: &CStr) -> Result<()> {
    let file = open(plan.proc(), b"/attr/keycreate")?;
    write(file.as_fd(), b"", label.to_bytes())
}

/// Opens a file of this process's own directory.
fn open(proc: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    let mut path = [0_u8; 64];
    let mut digits = [0_u8; 10];
    let mut left = process::own_pid();
    let mut first = digits.len();
    while first > 0 {
        first -= 1;
        if let Some(digit) = digits.get_mut(first) {
            *digit = b'0'.saturating_add(u8::try_from(left % 10).unwrap_or(0));
        }
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let parts = digits.iter().skip(first).chain(name);
    // The last byte stays: it ends the text.
    path.iter_mut().take(63).zip(parts).for_each(|(to, from)| *to = *from);
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::ENAMETOOLONG)?;
    let file = fd::open_beneath(proc, path, OFlags::RDWR)?;
    let kind = rustix::fs::fstatfs(&file).map_err(errno)?;
    if kind.f_type == rustix::fs::PROC_SUPER_MAGIC { Ok(file) } else { Err(Errno::ENODEV) }
}

/// Writes both parts at once: a second write would be another label.
fn write(file: BorrowedFd<'_>, first: &[u8], second: &[u8]) -> Result<()> {
    let mut buffer = [0_u8; MOST_BYTES];
    let length = first.len().saturating_add(second.len());
    let text = buffer.get_mut(..length).ok_or(Errno::ENAMETOOLONG)?;
    text.iter_mut().zip(first.iter().chain(second)).for_each(|(to, from)| *to = *from);
    let written = rustix::io::write(file, text).map_err(errno)?;
    if written == length { Ok(()) } else { Err(Errno::EIO) }
}

/// Reads back what was written; anything else means that it does not hold.
fn confirm(file: BorrowedFd<'_>, wanted: &[u8], ends: impl Fn(Option<&u8>) -> bool) -> Result<()> {
    let mut buffer = [0_u8; MOST_BYTES];
    let got = rustix::io::pread(file, &mut buffer, 0).map_err(errno)?;
    let found = buffer.get(..got).unwrap_or_default();
    let rest = found.strip_prefix(wanted).ok_or(Errno::EBADMSG)?;
    if ends(rest.first()) { Ok(()) } else { Err(Errno::EBADMSG) }
}
