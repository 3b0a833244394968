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
    let (id, table) = table_around(file)?;
    find(&table, id).ok_or(Errno::ENOENT)
}

/// The id of the mount that `file` is on, and the table that it stands in.
fn table_around(file: BorrowedFd<'_>) -> Result<(u64, Vec<u8>), Errno> {
    let stat = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(errno)?;
    let table = std::fs::read("/proc/thread-self/mountinfo")
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    Ok((stat.stx_mnt_id, table))
}

/// The mount with this id in a table of mounts.
#[must_use]
pub fn find(table: &[u8], id: u64) -> Option<Mount> {
    lines(table).find(|line| line.id == id).map(|line| line.describe())
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
    let (id, table) = table_around(file)?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let place = rustix::fs::readlink(link, Vec::new()).map_err(errno)?;
    below(&table, id, place.as_bytes()).ok_or(Errno::ENOENT)
}

/// The mounts below `place`, which is on the mount `id`; `None` if that is not there.
fn below(table: &[u8], id: u64, place: &[u8]) -> Option<Vec<Below>> {
    let all: Vec<_> = lines(table).collect();
    all.iter().find(|line| line.id == id)?;
    let place = place.strip_suffix(b"/").unwrap_or(place);
    let is_within =
        |at: &[u8]| at.strip_prefix(place).is_some_and(|rest| rest.first() == Some(&b'/'));
    // A parent may stand behind its children: what is below is gone through generation by
    // generation.
    let (mut known, mut found) = (vec![id], Vec::new());
    let mut next = 0;
    while let Some(parent) = known.get(next).copied() {
        next = next.saturating_add(1);
        for line in all.iter().filter(|line| line.parent == parent && line.id != parent) {
            if parent != id || is_within(&unescape(line.mount_point)) {
                known.push(line.id);
                found.push(line.below());
            }
        }
    }
    Some(found)
}

fn lines(table: &[u8]) -> impl Iterator<Item = Line<'_>> {
    table.split(|byte| *byte == b'\n').filter_map(Line::parse)
}

/// One line, as it stands there: id, parent, device, root, mount point, flags, optional fields, `-`,
/// type, source, options.
struct Line<'a> {
    id: u64,
    parent: u64,
    root: &'a [u8],
    mount_point: &'a [u8],
    flags: &'a [u8],
    kind: &'a [u8],
    options: &'a [u8],
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let number = |field: &[u8]| str::from_utf8(field).ok()?.parse().ok();
        let mut fields = line.split(|byte| *byte == b' ');
        let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
        let (root, mount_point, flags) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let mut after = fields.skip_while(|field| *field != b"-");
        let (kind, options) = (after.nth(1)?, after.nth(1)?);
        Some(Self { id, parent, root, mount_point, flags, kind, options })
    }

    fn describe(&self) -> Mount {
        // A comma inside of an option is escaped, so those that are left separate options.
        let options = self.options.split(|byte| *byte == b',').map(unescape).collect();
        Mount { root: unescape(self.root), mount_point: unescape(self.mount_point), options }
    }

    fn below(&self) -> Below {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let flags = self.flags.split(|byte| *byte == b',').map(text).collect();
        Below { flags, kind: text(self.kind) }
    }
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
