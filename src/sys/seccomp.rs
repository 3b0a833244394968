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
///
/// # Errors
/// `EACCES` without both `no_new_privs` and `CAP_SYS_ADMIN`; `EINVAL` for a bad program.
///
/// Reference: seccomp(2), `SECCOMP_SET_MODE_FILTER`.
pub fn install(program: &[Instruction], flags: u32) -> Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| super::Errno::E2BIG)?,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: `filter` points to `len` instructions of the kernel's own layout that outlive the
    // call; the kernel copies them and writes nothing.
    let ret = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    };
    check(ret).map(drop)
}
