//! Loading a seccomp filter. The next system call is already filtered.
#![expect(unsafe_code, reason = "seccomp(2) takes a pointer to the program")]

use super::{Result, check};

/// One instruction of classic BPF, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when true.
    pub jt: u8,
    /// Instructions to skip when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Loads `program` for this thread with the given `SECCOMP_FILTER_FLAG_*`. Allocates nothing.
/// Returns the number of the listener, if the flags ask for one, which is close-on-exec.
///
/// # Errors
/// `EACCES` without both `no_new_privs` and `CAP_SYS_ADMIN`; `EINVAL` for a bad program.
///
/// Reference: seccomp(2), `SECCOMP_SET_MODE_FILTER`.
pub fn install(program: &[Instruction], flags: u32) -> Result<i32> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| super::Errno::E2BIG)?,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: `filter` points to `len` instructions of the kernel's own layout that outlive the
    // call; the kernel copies them and writes nothing.
    let ret = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    };
    check(ret).map(|number| i32::try_from(number).unwrap_or(-1))
}

/// Asks whether this kernel has an action, given as `SECCOMP_RET_*`.
///
/// # Errors
/// `EOPNOTSUPP` if not; `EINVAL` before Linux 4.14.
///
/// Reference: seccomp(2), `SECCOMP_GET_ACTION_AVAIL`.
pub fn knows_action(action: u32) -> Result<()> {
    // SAFETY: the kernel reads one `u32` from a local that outlives the call.
    let ret = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    };
    check(ret).map(drop)
}

/// Asks whether this kernel has these flags of `SECCOMP_SET_MODE_FILTER`; nothing is loaded.
///
/// # Errors
/// `EINVAL` if not.
pub fn knows_flags(flags: u32) -> Result<()> {
    let nothing: *const libc::sock_fprog = std::ptr::null();
    // SAFETY: a null program is never loaded: the kernel looks at the flags, then fails to read it.
    let ret =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, nothing) };
    match check(ret) {
        Err(super::Errno::EFAULT) | Ok(_) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The flags of a filter, without those of a listener.
#[must_use]
pub fn without_listener(flags: u32) -> u32 {
    const NEW_LISTENER: u32 = 1 << 3;
    const WAIT_KILLABLE_RECV: u32 = 1 << 5;
    flags & !(NEW_LISTENER | WAIT_KILLABLE_RECV)
}
