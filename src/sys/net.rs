//! The loopback device of a new network namespace.
#![expect(unsafe_code, reason = "interface ioctls take a struct by pointer")]

use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{Result, check, errno};

/// Brings `lo` up. Allocates nothing.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over the network namespace.
///
/// Reference: netdevice(7), `SIOCSIFFLAGS`.
pub fn loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(errno)?;
    // SAFETY: an interface request is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::try_from(*from).unwrap_or(0);
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(0);
    // SAFETY: the request is a local that outlives the call; this command only reads it.
    let ret = unsafe {
        libc::syscall(libc::SYS_ioctl, socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    };
    check(ret).map(drop)
}
