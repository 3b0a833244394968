//! Sockets between the two processes of a launch, and between commands.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use super::{Errno, Result, errno};

/// Two connected sockets; messages keep their bounds; both close-on-exec.
///
/// # Errors
/// `EMFILE` above the limit of open files.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(errno)
}

/// Sends one message. Allocates nothing.
///
/// # Errors
/// `EPIPE` when the other side is gone.
pub fn send(socket: BorrowedFd<'_>, message: &[u8]) -> Result<()> {
    loop {
        match rustix::net::send(socket, message, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(drop).map_err(errno),
        }
    }
}

/// Whether the other side has ended without reading all that was sent to it; says so once.
///
/// Reference: socket(7), `SO_ERROR`; unix(7), `ECONNRESET`.
pub fn went_unread(socket: BorrowedFd<'_>) -> bool {
    matches!(rustix::net::sockopt::socket_error(socket), Ok(Err(rustix::io::Errno::CONNRESET)))
}

/// Receives one message; `Ok(0)` means that the other side is gone. Allocates nothing.
///
/// # Errors
/// What recv(2) says, but not `EINTR`.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            // A peer that ended with unread data resets the connection. The kernel says so once,
            // and before it hands out what the peer had sent: its last words are still to come.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            other => return other.map(|(_, got)| got).map_err(errno),
        }
    }
}

/// As [`receive`], but waits for so long only.
///
/// # Errors
/// `ETIMEDOUT` when nothing came.
pub fn receive_within(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    patience: Duration,
) -> Result<usize> {
    let timeout = rustix::event::Timespec::try_from(patience).map_err(|_| Errno::EINVAL)?;
    let mut events =
        [rustix::event::PollFd::from_borrowed_fd(socket, rustix::event::PollFlags::IN)];
    match rustix::event::poll(&mut events, Some(&timeout)).map_err(errno)? {
        0 => Err(Errno::ETIMEDOUT),
        _ => receive(socket, buffer),
    }
}

/// Sends `message` together with one descriptor. Allocates nothing.
///
/// # Errors
/// `EPIPE` when the other side is gone.
pub fn send_fd(socket: BorrowedFd<'_>, message: &[u8], passed: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [passed];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::ENOBUFS);
    }
    let data = [IoSlice::new(message)];
    rustix::net::sendmsg(socket, &data, &mut control, SendFlags::NOSIGNAL).map(drop).map_err(errno)
}

/// Receives one message that carries a descriptor. Allocates nothing.
///
/// # Errors
/// `EBADMSG` when no descriptor came with it, `EPIPE` when the other side is gone.
pub fn receive_fd(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<OwnedFd> {
    match receive_maybe_fd(socket, buffer)? {
        (_, Some(fd)) => Ok(fd),
        (0, None) => Err(Errno::EPIPE),
        (_, None) => Err(Errno::EBADMSG),
    }
}

/// Receives one message, and the descriptor that came with it, if one did; a length of 0 means
/// that the other side is gone. Allocates nothing.
///
/// # Errors
/// What recvmsg(2) says, but not `EINTR`.
pub fn receive_maybe_fd(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [IoSliceMut::new(buffer)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = loop {
        match rustix::net::recvmsg(socket, &mut data, &mut control, flags) {
            // As for `receive`: the last words of a peer that ended are still to come.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            other => break other.map_err(errno)?,
        }
    };
    let mut rights = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            rights = fds.next();
        }
    }
    Ok((got.bytes, rights))
}

/// The address of `name` in the directory `dir`: through its descriptor, so that neither a
/// long path nor a swapped one matters.
fn address_in(dir: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    SocketAddrUnix::new(path.as_bytes()).map_err(errno)
}

fn seqpacket() -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(errno)
}

/// Listens on the new socket `name` in `dir`.
///
/// # Errors
/// `EADDRINUSE` if the name exists.
///
/// Reference: unix(7).
pub fn listen_in(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let socket = seqpacket()?;
    // The file takes the mode of the socket: nobody else's, whatever the umask is.
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(0o600)).map_err(errno)?;
    rustix::net::bind(&socket, &address_in(dir, name)?).map_err(errno)?;
    rustix::net::listen(&socket, 1).map_err(errno)?;
    Ok(socket)
}

/// Takes the datagrams that are sent to the new socket `name` in `dir`, by whoever can reach it.
///
/// # Errors
/// `EADDRINUSE` if the name exists.
pub fn take_datagrams_in(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let socket = datagram()?;
    rustix::net::bind(&socket, &address_in(dir, name)?).map_err(errno)?;
    let everybody = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::chmodat(dir, name, everybody, rustix::fs::AtFlags::empty()).map_err(errno)?;
    Ok(socket)
}

/// A socket whose datagrams go to `path`; one that begins with `@` is a name without a file.
///
/// # Errors
/// `ENOENT`, `ECONNREFUSED` when nobody takes them.
///
/// Reference: unix(7), "abstract".
pub fn send_datagrams_to(path: &[u8]) -> Result<OwnedFd> {
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name),
        None => SocketAddrUnix::new(path),
    };
    let socket = datagram()?;
    rustix::net::connect(&socket, &address.map_err(errno)?).map_err(errno)?;
    Ok(socket)
}

/// Never waits.
fn datagram() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(errno)
}

/// Connects to the socket `name` in `dir`.
///
/// # Errors
/// `ECONNREFUSED` when nobody listens any more, `ENOENT` if there is no such name.
pub fn connect_in(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let socket = seqpacket()?;
    rustix::net::connect(&socket, &address_in(dir, name)?).map_err(errno)?;
    Ok(socket)
}

/// Accepts one connection; close-on-exec. Allocates nothing.
///
/// # Errors
/// What accept(2) says, but not `EINTR`.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    loop {
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map_err(errno),
        }
    }
}

/// Connects to the stream socket at `path` on the host, which may take this long to accept, and
/// as long again for each message.
///
/// # Errors
/// As [`connect_stream`]; `EAGAIN` when it took longer.
///
/// Reference: socket(7), `SO_SNDTIMEO`.
pub fn connect_stream_within(path: &Path, patience: Duration) -> Result<OwnedFd> {
    let socket = stream()?;
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))
        .map_err(errno)?;
    let address = SocketAddrUnix::new(path).map_err(errno)?;
    rustix::net::connect(&socket, &address).map_err(errno)?;
    Ok(socket)
}

/// Sends all of `message` on a stream, and a descriptor with its first part.
///
/// # Errors
/// `EPIPE` when the other side is gone, `EAGAIN` when it took too long.
pub fn send_all_with_fd(
    socket: BorrowedFd<'_>,
    message: &[u8],
    passed: BorrowedFd<'_>,
) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [passed];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::ENOBUFS);
    }
    let data = [IoSlice::new(message)];
    let mut sent =
        rustix::net::sendmsg(socket, &data, &mut control, SendFlags::NOSIGNAL).map_err(errno)?;
    while let Some(rest) = message.get(sent..).filter(|rest| !rest.is_empty()) {
        match rustix::net::send(socket, rest, SendFlags::NOSIGNAL) {
            Ok(more) => sent = sent.saturating_add(more),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(errno(error)),
        }
    }
    Ok(())
}

fn stream() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(errno)
}

/// Connects to the stream socket at `path` on the host, as engines offer for a terminal.
///
/// # Errors
/// `ENOENT`, `ECONNREFUSED`, `ENAMETOOLONG` above 107 bytes.
pub fn connect_stream(path: &Path) -> Result<OwnedFd> {
    let socket = stream()?;
    let address = SocketAddrUnix::new(path).map_err(errno)?;
    rustix::net::connect(&socket, &address).map_err(errno)?;
    Ok(socket)
}
