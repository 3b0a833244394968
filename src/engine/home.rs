//! The way back from a container's namespaces.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::plan::Namespace;
use crate::sys::{Errno, errno, ns};

/// Where this process was before it entered namespaces of a container.
#[derive(Debug)]
pub(super) struct Home {
    directory: OwnedFd,
    root: OwnedFd,
    /// The host's procfs.
    pub proc: OwnedFd,
    namespaces: Vec<(OwnedFd, Namespace)>,
}

impl Home {
    /// Remembers the way: all of it now, for from inside `/proc` is the container's.
    pub(super) fn remember(kinds: &[Namespace]) -> Result<Self, Errno> {
        let own = |kind: &Namespace| {
            // Of pid namespaces, entering changes only where children are born.
            let is_pid = *kind == Namespace::Pid;
            let link = if is_pid { "pid_for_children" } else { kind.link() };
            open(&format!("/proc/self/ns/{link}"), OFlags::RDONLY).map(|fd| (fd, *kind))
        };
        Ok(Self {
            directory: open(".", OFlags::PATH)?,
            root: open("/", OFlags::PATH)?,
            proc: open("/proc", OFlags::PATH)?,
            namespaces: kinds.iter().map(own).collect::<Result<_, _>>()?,
        })
    }

    /// Returns.
    pub(super) fn come(self) -> Result<(), Errno> {
        use std::os::fd::AsFd;
        for (namespace, kind) in &self.namespaces {
            ns::come_back(namespace.as_fd(), kind.flag())?;
        }
        // Entering a mount namespace leads to its root, which need not be that of a caller who
        // was put into a directory of it.
        let (here, home) = (rustix::fs::stat("/"), rustix::fs::fstat(&self.root));
        let (here, home) = (here.map_err(errno)?, home.map_err(errno)?);
        if (here.st_dev, here.st_ino) != (home.st_dev, home.st_ino) {
            rustix::process::fchdir(&self.root).map_err(errno)?;
            rustix::process::chroot(".").map_err(errno)?;
        }
        rustix::process::fchdir(&self.directory).map_err(errno)
    }
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}
