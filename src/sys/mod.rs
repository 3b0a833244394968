//! System calls, typed and documented: the home of `unsafe`.
//!
//! Everything here is one kernel call, or a few that only make sense together. Nothing here
//! decides. Functions that the new process calls allocate nothing; their docs say so.

#[cfg(feature = "fault")]
pub mod alloc_guard;
pub mod arena;
pub mod arguments;
pub mod attempt;
pub mod bpf;
pub mod caps;
pub mod clone;
pub mod execute;
pub mod fd;
pub mod flags;
pub mod look;
mod memory;
pub mod mount;
pub mod net;
pub mod netlink;
pub mod notify;
pub mod ns;
pub mod placeholder;
pub mod process;
pub mod seccomp;
pub mod socket;
pub mod statmount;
pub mod task;
pub mod terminal;
pub mod trace;
pub mod trial;

pub use nix::errno::Errno;

/// What a system call gives: a value, or the number of an error.
pub type Result<T> = std::result::Result<T, Errno>;

/// Turns the kernel's `-1` into the number of its error.
fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret == -1 { Err(Errno::last()) } else { Ok(ret) }
}

/// The same error in the words of the other wrapper crate.
pub fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}
