//! Network devices, over a netlink socket: looked up, moved, named, given addresses.
//!
//! A socket belongs to the network namespace that it was opened in, wherever its process goes.
//!
//! Reference: netlink(7), rtnetlink(7).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::{Errno, Result, errno};

/// `<linux/rtnetlink.h>` and `<linux/netlink.h>`.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const CREATE_NEW: u16 = 0x600;
/// `<linux/if_link.h>` and `<linux/if_addr.h>`.
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NEW_IFINDEX: u16 = 49;
const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u32 = 0x80;
const RT_SCOPE_UNIVERSE: u8 = 0;
const IFF_UP: u32 = 1;

/// Bytes of a message's header.
const HEADER: usize = 16;

/// A network device of a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its number in the namespace.
    pub index: u32,
    /// Whether it is up.
    pub up: bool,
}

/// An address of a device, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix: u8,
    /// `IFA_ADDRESS`, `IFA_LOCAL` and `IFA_BROADCAST`, with their values.
    parts: Vec<(u16, Vec<u8>)>,
}

/// A socket to the devices of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens one in the network namespace that this process is in.
    ///
    /// # Errors
    /// What socket(2) says.
    pub fn open() -> Result<Self> {
        // Protocol 0 of this family is `NETLINK_ROUTE`.
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, None).map(Self).map_err(errno)
    }

    /// The device of this name.
    ///
    /// # Errors
    /// `ENODEV` if there is none.
    pub fn device(&self, name: &str) -> Result<Device> {
        let body = Body::link(0, 0, 0).text(IFLA_IFNAME, name);
        let replies = self.ask(RTM_GETLINK, ACK, &body)?;
        let found = replies.iter().find(|reply| reply.kind == RTM_NEWLINK);
        found.and_then(Reply::device).ok_or(Errno::ENODEV)
    }

    /// The numbers of all devices.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn indexes(&self) -> Result<Vec<u32>> {
        let replies = self.ask(RTM_GETLINK, DUMP, &Body::link(0, 0, 0))?;
        Ok(replies.iter().filter_map(Reply::device).map(|device| device.index).collect())
    }

    /// The addresses of a device that are permanent and of global scope.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        let replies = self.ask(RTM_GETADDR, DUMP, &Body::address(0, 0, 0))?;
        Ok(replies.iter().filter_map(|reply| reply.address(index)).collect())
    }

    /// Takes a device down, or brings it up.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_ADMIN` over the namespace.
    pub fn set_up(&self, index: u32, up: bool) -> Result<()> {
        let flags = if up { IFF_UP } else { 0 };
        self.ask(RTM_NEWLINK, ACK, &Body::link(index, flags, IFF_UP)).map(drop)
    }

    /// Moves a device that is down into another network namespace, where it is called `name` (the
    /// kernel puts a number in the place of `%d`) and has the number `there`.
    ///
    /// # Errors
    /// `EEXIST` if there is one of that name already, `EBUSY` while it is up, `EINVAL` if it
    /// cannot be moved.
    pub fn give_away(&self, index: u32, to: BorrowedFd<'_>, name: &str, there: u32) -> Result<()> {
        let namespace = u32::try_from(to.as_raw_fd()).map_err(|_| Errno::EBADF)?;
        let body = Body::link(index, 0, 0)
            .text(IFLA_IFNAME, name)
            .bytes(IFLA_NET_NS_FD, &namespace.to_ne_bytes())
            .bytes(IFLA_NEW_IFINDEX, &there.to_ne_bytes());
        self.ask(RTM_NEWLINK, ACK, &body).map(drop)
    }

    /// Gives a device an address.
    ///
    /// # Errors
    /// `EEXIST` if it has it already.
    pub fn add_address(&self, index: u32, address: &Address) -> Result<()> {
        let mut body = Body::address(address.family, address.prefix, index);
        for (kind, value) in &address.parts {
            body = body.bytes(*kind, value);
        }
        self.ask(RTM_NEWADDR, ACK | CREATE_NEW, &body).map(drop)
    }

    /// Sends one request and hears all replies to it.
    fn ask(&self, kind: u16, flags: u16, body: &Body) -> Result<Vec<Reply>> {
        let length = u32::try_from(HEADER.saturating_add(body.0.len())).unwrap_or(u32::MAX);
        let mut message = Vec::with_capacity(HEADER.saturating_add(body.0.len()));
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        // One request at a time: the number is always the same, and so is the reply's.
        message.extend_from_slice(&1_u32.to_ne_bytes());
        message.extend_from_slice(&0_u32.to_ne_bytes());
        message.extend_from_slice(&body.0);
        rustix::net::send(self.0.as_fd(), &message, SendFlags::empty()).map_err(errno)?;
        let mut replies = Vec::new();
        let mut buffer = vec![0_u8; 64 << 10];
        loop {
            let (got, _) =
                rustix::net::recv(self.0.as_fd(), buffer.as_mut_slice(), RecvFlags::TRUNC)
                    .map_err(errno)?;
            let mut left = buffer.get(..got).ok_or(Errno::EMSGSIZE)?;
            if left.is_empty() {
                return Err(Errno::EPROTO);
            }
            while let Some((reply, rest)) = Reply::split(left) {
                left = rest;
                match reply.kind {
                    NLMSG_DONE => return Ok(replies),
                    NLMSG_ERROR => return reply.error().map(|()| replies),
                    _ => replies.push(reply),
                }
            }
        }
    }
}

/// What follows the header: a fixed part, then attributes.
struct Body(Vec<u8>);

impl Body {
    /// `struct ifinfomsg`.
    fn link(index: u32, flags: u32, change: u32) -> Self {
        let mut bytes = vec![0; 4];
        for number in [index, flags, change] {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
        Self(bytes)
    }

    /// `struct ifaddrmsg`.
    fn address(family: u8, prefix: u8, index: u32) -> Self {
        let mut bytes = vec![family, prefix, 0, RT_SCOPE_UNIVERSE];
        bytes.extend_from_slice(&index.to_ne_bytes());
        Self(bytes)
    }

    fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(aligned(self.0.len()), 0);
        self
    }

    fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// One message of the kernel's.
struct Reply {
    kind: u16,
    body: Vec<u8>,
}

impl Reply {
    /// The first message, and what follows it.
    fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let kind = u16_at(bytes, 4)?;
        let body = bytes.get(HEADER..length)?.to_vec();
        Some((Self { kind, body }, bytes.get(aligned(length)..).unwrap_or_default()))
    }

    /// What an acknowledgement says: 0, or a negative number.
    fn error(&self) -> Result<()> {
        let number = u32_at(&self.body, 0).ok_or(Errno::EPROTO)?;
        match i32::from_ne_bytes(number.to_ne_bytes()) {
            0 => Ok(()),
            number => Err(Errno::from_raw(number.saturating_neg())),
        }
    }

    fn device(&self) -> Option<Device> {
        let index = u32_at(&self.body, 4)?;
        (self.kind == RTM_NEWLINK)
            .then_some(Device { index, up: u32_at(&self.body, 8)? & IFF_UP != 0 })
    }

    /// The address, if it is one of this device that may be taken along.
    fn address(&self, index: u32) -> Option<Address> {
        let [family, prefix, flags, scope, ..] = *self.body.as_slice() else { return None };
        if self.kind != RTM_NEWADDR || u32_at(&self.body, 4)? != index {
            return None;
        }
        let attributes = self.attributes(8);
        // Newer flags do not fit the old field.
        let wide = attributes.iter().find(|(kind, _)| *kind == IFA_FLAGS);
        let flags = wide.and_then(|(_, value)| u32_at(value, 0)).unwrap_or(flags.into());
        if flags & IFA_F_PERMANENT == 0 || scope != RT_SCOPE_UNIVERSE {
            return None;
        }
        let parts = attributes.into_iter().filter(|(kind, _)| [1, 2, 4].contains(kind));
        Some(Address { family, prefix, parts: parts.collect() })
    }

    fn attributes(&self, from: usize) -> Vec<(u16, Vec<u8>)> {
        let mut left = self.body.get(from..).unwrap_or_default();
        let mut found = Vec::new();
        while let (Some(length), Some(kind)) = (u16_at(left, 0), u16_at(left, 2)) {
            let length = usize::from(length);
            let Some(value) = left.get(4..length) else { break };
            found.push((kind, value.to_vec()));
            left = left.get(aligned(length)..).unwrap_or_default();
        }
        found
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*field))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_ne_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_the_first_and_a_missing_one_is_said_to_be() {
        let netlink = Netlink::open().unwrap();

        assert_eq!(netlink.device("lo").unwrap().index, 1);
        assert!(netlink.indexes().unwrap().contains(&1));
        assert_eq!(netlink.device("no-such"), Err(Errno::ENODEV));
    }

    #[test]
    fn an_address_of_the_host_alone_is_not_taken_along() {
        let netlink = Netlink::open().unwrap();

        assert_eq!(netlink.addresses(1).unwrap(), []);
    }
}
