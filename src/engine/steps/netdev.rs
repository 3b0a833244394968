//! Moves a network device of the host into the container's network namespace, with what it has.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::engine::cause::Cause;
use crate::sys::netlink::{Address, Device, Netlink};
use crate::sys::{Errno, errno, flags, ns};

/// A device that was moved, and how it was before.
#[derive(Debug)]
pub(in crate::engine) struct Moved {
    name: String,
    before: Device,
    addresses: Vec<Address>,
    there: Netlink,
    index: u32,
    home: OwnedFd,
}

/// Moves the device `name` to the namespace `to`, where it is called `called`; its permanent
/// addresses of global scope come along, and it is brought up.
pub(in crate::engine) fn give(
    name: &str,
    to: BorrowedFd<'_>,
    called: &str,
) -> Result<Moved, Cause> {
    let here = Netlink::open()?;
    let home = own_namespace()?;
    let there = open_in(to, home.as_fd())?;
    let before = here.device(name).map_err(|error| said(error, "there is no such device"))?;
    let addresses = here.addresses(before.index)?;
    let taken = there.indexes()?;
    let index = if taken.contains(&before.index) {
        taken.iter().max().copied().unwrap_or(0).saturating_add(1)
    } else {
        before.index
    };
    // Neither a name nor a namespace is changed under the traffic of the host.
    here.set_up(before.index, false)?;
    let moving = here.give_away(before.index, to, called, index);
    let moved = Moved { name: name.to_owned(), before, addresses, there, index, home };
    if let Err(error) = moving {
        // It may have moved, and only its new name was refused.
        if here.device(name).is_ok() {
            let _ = here.set_up(before.index, before.up);
        } else {
            moved.take_back();
        }
        return Err(said(error, "the container has one of that name, or it cannot be moved"));
    }
    match moved.furnish() {
        Ok(()) => Ok(moved),
        Err(error) => {
            moved.take_back();
            Err(error.into())
        }
    }
}

impl Moved {
    fn furnish(&self) -> Result<(), Errno> {
        for address in &self.addresses {
            self.there.add_address(self.index, address)?;
        }
        self.there.set_up(self.index, true)
    }

    /// Gives the device back to the host, as it was: but for routes, which the kernel has dropped.
    pub(in crate::engine) fn take_back(self) {
        let _ = self.there.set_up(self.index, false);
        let home = self.home.as_fd();
        let _ = self.there.give_away(self.index, home, &self.name, self.before.index);
        let Ok(here) = Netlink::open() else { return };
        for address in &self.addresses {
            let _ = here.add_address(self.before.index, address);
        }
        let _ = here.set_up(self.before.index, self.before.up);
    }
}

fn said(error: Errno, what: &str) -> Cause {
    Cause::with_detail(error, what.to_owned())
}

fn own_namespace() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(c"/proc/self/ns/net", flags, Mode::empty()).map_err(errno)
}

/// A socket in another network namespace; this process is back in its own afterwards.
fn open_in(namespace: BorrowedFd<'_>, home: BorrowedFd<'_>) -> Result<Netlink, Errno> {
    ns::enter(namespace, flags::ns::NET)?;
    let opened = Netlink::open();
    ns::enter(home, flags::ns::NET)?;
    opened
}
