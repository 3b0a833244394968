//! Looking into a process that is stopped for the moment.
#![expect(unsafe_code, reason = "ptrace(2) and waitpid(2) have no wrapper that fits")]

use super::{Errno, Result, check};

/// One instruction of classic BPF: `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// How many instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// `PTRACE_SECCOMP_GET_FILTER` of `linux/ptrace.h`.
const SECCOMP_GET_FILTER: u32 = 0x420c;
/// `PTRACE_SEIZE`, `PTRACE_INTERRUPT` and `PTRACE_DETACH`.
const SEIZE: u32 = 0x4206;
const INTERRUPT: u32 = 0x4207;
const DETACH: u32 = 17;

/// A thread that stands still until this is dropped. One that was stopped before stays so.
#[derive(Debug)]
pub struct Stopped {
    tid: i32,
}

impl Stopped {
    /// Stops a thread, frozen ones too.
    ///
    /// # Errors
    /// `EPERM` without the right to trace it, or if another process does; `ESRCH` if it is gone.
    ///
    /// Reference: ptrace(2), `PTRACE_SEIZE` and `PTRACE_INTERRUPT`.
    pub fn new(tid: i32) -> Result<Self> {
        request(SEIZE, tid)?;
        let stopped = Self { tid };
        request(INTERRUPT, tid)?;
        let mut status = 0;
        loop {
            // SAFETY: `status` is a local that the kernel fills.
            let ret = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
            match check(libc::c_long::from(ret)) {
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
                Ok(_) if libc::WIFSTOPPED(status) => return Ok(stopped),
                Ok(_) => return Err(Errno::ESRCH),
            }
        }
    }

    /// The thread's filter number `index`, counted from the newest; `None` if it has fewer.
    ///
    /// # Errors
    /// `EACCES` without `CAP_SYS_ADMIN`, `EIO` on a kernel that hands out none.
    ///
    /// Reference: ptrace(2), `PTRACE_SECCOMP_GET_FILTER`.
    pub fn filter(&self, index: usize) -> Result<Option<Vec<Instruction>>> {
        let nowhere: *mut Instruction = std::ptr::null_mut();
        // SAFETY: with a null address the kernel only says how many instructions there are.
        let count = unsafe {
            libc::syscall(libc::SYS_ptrace, SECCOMP_GET_FILTER, self.tid, index, nowhere)
        };
        let count = match check(count) {
            // No such number, or no filter at all.
            Err(Errno::ENOENT | Errno::EINVAL) => return Ok(None),
            other => usize::try_from(other?).unwrap_or(0),
        };
        let mut program = vec![Instruction::default(); count];
        let into = program.as_mut_ptr();
        // SAFETY: the kernel writes as many instructions as it just said, and the thread stands
        // still, so that their number is the same; `program` has room for them.
        let ret =
            unsafe { libc::syscall(libc::SYS_ptrace, SECCOMP_GET_FILTER, self.tid, index, into) };
        check(ret).map(|_| Some(program))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may be gone: then there is nothing to let go.
        let _ = request(DETACH, self.tid);
    }
}

fn request(what: u32, tid: i32) -> Result<()> {
    // SAFETY: these requests take no address and no data, and read no memory of this process.
    let ret = unsafe { libc::syscall(libc::SYS_ptrace, what, tid, 0_usize, 0_usize) };
    check(ret).map(drop)
}
