//! Capability sets of the calling thread. Nothing here allocates.
#![expect(unsafe_code, reason = "capset(2) takes a pointer to an array")]

use super::{Errno, Result, check};

/// The three sets that capset(2) changes, as bit masks (bit n is capability n).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sets {
    /// What is in force.
    pub effective: u64,
    /// What may be put in force.
    pub permitted: u64,
    /// What an executed file with inheritable capabilities may keep.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two 32-bit words per set.
const VERSION_3: u32 = 0x2008_0522;

fn low(set: u64) -> u32 {
    u32::try_from(set & u64::from(u32::MAX)).unwrap_or(0)
}

fn high(set: u64) -> u32 {
    u32::try_from(set >> 32).unwrap_or(0)
}

/// Sets the three sets.
///
/// # Errors
/// `EPERM` for a capability that is not in the permitted set now.
///
/// Reference: capset(2).
pub fn set(sets: &Sets) -> Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let data = [
        Data {
            effective: low(sets.effective),
            permitted: low(sets.permitted),
            inheritable: low(sets.inheritable),
        },
        Data {
            effective: high(sets.effective),
            permitted: high(sets.permitted),
            inheritable: high(sets.inheritable),
        },
    ];
    // SAFETY: both point to locals that outlive the call; version 3 means exactly two elements.
    let ret = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    check(ret).map(drop)
}

/// Removes from the bounding set every capability that is not in `keep`.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
///
/// Reference: prctl(2), `PR_CAPBSET_DROP`.
pub fn limit_bounding(keep: u64) -> Result<()> {
    for number in 0..64_u64 {
        if keep >> number & 1 == 1 {
            continue;
        }
        // SAFETY: integers only; the call changes a set of this thread.
        let ret = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        match check(libc::c_long::from(ret)) {
            Ok(_) => {}
            // The first number that this kernel does not know: there are no more.
            Err(Errno::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Empties the ambient set, then raises what is in `raise`.
///
/// # Errors
/// `EPERM` for a capability that is not both permitted and inheritable.
///
/// Reference: prctl(2), `PR_CAP_AMBIENT`.
pub fn set_ambient(raise: u64) -> Result<()> {
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
    // SAFETY: integers only; the call changes a set of this thread.
    let ret = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0) };
    check(libc::c_long::from(ret))?;
    for number in (0..64_u64).filter(|number| raise >> number & 1 == 1) {
        let raise = libc::PR_CAP_AMBIENT_RAISE;
        // SAFETY: integers only; the call changes a set of this thread.
        let ret = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, number, 0, 0) };
        check(libc::c_long::from(ret))?;
    }
    Ok(())
}

/// Keeps the permitted set across a change of user id, until execve.
///
/// # Errors
/// `EPERM` if the secure bits forbid it.
pub fn keep_across_ids() -> Result<()> {
    // SAFETY: integers only.
    let ret = unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
    check(libc::c_long::from(ret)).map(drop)
}
