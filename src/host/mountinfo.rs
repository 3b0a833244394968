//! Finds out how a mount was made: from the kernel directly, or from its table of mounts.
//!
//! Reference: `proc_pid_mountinfo(5)`.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, Statx, StatxFlags, statx};

use crate::sys::statmount::{self, Mount};
use crate::sys::{Errno, errno};

/// `STATX_MNT_ID_UNIQUE` of `linux/stat.h`, since Linux 6.8: an id that is never used again.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// What to ask statx(2) for, so that [`describe`] can use its answer.
pub const MOUNT_ID: StatxFlags = StatxFlags::MNT_ID.union(MNT_ID_UNIQUE);

/// Describes the mount that `file` is on; `known` is what statx(2) said of the file when asked
/// for [`MOUNT_ID`].
///
/// # Errors
/// `ENOENT` for a mount that is not below this process's root or not in its mount namespace,
/// and what reading `/proc/thread-self/mountinfo` gives.
pub fn describe(file: BorrowedFd<'_>, known: &Statx) -> Result<Mount, Errno> {
    if known.stx_mask & MNT_ID_UNIQUE.bits() != 0 {
        match statmount::describe(known.stx_mnt_id) {
            // Older kernels have less of this call, and filters may not know it: the table is
            // there always.
            Err(Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM) => {}
            described => return described,
        }
    }
    describe_from_table(file)
}

fn describe_from_table(file: BorrowedFd<'_>) -> Result<Mount, Errno> {
    let stat = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(errno)?;
    let table = std::fs::read("/proc/thread-self/mountinfo")
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    find(&table, stat.stx_mnt_id).ok_or(Errno::ENOENT)
}

/// The mount with this id in a table of mounts.
#[must_use]
pub fn find(table: &[u8], id: u64) -> Option<Mount> {
    table.split(|byte| *byte == b'\n').find_map(|line| {
        let first = line.split(|byte| *byte == b' ').next()?;
        let number: u64 = str::from_utf8(first).ok()?.parse().ok()?;
        if number == id { parse_line(line) } else { None }
    })
}

/// A mount below some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    /// Its flags, in the words of `proc_pid_mountinfo(5)`, such as `nosuid`.
    pub flags: Vec<String>,
    /// The type of its file system.
    pub kind: String,
}

/// Every mount below the one that `file` is on, as far as they lie below `file` too.
///
/// # Errors
/// `ENOENT` if the mount is not in the table, and what reading that gives.
pub fn mounts_below(file: BorrowedFd<'_>) -> Result<Vec<Below>, Errno> {
    let failed = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let stat = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(errno)?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let place = rustix::fs::readlink(link, Vec::new()).map_err(errno)?;
    let table = std::fs::read("/proc/thread-self/mountinfo").map_err(failed)?;
    below(&table, stat.stx_mnt_id, place.as_bytes()).ok_or(Errno::ENOENT)
}

/// The mounts below `place`, which is on the mount `id`; `None` if that is not there.
fn below(table: &[u8], id: u64, place: &[u8]) -> Option<Vec<Below>> {
    let number = |field: Option<&[u8]>| str::from_utf8(field?).ok()?.parse::<u64>().ok();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let parsed = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let (own, parent) = (number(fields.next())?, number(fields.next())?);
        let (at, flags) = (unescape(fields.nth(2)?), fields.next()?);
        let flags = flags.split(|byte| *byte == b',').map(text).collect();
        let kind = text(fields.skip_while(|field| *field != b"-").nth(1)?);
        Some((own, parent, at, Below { flags, kind }))
    };
    let lines: Vec<_> = table.split(|byte| *byte == b'\n').filter_map(parsed).collect();
    lines.iter().find(|(own, ..)| *own == id)?;
    let place = place.strip_suffix(b"/").unwrap_or(place);
    let is_within =
        |at: &[u8]| at.strip_prefix(place).is_some_and(|rest| rest.first() == Some(&b'/'));
    // A parent may stand behind its children: what is below is gone through generation by
    // generation.
    let (mut known, mut found) = (vec![id], Vec::new());
    let mut next = 0;
    while let Some(parent) = known.get(next).copied() {
        next = next.saturating_add(1);
        let children = lines.iter().filter(|(own, of, ..)| *of == parent && *own != parent);
        for (own, _, at, mount) in children {
            if parent != id || is_within(at) {
                known.push(*own);
                found.push(mount.clone());
            }
        }
    }
    Some(found)
}

/// One line: id, parent, device, root, mount point, flags, optional fields, `-`, type, source,
/// options.
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ').skip(3);
    let root = unescape(fields.next()?);
    let mount_point = unescape(fields.next()?);
    let options = fields.skip_while(|field| *field != b"-").nth(3)?;
    // A comma inside of an option is escaped, so those that are left separate options.
    let options = options.split(|byte| *byte == b',').map(unescape).collect();
    Some(Mount { root, mount_point, options })
}

/// Puts back what the kernel writes as a backslash and three octal digits.
#[must_use]
pub fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        let (byte, rest) = match text {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                ((a & 3) << 6 | (b & 7) << 3 | (c & 7), rest)
            }
            _ => (*first, rest),
        };
        plain.push(byte);
        text = rest;
    }
    plain
}

#[cfg(test)]
mod tests;
