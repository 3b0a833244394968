//! What the supervisor does inside the namespaces of init, with the outer credentials.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{Supervisor, write_file};
use crate::engine::cause::Cause;
use crate::engine::home::Home;
use crate::engine::steps::{netdev, shown};
use crate::engine::terminal::Terminal;
use crate::engine::{chain, prepare, program, protect};
use crate::plan::mount::FsOption;
use crate::plan::text::{HostPath, RootedPath, Text};
use crate::plan::{IdMap, Namespace, Slot};
use crate::store::ranges::Range;
use crate::store::{Record, Shown};
use crate::sys::{Errno, errno, fd, mount, ns};

impl Supervisor<'_> {
    /// Goes into the mounts and the network of a container of the pod, until the new process is
    /// born there.
    pub(super) fn enter_pod(&mut self) -> Result<(), Cause> {
        self.keep_home()?;
        let pod = self.request.pod.ok_or(Errno::EBADF)?;
        protect::hide_arguments()?;
        let kinds = Namespace::Mount.flag() | Namespace::Network.flag();
        Ok(ns::enter(pod.process, kinds)?)
    }

    pub(super) fn enter_mounts(&mut self) -> Result<(), Cause> {
        self.make_own_mappings()?;
        self.keep_home()?;
        Ok(ns::enter(self.child()?.process.as_fd(), Namespace::Mount.flag())?)
    }

    fn keep_home(&mut self) -> Result<(), Cause> {
        let kinds = [Namespace::Mount, Namespace::Network, Namespace::Ipc];
        self.home = Some(Home::remember(&kinds)?);
        Ok(())
    }

    /// Over the root of init's mount namespace, or where the bundle has it there; outside, once
    /// init has taken the root along, where the bundle has it on the host.
    pub(super) fn attach_root(&mut self, over: &HostPath) -> Result<(), Cause> {
        if self.home.is_none() {
            let number = self.slot_number(Slot(0))?;
            let taken = fd::take_from(self.child()?.process.as_fd(), number)?;
            let shown = shown::known(taken.as_fd(), over)?;
            self.record_shown(&shown)?;
            self.shown = Some(shown);
            return shown::show(taken.as_fd(), over);
        }
        // The path was followed when it was judged: a link that stands there now is a race.
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let place = fd::open_resolved(rustix::fs::CWD, over.as_c_str(), flags, resolve)?;
        Ok(mount::attach(self.root()?, place.as_fd())?)
    }

    /// Records the mount before it is there: it outlives this process, and whoever deletes the
    /// container must find it.
    fn record_shown(&self, shown: &Shown) -> Result<(), Cause> {
        let Some((entry, record)) = self.request.recorded else { return Ok(()) };
        let record = Record { shown: Some(shown.clone()), ..record.clone() };
        entry.write_state(&record).map_err(|error| Cause::said(chain(&error)))
    }

    pub(super) fn enter_network_and_ipc(&mut self) -> Result<(), Cause> {
        let kinds = Namespace::Network.flag() | Namespace::Ipc.flag();
        Ok(ns::enter(self.child()?.process.as_fd(), kinds)?)
    }

    pub(super) fn keep_sysctl(&mut self) -> Result<(), Cause> {
        let proc = self.plan.steps.iter().find_map(|step| prepare::proc_slot(&step.action));
        let proc = self.slot(proc.ok_or(Errno::EBADF)?)?;
        self.sysctl = Some(fd::open_beneath(proc, c"sys", OFlags::PATH | OFlags::DIRECTORY)?);
        Ok(())
    }

    pub(super) fn set_net_sysctl(&self, name: &Text, value: &Text) -> Result<(), Cause> {
        if self.visits {
            return self.visit(|copy| copy.write_net_sysctl(name, value).map(|()| None)).map(drop);
        }
        self.write_net_sysctl(name, value)
    }

    fn write_net_sysctl(&self, name: &Text, value: &Text) -> Result<(), Cause> {
        let value = match name.as_str() {
            "net/ipv4/ping_group_range" => self.translate_groups(value.as_str())?,
            _ => value.as_str().to_owned(),
        };
        let sysctl = self.sysctl.as_ref().ok_or(Errno::EBADF)?;
        write_file(sysctl.as_fd(), name.as_c_str(), value.as_bytes())
    }

    /// The kernel takes these group ids as the writer's; the bundle means the container's. A
    /// last group above all that is mapped means "everyone".
    pub(super) fn translate_groups(&self, range: &str) -> Result<String, Cause> {
        let bad = || Cause::with_detail(Errno::EINVAL, format!("not two group ids: {range}"));
        let mut words = range.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(first)), Some(Ok(last)), None) = (words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        let ids = self.ids();
        if first > last || self.map.is_none() {
            return Ok(range.to_owned());
        }
        let highest = match self.map {
            Some(IdMap::Given { gids, .. }) => gids
                .iter()
                .find(|line| first >= line.inside && first - line.inside < line.size)
                .map_or(first, |line| line.inside.saturating_add(line.size - 1)),
            _ => Range::LENGTH - 1,
        };
        Ok(format!("{} {}", ids.group(first)?, ids.group(last.min(highest))?))
    }

    pub(super) fn mask(&mut self, at: &RootedPath, label: Option<&FsOption>) -> Result<(), Cause> {
        let root = self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::EBADF)?;
        self.masks.cover(root, at, label)
    }

    pub(super) fn pivot(&mut self) -> Result<(), Cause> {
        rustix::process::fchdir(self.root()?).map_err(errno)?;
        mount::pivot_root_here().map_err(|error| {
            // The root is on a mount of its own, and nothing above it is shared.
            if error != Errno::EINVAL {
                return error.into();
            }
            let why = "the host's root is a ramdisk, which cannot be left: put another mount over \
                       it before the engine is started";
            Cause::with_detail(error, why.to_owned())
        })?;
        Ok(mount::detach_here()?)
    }

    pub(super) fn come_home(&mut self) -> Result<(), Cause> {
        self.home.take().map_or(Ok(()), |home| Ok(home.come()?))
    }

    pub(super) fn move_net_device(&mut self, host: &Text, inside: &Text) -> Result<(), Cause> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        // A link of procfs, to be followed.
        let to = rustix::fs::openat(&self.child()?.proc, c"ns/net", flags, Mode::empty())
            .map_err(errno)?;
        let moved = netdev::give(host.as_str(), to.as_fd(), inside.as_str())?;
        self.net_devices.push(moved);
        Ok(())
    }

    pub(super) fn check_program(&mut self) -> Result<(), Cause> {
        program::check(self.root()?, &self.plan.program)
    }

    pub(super) fn make_terminal(
        &mut self,
        size: Option<(u16, u16)>,
        owner: (u32, u32),
    ) -> Result<(), Cause> {
        let host_owner = (self.ids().user(owner.0)?, self.ids().group(owner.1)?);
        let console = self.request.console.ok_or(Errno::EBADF)?;
        let child = self.child()?.socket.as_fd();
        let terminal = Terminal::open(self.root()?, size, host_owner)?;
        terminal.make_console(self.root()?)?;
        terminal.hand_over(console, child)
    }
}
