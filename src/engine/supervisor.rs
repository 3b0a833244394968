//! The step loop of the parent: everything that is done with the outer credentials.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};

use super::prepare::{self, Conversation, InitPlan, StartGate};
use super::steps::rootfs::Made;
use super::steps::{attach, copy_up, mount as mounts, rootfs};
use super::wire::{self, Message};
use super::{LaunchError, Launched, Request, spawn};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::plan::action::MountPoint;
use crate::plan::mount::Filesystem;
use crate::plan::text::Text;
use crate::plan::{Action, Gate, IdMap, LaunchPlan, Namespace, Slot, Step, StepId, Track};
use crate::store::ranges::Range;
use crate::sys::{Errno, fd, ns, process};

/// Why a step failed: the kernel's number, and what else is known.
#[derive(Debug)]
pub(super) struct Cause {
    /// The kernel's number, if it was the kernel that refused.
    pub errno: Option<Errno>,
    /// A clause that says more.
    pub detail: Option<String>,
}

impl Cause {
    /// A cause with a clause.
    pub(super) fn with_detail(errno: Errno, detail: String) -> Self {
        Self { errno: Some(errno), detail: Some(detail) }
    }

    /// A cause that is a sentence of its own.
    pub(super) fn said(detail: String) -> Self {
        Self { errno: None, detail: Some(detail) }
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self { errno: Some(errno), detail: None }
    }
}

/// How ids inside become ids of the host, while the supervisor builds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids<'fd> {
    map: Option<&'fd IdMap>,
    base: u32,
    /// The container's user namespace, for mounts whose ids are translated.
    pub mapping: Option<BorrowedFd<'fd>>,
}

impl Ids<'_> {
    /// The host's number for a user inside.
    pub(super) fn user(&self, id: u32) -> Result<u32, Cause> {
        self.look_up(id, true)
    }

    /// The host's number for a group inside.
    pub(super) fn group(&self, id: u32) -> Result<u32, Cause> {
        self.look_up(id, false)
    }

    fn look_up(&self, id: u32, user: bool) -> Result<u32, Cause> {
        let lines = match self.map {
            None => return Ok(id),
            Some(IdMap::OwnRange) if id < Range::LENGTH => return Ok(self.base.saturating_add(id)),
            Some(IdMap::OwnRange) => None,
            Some(IdMap::Given { uids, gids }) => Some(if user { uids } else { gids }),
        };
        lines
            .and_then(|lines| {
                lines.iter().find_map(|line| {
                    let offset = id.checked_sub(line.inside)?;
                    (offset < line.size).then(|| line.outside.saturating_add(offset))
                })
            })
            .ok_or_else(|| Cause::with_detail(Errno::EINVAL, format!("id {id} is not mapped")))
    }
}

/// The new process.
#[derive(Debug)]
struct Child {
    pid: i32,
    process: OwnedFd,
    /// Its directory in the host's procfs.
    proc: OwnedFd,
    /// The supervisor's end of the conversation.
    socket: OwnedFd,
}

/// The way back.
#[derive(Debug)]
struct Home {
    directory: OwnedFd,
    namespaces: Vec<(OwnedFd, Namespace)>,
}

/// A launch under way: what exists so far.
#[derive(Debug)]
pub(super) struct Supervisor<'plan> {
    plan: &'plan LaunchPlan,
    request: &'plan Request<'plan>,
    slots: Vec<Option<OwnedFd>>,
    dev: Option<Slot>,
    namespaces: Vec<(Namespace, OwnedFd)>,
    map: Option<&'plan IdMap>,
    range: Option<Range>,
    cgroup: Option<Cgroup>,
    rootfs: Option<OwnedFd>,
    root: Option<OwnedFd>,
    mapping: Option<OwnedFd>,
    child: Option<Child>,
    home: Option<Home>,
    sysctl: Option<OwnedFd>,
    masks: attach::Masks,
    made: Vec<Made>,
    /// What init reported when it was heard in passing.
    reported: Option<wire::Failure>,
}

impl<'plan> Supervisor<'plan> {
    pub(super) fn new(plan: &'plan LaunchPlan, request: &'plan Request<'plan>) -> Self {
        let map = plan.steps.iter().find_map(|step| {
            let Action::WriteIdMaps { ids } = &step.action else { return None };
            Some(ids)
        });
        Self {
            plan,
            request,
            slots: Vec::new(),
            dev: None,
            namespaces: Vec::new(),
            map,
            range: None,
            cgroup: None,
            rootfs: None,
            root: None,
            mapping: None,
            child: None,
            home: None,
            sysctl: None,
            masks: attach::Masks::default(),
            made: Vec::new(),
            reported: None,
        }
    }

    /// Carries out every step that is not init's; on failure takes all of it back.
    pub(super) fn run(mut self) -> Result<Launched, LaunchError> {
        let plan = self.plan;
        for (id, step) in plan.numbered().filter(|(_, step)| step.track != Track::Init) {
            let done = fault(id).map_err(Cause::from).and_then(|()| self.perform(&step.action));
            if let Err(cause) = done {
                return Err(self.fail(id, step, cause));
            }
        }
        self.finish()
    }

    fn finish(mut self) -> Result<Launched, LaunchError> {
        let (Some(child), Some(cgroup)) = (self.child.take(), self.cgroup.take()) else {
            return Err(LaunchError::Incomplete);
        };
        Ok(Launched {
            pid: child.pid,
            process: child.process,
            socket: child.socket,
            range: self.range,
            cgroup,
            made: std::mem::take(&mut self.made),
        })
    }

    /// Finds out what really failed, undoes everything, and says so.
    fn fail(&mut self, id: StepId, step: &'plan Step, cause: Cause) -> LaunchError {
        let (id, step, cause) = self.blame(id, step, cause);
        self.undo();
        LaunchError::step(id, step, cause)
    }

    /// When init has failed, the step at which the supervisor noticed is not the one to name.
    fn blame(&self, id: StepId, step: &'plan Step, cause: Cause) -> (StepId, &'plan Step, Cause) {
        let plan = self.plan;
        let report = self.reported.or_else(|| self.child.as_ref().and_then(last_words));
        let failed = report.and_then(|failure| Some((failure, plan.step(failure.step)?)));
        failed
            .map_or((id, step, cause), |(failure, step)| (failure.step, step, failure.errno.into()))
    }

    /// Takes back what exists: the process and all that lives in its namespaces, then what
    /// the host sees.
    fn undo(&mut self) {
        let _ = self.come_home();
        if let Some(child) = self.child.take() {
            let _ = process::signal(child.process.as_fd(), libc::SIGKILL);
            let _ = process::wait_for(child.pid);
        }
        self.slots.clear();
        self.root = None;
        for made in self.made.drain(..).rev() {
            made.take_back();
        }
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.remove(self.request.hierarchies);
        }
        if let Some(range) = self.range.take()
            && let Some(ranges) = self.request.ranges
        {
            let _ = ranges.release(range, &self.request.owner);
        }
    }

    fn perform(&mut self, action: &'plan Action) -> Result<(), Cause> {
        match action {
            Action::TakeIds => self.take_ids(),
            Action::MakeCgroup { cgroup } => self.make_cgroup(cgroup),
            Action::OpenRootfs { path } => {
                self.rootfs = Some(rootfs::open(path)?);
                Ok(())
            }
            Action::MakeMountPoint { at, kind } => self.make_mount_point(at, kind),
            Action::OpenNamespace { kind, path } => self.open_namespace(*kind, path),
            Action::CheckProgram => self.check_program(),
            Action::Spawn { namespaces } => self.spawn(namespaces),
            Action::Await { gate } => self.await_gate(*gate),
            Action::Open { .. } => Ok(wire::say_go(self.child()?.socket.as_fd())?),
            Action::WriteIdMaps { ids } => self.write_id_maps(ids),
            Action::CopyRootfs { attributes } => {
                let root = self.rootfs.as_ref().ok_or(Errno::EBADF)?;
                self.root = Some(rootfs::copy(root.as_fd(), *attributes, self.ids().mapping)?);
                Ok(())
            }
            Action::AssembleRootfs { overlay, attributes } => {
                self.root = Some(rootfs::assemble(overlay, *attributes, self.ids().mapping)?);
                Ok(())
            }
            Action::BuildMount { slot, filesystem, attributes } => {
                let built = mounts::build(filesystem, *attributes, &self.ids())?;
                if let Filesystem::Tmpfs { copy_up: Some(from), .. } = filesystem {
                    copy_up::copy(self.root()?, from, built.as_fd())?;
                }
                if matches!(filesystem, Filesystem::Dev(_)) {
                    self.dev = Some(*slot);
                }
                self.keep(*slot, built);
                Ok(())
            }
            Action::FetchMount { slot } => self.fetch(*slot),
            Action::EnterMounts => self.enter_mounts(),
            Action::AttachRoot => self.attach_root(),
            Action::Attach { slot, at, place } => {
                let owner = (self.ids().user(0)?, self.ids().group(0)?);
                attach::attach(self.root()?, self.slot(*slot)?, at, *place, owner)
            }
            Action::EnterNetworkAndIpc => self.enter_network_and_ipc(),
            Action::KeepSysctl => self.keep_sysctl(),
            Action::SetNetSysctl { name, value } => self.set_net_sysctl(name, value),
            Action::MakeTerminal { size, owner } => self.make_terminal(*size, *owner),
            Action::Mask { at } => self.mask(at),
            Action::MakeReadonly { at } => attach::make_readonly(self.root()?, at),
            Action::Pivot => self.pivot(),
            Action::ComeHome => self.come_home(),
            Action::RaiseLimit { limit } => {
                let pid = self.child()?.pid;
                Ok(process::set_limit_of(pid, limit.resource, limit.soft, limit.hard)?)
            }
            Action::SetOomScore { score } => {
                let proc = self.child()?.proc.as_fd();
                write_file(proc, c"oom_score_adj", score.to_string().as_bytes())
            }
            Action::MakeMountsPrivate
            | Action::JoinNamespace { .. }
            | Action::NewNamespaces { .. }
            | Action::BecomeRoot
            | Action::ForbidNamespaces
            | Action::LoopbackUp
            | Action::SetIpcSysctl { .. }
            | Action::SetHostname { .. }
            | Action::SetDomainname { .. }
            | Action::AwaitStart
            | Action::NewKeyring
            | Action::NewSession { .. }
            | Action::SetLimit { .. }
            | Action::SetUmask { .. }
            | Action::LimitBounding { .. }
            | Action::SetIds { .. }
            | Action::SetCapabilities { .. }
            | Action::ForbidNewPrivileges
            | Action::ChangeDirectory { .. }
            | Action::ResetSignals
            | Action::FindProgram
            | Action::CloseDescriptors { .. }
            | Action::LoadFilter { .. }
            | Action::Execute => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    fn ids(&self) -> Ids<'_> {
        Ids {
            map: self.map,
            base: self.range.map_or(0, Range::base),
            mapping: self.mapping.as_ref().map(AsFd::as_fd),
        }
    }

    fn child(&self) -> Result<&Child, Errno> {
        self.child.as_ref().ok_or(Errno::ESRCH)
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::EBADF)
    }

    fn slot(&self, slot: Slot) -> Result<BorrowedFd<'_>, Errno> {
        let kept = self.slots.get(usize::from(slot.0)).and_then(Option::as_ref);
        kept.map(AsFd::as_fd).ok_or(Errno::EBADF)
    }

    fn keep(&mut self, slot: Slot, built: OwnedFd) {
        let index = usize::from(slot.0);
        if self.slots.len() <= index {
            self.slots.resize_with(index.saturating_add(1), || None);
        }
        if let Some(place) = self.slots.get_mut(index) {
            *place = Some(built);
        }
    }

    fn take_ids(&mut self) -> Result<(), Cause> {
        let ranges = self.request.ranges.ok_or(Errno::EBADF)?;
        let range = ranges
            .take(&self.request.owner, None)
            .map_err(|error| Cause::said(super::chain(&error)))?;
        self.range = Some(range);
        Ok(())
    }

    fn make_cgroup(&mut self, plan: &crate::plan::cgroup::CgroupPlan) -> Result<(), Cause> {
        let hierarchies: &Hierarchies = self.request.hierarchies;
        let made = Cgroup::create(plan, self.request.id, hierarchies)
            .map_err(|error| Cause::said(super::chain(&error)))?;
        self.cgroup = Some(made);
        Ok(())
    }

    fn make_mount_point(
        &mut self,
        at: &crate::plan::text::RootedPath,
        kind: &MountPoint,
    ) -> Result<(), Cause> {
        let root = self.rootfs.as_ref().ok_or(Errno::EBADF)?;
        let file = match kind {
            MountPoint::Directory => false,
            MountPoint::AsSource { source } => {
                let stat = rustix::fs::stat(source.as_c_str())
                    .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
                FileType::from_raw_mode(stat.st_mode) != FileType::Directory
            }
        };
        self.made.extend(rootfs::make_mount_point(root.as_fd(), at, file, None)?);
        Ok(())
    }

    fn open_namespace(
        &mut self,
        kind: Namespace,
        path: &crate::plan::text::HostPath,
    ) -> Result<(), Cause> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path.as_c_str(), flags, Mode::empty())
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        if ns::kind(opened.as_fd())? != kind.flag() {
            let detail = format!("{path} is not a {} namespace", kind.word());
            return Err(Cause::with_detail(Errno::EINVAL, detail));
        }
        // Init finds it above all numbers that it uses itself.
        let floor = prepare::floor(self.plan, self.request.preserve);
        let placed = fd::duplicate_above(opened.as_fd(), floor)?;
        self.namespaces.push((kind, placed));
        Ok(())
    }

    fn spawn(&mut self, kinds: &[Namespace]) -> Result<(), Cause> {
        let floor = prepare::floor(self.plan, self.request.preserve);
        let Conversation { ours, theirs } = Conversation::new(floor)?;
        let listener = match self.request.listener {
            Some(listener) => Some(fd::duplicate_above(listener, floor)?),
            None => None,
        };
        let start = listener
            .as_ref()
            .map_or(StartGate::Supervisor, |socket| StartGate::Listener(socket.as_fd()));
        let pid_namespace = self.namespaces.iter().find(|(kind, _)| *kind == Namespace::Pid);
        if let Some((_, namespace)) = pid_namespace {
            // Joining one moves only the children: this process stays where it is.
            ns::enter(namespace.as_fd(), Namespace::Pid.flag())?;
        }
        let plan = InitPlan::new(
            self.plan,
            theirs.as_fd(),
            start,
            &self.namespaces,
            self.request.preserve,
        );
        let leaf = self.cgroup.as_ref().map(Cgroup::leaf_fd);
        let flags = kinds.iter().fold(0, |flags, kind| flags | kind.flag());
        let (pid, process) = spawn::init(&plan, &ours, flags, leaf)?;
        let proc = open_proc(pid);
        // Recorded before anything can fail: undo must know of the process.
        self.child = Some(Child {
            pid,
            process,
            proc: match proc {
                Ok(proc) => proc,
                Err(error) => {
                    let _ = process::wait_for(pid);
                    return Err(error.into());
                }
            },
            socket: ours,
        });
        if let Some(cgroup) = &self.cgroup {
            cgroup.join_v1(pid).map_err(|error| Cause::said(super::chain(&error)))?;
        }
        Ok(())
    }

    fn await_gate(&mut self, gate: Gate) -> Result<(), Cause> {
        match wire::hear(self.child()?.socket.as_fd())? {
            Message::Opened(opened) if opened == gate => {}
            Message::Opened(_) => return Err(Errno::EPROTO.into()),
            Message::Failed(failure) => {
                self.reported = Some(failure);
                return Err(failure.errno.into());
            }
            Message::Gone => {
                return Err(Cause::with_detail(
                    Errno::ECHILD,
                    "the new process ended without a word; was it killed?".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn write_id_maps(&mut self, ids: &IdMap) -> Result<(), Cause> {
        let base = self.range.map_or(0, Range::base);
        let child = self.child()?;
        let (users, groups) = match ids {
            IdMap::OwnRange => {
                let line = format!("0 {base} {}", Range::LENGTH);
                (line.clone(), line)
            }
            IdMap::Given { uids, gids } => (lines(uids), lines(gids)),
        };
        write_file(child.proc.as_fd(), c"gid_map", groups.as_bytes())?;
        write_file(child.proc.as_fd(), c"uid_map", users.as_bytes())?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mapping = rustix::fs::openat(&child.proc, c"ns/user", flags, Mode::empty())
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        self.mapping = Some(mapping);
        Ok(())
    }

    fn fetch(&mut self, slot: Slot) -> Result<(), Cause> {
        let number = self.request.preserve.saturating_add(5).saturating_add(u32::from(slot.0));
        let number = i32::try_from(number).map_err(|_| Errno::EBADF)?;
        let built = fd::take_from(self.child()?.process.as_fd(), number)?;
        self.keep(slot, built);
        Ok(())
    }

    fn enter_mounts(&mut self) -> Result<(), Cause> {
        let directory = open_path(c".", OFlags::PATH)?;
        // All of them now: from inside, /proc is the container's.
        let namespaces = vec![
            (open_path(c"/proc/self/ns/mnt", OFlags::RDONLY)?, Namespace::Mount),
            (open_path(c"/proc/self/ns/net", OFlags::RDONLY)?, Namespace::Network),
            (open_path(c"/proc/self/ns/ipc", OFlags::RDONLY)?, Namespace::Ipc),
        ];
        self.home = Some(Home { directory, namespaces });
        Ok(ns::enter(self.child()?.process.as_fd(), Namespace::Mount.flag())?)
    }

    fn attach_root(&mut self) -> Result<(), Cause> {
        let top = open_path(c"/", OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(crate::sys::mount::attach(self.root()?, top.as_fd())?)
    }

    fn enter_network_and_ipc(&mut self) -> Result<(), Cause> {
        let kinds = Namespace::Network.flag() | Namespace::Ipc.flag();
        Ok(ns::enter(self.child()?.process.as_fd(), kinds)?)
    }

    fn keep_sysctl(&mut self) -> Result<(), Cause> {
        let proc = self.plan.steps.iter().find_map(|step| prepare::proc_slot(&step.action));
        let proc = self.slot(proc.ok_or(Errno::EBADF)?)?;
        self.sysctl = Some(fd::open_beneath(proc, c"sys", OFlags::PATH | OFlags::DIRECTORY)?);
        Ok(())
    }

    fn set_net_sysctl(&self, name: &Text, value: &Text) -> Result<(), Cause> {
        let value = match name.as_str() {
            "net/ipv4/ping_group_range" => self.translate_groups(value.as_str())?,
            _ => value.as_str().to_owned(),
        };
        let sysctl = self.sysctl.as_ref().ok_or(Errno::EBADF)?;
        write_file(sysctl.as_fd(), name.as_c_str(), value.as_bytes())
    }

    /// The kernel takes these group ids as the writer's; the bundle means the container's. A
    /// last group above all that is mapped means "everyone".
    fn translate_groups(&self, range: &str) -> Result<String, Cause> {
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

    fn mask(&mut self, at: &crate::plan::text::RootedPath) -> Result<(), Cause> {
        let root = self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::EBADF)?;
        let dev = self.dev.and_then(|slot| {
            self.slots.get(usize::from(slot.0)).and_then(Option::as_ref).map(AsFd::as_fd)
        });
        self.masks.cover(root, dev, at)
    }

    fn pivot(&mut self) -> Result<(), Cause> {
        rustix::process::fchdir(self.root()?)
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        crate::sys::mount::pivot_root_here()?;
        Ok(crate::sys::mount::detach_here()?)
    }

    fn come_home(&mut self) -> Result<(), Cause> {
        let Some(home) = self.home.take() else { return Ok(()) };
        for (namespace, kind) in &home.namespaces {
            ns::enter(namespace.as_fd(), kind.flag())?;
        }
        rustix::process::fchdir(&home.directory)
            .map_err(|error| Errno::from_raw(error.raw_os_error()).into())
    }

    fn check_program(&mut self) -> Result<(), Cause> {
        super::program::check(self.root()?, &self.plan.program)
    }

    fn make_terminal(&mut self, size: Option<(u16, u16)>, owner: (u32, u32)) -> Result<(), Cause> {
        let host_owner = (self.ids().user(owner.0)?, self.ids().group(owner.1)?);
        let console = self.request.console.ok_or(Errno::EBADF)?;
        let child = self.child()?.socket.as_fd();
        super::terminal::make(self.root()?, size, host_owner, console, child)
    }
}

/// What init still has to report. It ends on its own once this side closes.
fn last_words(child: &Child) -> Option<wire::Failure> {
    let _ = rustix::net::shutdown(&child.socket, rustix::net::Shutdown::Write);
    while let Ok(message) = wire::hear(child.socket.as_fd()) {
        match message {
            // It only noticed that the launch is off.
            Message::Failed(failure) if failure.errno == Errno::EPIPE => {}
            Message::Failed(failure) => return Some(failure),
            Message::Opened(_) => {}
            Message::Gone => break,
        }
    }
    None
}

#[cfg(feature = "fault")]
fn fault(id: StepId) -> Result<(), Errno> {
    super::fault::strike(id)
}

#[cfg(not(feature = "fault"))]
#[expect(clippy::unnecessary_wraps, reason = "with the test feature it can fail")]
fn fault(_: StepId) -> Result<(), Errno> {
    Ok(())
}

fn lines(map: &[crate::plan::action::IdMapping]) -> String {
    let line =
        |m: &crate::plan::action::IdMapping| format!("{} {} {}\n", m.inside, m.outside, m.size);
    map.iter().map(line).collect()
}

fn open_path(path: &std::ffi::CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// The directory of process `pid` in the host's procfs, which must be one.
fn open_proc(pid: i32) -> Result<OwnedFd, Errno> {
    let to_errno = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    let path = format!("/proc/{pid}");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path.as_str(), flags, Mode::empty()).map_err(to_errno)?;
    let kind = rustix::fs::fstatfs(&opened).map_err(to_errno)?.f_type;
    if kind == rustix::fs::PROC_SUPER_MAGIC { Ok(opened) } else { Err(Errno::ENODEV) }
}

fn write_file(dir: BorrowedFd<'_>, name: &std::ffi::CStr, value: &[u8]) -> Result<(), Cause> {
    let to_errno = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    let file = fd::open_beneath(dir, name, OFlags::WRONLY)?;
    rustix::io::write(&file, value).map(drop).map_err(|error| to_errno(error).into())
}
