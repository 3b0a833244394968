//! What the kernel says of one mount, without its whole table being read.
#![expect(unsafe_code, reason = "statmount(2) has no wrapper")]

use super::{Errno, Result, check};

/// A mount, as the kernel describes it. No text is escaped by the kernel here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// The directory of the file system that the mount shows; `/` for all of it.
    pub root: Vec<u8>,
    /// Where it is mounted, as this process's root sees it.
    pub mount_point: Vec<u8>,
    /// The file system's own options: a word, or `key=value`.
    pub options: Vec<Vec<u8>>,
}

/// The same number on every architecture but Alpha, as for every call since Linux 5.0.
const SYS_STATMOUNT: libc::c_long = 457;

/// `STATMOUNT_MNT_ROOT`, `STATMOUNT_MNT_POINT` and `STATMOUNT_OPT_ARRAY` of `linux/mount.h`.
const WANTED: u64 = 0x8 | 0x10 | 0x400;

/// `struct mnt_id_req`, as Linux 6.8 has it: later fields ask for other mount namespaces.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    mask: u64,
}

/// Where `struct statmount` keeps what is read here, in bytes, and where its texts begin.
const MASK_AT: usize = 8;
const ROOT_AT: usize = 104;
const POINT_AT: usize = 108;
const OPTION_COUNT_AT: usize = 128;
const OPTIONS_AT: usize = 132;
const TEXT_AT: usize = 512;

/// Most of an answer, in bytes: 500 layers with the longest of paths.
const MOST: usize = 4 * 1024 * 1024;

/// Describes the mount with this unique id (`STATX_MNT_ID_UNIQUE`) of the own mount namespace.
///
/// # Errors
/// `ENOSYS` before Linux 6.8, `EOPNOTSUPP` before 6.13, which did not give options one by one;
/// `ENOENT` for a mount that this process cannot see.
///
/// Reference: statmount(2).
pub fn describe(mount: u64) -> Result<Mount> {
    let size = u32::try_from(size_of::<Request>()).unwrap_or(0);
    let request = Request { size, spare: 0, mount, mask: WANTED };
    let mut buffer = vec![0_u8; 4096];
    loop {
        // SAFETY: `request` outlives the call, which only reads it; the kernel writes at most
        // `len` bytes into a buffer that is borrowed alone.
        let ret = unsafe {
            libc::syscall(
                SYS_STATMOUNT,
                &raw const request,
                buffer.as_mut_ptr(),
                buffer.len(),
                0_u32,
            )
        };
        match check(ret) {
            Ok(_) => return parse(&buffer).ok_or(Errno::EOPNOTSUPP),
            Err(Errno::EOVERFLOW) if buffer.len() < MOST => {
                buffer = vec![0; buffer.len().saturating_mul(4)];
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads an answer; `None` if it lacks something that was asked for.
fn parse(answer: &[u8]) -> Option<Mount> {
    let word = |at: usize| -> Option<u32> {
        let bytes = answer.get(at..at.checked_add(4)?)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    };
    let mask = answer.get(MASK_AT..MASK_AT + 8)?.try_into().ok().map(u64::from_ne_bytes)?;
    if mask & WANTED != WANTED {
        return None;
    }
    let texts = |at: usize| -> Option<_> {
        let begin = TEXT_AT.checked_add(usize::try_from(word(at)?).ok()?)?;
        Some(answer.get(begin..)?.split(|byte| *byte == 0).map(<[u8]>::to_vec))
    };
    let count = usize::try_from(word(OPTION_COUNT_AT)?).ok()?;
    Some(Mount {
        root: texts(ROOT_AT)?.next()?,
        mount_point: texts(POINT_AT)?.next()?,
        options: texts(OPTIONS_AT)?.take(count).collect(),
    })
}
