//! The step loop of the parent: everything that is done with the outer credentials.

mod birth;
mod hooks;
mod inside;
mod mounts;
mod restore;
mod visit;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::cause::{Cause, Ids};
use super::home::Home;
use super::steps::mount_point::Made;
use super::steps::{attach, netdev, resctrl, rootfs, shown, task as scheduling};
use super::wire::{self, Message};
use super::{LaunchError, Launched, Request};
use crate::cgroup::Cgroup;
use crate::plan::mount::BindMapping;
use crate::plan::text::RootedPath;
use crate::plan::{Action, IdMap, LaunchPlan, Namespace, Slot, Step, StepId, Track};
use crate::store::{Shown, ranges::Range};
use crate::sys::{Errno, errno, fd, mount, process, task};

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

/// A launch under way: what exists so far.
#[derive(Debug)]
pub(super) struct Supervisor<'plan> {
    plan: &'plan LaunchPlan,
    request: &'plan Request<'plan>,
    /// The caller's mask of permission bits, for the program.
    umask: u32,
    slots: Vec<Option<OwnedFd>>,
    namespaces: Vec<(Namespace, OwnedFd)>,
    map: Option<&'plan IdMap>,
    range: Option<Range>,
    cgroup: Option<Cgroup>,
    rootfs: Option<OwnedFd>,
    root: Option<OwnedFd>,
    mapping: Option<OwnedFd>,
    /// Mappings of mounts that are built inside.
    own_mappings: Vec<(&'plan BindMapping, OwnedFd)>,
    child: Option<Child>,
    home: Option<Home>,
    sysctl: Option<OwnedFd>,
    masks: attach::Masks,
    made: Vec<Made>,
    /// Places in the image that were missing, and are there now.
    made_places: Vec<RootedPath>,
    /// Network devices that were the host's.
    net_devices: Vec<netdev::Moved>,
    /// Where the root is mounted on the host, once it is.
    shown: Option<Shown>,
    /// This process's own time namespace, while its children get another one.
    own_time: Option<OwnedFd>,
    /// Whether copies of this process work in the network and IPC namespaces of init.
    visits: bool,
    /// Whether a hook was begun.
    hooks_begun: bool,
    /// What init reported when it was heard in passing.
    reported: Option<wire::Failure>,
}

impl<'plan> Supervisor<'plan> {
    pub(super) fn new(plan: &'plan LaunchPlan, request: &'plan Request<'plan>, umask: u32) -> Self {
        let map = plan.steps.iter().find_map(|step| {
            let (Action::WriteIdMaps { ids }
            | Action::CheckIdMaps { ids }
            | Action::JoinPod { ids }) = &step.action
            else {
                return None;
            };
            Some(ids)
        });
        Self {
            plan,
            request,
            umask,
            slots: Vec::new(),
            namespaces: Vec::new(),
            map,
            range: None,
            cgroup: None,
            rootfs: None,
            root: None,
            mapping: None,
            own_mappings: Vec::new(),
            child: None,
            home: None,
            sysctl: None,
            masks: attach::Masks::default(),
            made: Vec::new(),
            made_places: Vec::new(),
            net_devices: Vec::new(),
            shown: None,
            own_time: None,
            visits: false,
            hooks_begun: false,
            reported: None,
        }
    }

    /// Carries out every step that is not init's; on failure takes all of it back.
    pub(super) fn run(mut self) -> Result<Launched, LaunchError> {
        let plan = self.plan;
        let ours = |track| matches!(track, Track::Prepare | Track::Supervisor);
        for (id, step) in plan.numbered().filter(|(_, step)| ours(step.track)) {
            #[cfg(feature = "fault")]
            if super::fault::skips(step.action.name()) {
                continue;
            }
            let done = fault(id).map_err(Cause::from).and_then(|()| self.perform(&step.action));
            if let Err(cause) = done {
                return Err(self.fail(id, step, cause));
            }
            #[cfg(feature = "fault")]
            super::fault::die_after(id);
        }
        self.finish()
    }

    fn finish(mut self) -> Result<Launched, LaunchError> {
        let Some(child) = self.child.take() else { return Err(LaunchError::Incomplete) };
        Ok(Launched {
            pid: child.pid,
            process: child.process,
            socket: child.socket,
            range: self.range,
            shown: self.shown.take(),
            cgroup: self.cgroup.take(),
            made: std::mem::take(&mut self.made),
        })
    }

    /// Finds out what really failed, undoes everything, and says so.
    fn fail(&mut self, id: StepId, step: &'plan Step, cause: Cause) -> LaunchError {
        let (id, step, cause) = self.blame(id, step, cause);
        self.undo();
        let mut error = LaunchError::step(id, step, cause);
        if let LaunchError::Step(failure) = &mut error {
            failure.hooks_begun |= self.hooks_begun;
        }
        error
    }

    /// When init has failed, the step at which the supervisor noticed is not the one to name.
    fn blame(&self, id: StepId, step: &'plan Step, cause: Cause) -> (StepId, &'plan Step, Cause) {
        let plan = self.plan;
        let report = self.reported.or_else(|| self.child.as_ref().and_then(last_words));
        let failed = report.and_then(|failure| Some((failure, plan.step(failure.step)?)));
        match (failed, &self.child) {
            (Some((failure, step)), _) => (failure.step, step, failure.errno.into()),
            (None, Some(child)) => (id, step, cause.or_death_of(child.process.as_fd())),
            (None, None) => (id, step, cause),
        }
    }

    /// Takes back what exists: the process and all that lives in its namespaces, then what
    /// the host sees.
    fn undo(&mut self) {
        let _ = self.come_home();
        // While there is a namespace to take them from.
        self.net_devices.drain(..).rev().for_each(netdev::Moved::take_back);
        if let Some(child) = self.child.take() {
            let _ = process::signal(child.process.as_fd(), libc::SIGKILL);
            let _ = process::wait_for(child.pid);
        }
        // Descriptors first: what is left to do must not fail for want of them.
        self.slots.clear();
        self.own_mappings.clear();
        self.namespaces.clear();
        self.masks = attach::Masks::default();
        (self.root, self.rootfs, self.mapping, self.sysctl) = (None, None, None, None);
        self.shown.take().iter().for_each(shown::hide);
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
            Action::JoinPod { .. } => self.join_pod(),
            Action::EnterPod => self.enter_pod(),
            Action::CheckIdMaps { ids } => self.check_id_maps(ids),
            Action::MakeCgroup { cgroup } => self.make_cgroup(cgroup),
            Action::DelegateCgroup { uid } => self.delegate_cgroup(*uid),
            Action::OpenRootfs { path } => {
                self.rootfs = Some(rootfs::open(path)?);
                Ok(())
            }
            Action::MakeMountPoint { at, kind, within } => {
                self.make_mount_point(at, kind, within.as_ref())
            }
            Action::OpenNamespace { kind, path } => self.open_namespace(*kind, path),
            Action::ShiftClocks { offsets } => self.shift_clocks(offsets),
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
                self.assemble_root(overlay, *attributes)
            }
            Action::ShiftRootfs { attributes } => self.shift_root(*attributes),
            Action::BuildMount { slot, filesystem, attributes } => {
                self.build_mount(*slot, filesystem, *attributes)
            }
            Action::FetchMount { slot } => self.fetch(*slot),
            Action::EnterMounts => self.enter_mounts(),
            Action::CoverRootfs => self.cover_root(),
            Action::Seal { at } => self.seal(at),
            Action::AttachRoot { over } => self.attach_root(over),
            Action::RunHook(hook) => self.run_hook(hook),
            Action::Attach { slot, at, place } => self.attach(*slot, at, *place),
            Action::MakeResctrl(resctrl) => resctrl::make(resctrl, self.request.id, &mut self.made),
            Action::JoinResctrl(resctrl) => {
                let pid = self.child()?.pid;
                resctrl::join(resctrl, self.request.id, pid, &mut self.made)
            }
            Action::MoveNetDevice { host, inside } => self.move_net_device(host, inside),
            Action::MakeDevice { node, on_disk } => self.make_device(node, *on_disk),
            Action::SetRootPropagation { propagation } => {
                Ok(mount::propagate(self.root()?, *propagation)?)
            }
            Action::MakeDirectory { at } => self.make_directory(at),
            Action::Remount { at, options, attributes } => self.remount(at, options, *attributes),
            Action::EnterNetworkAndIpc => self.enter_network_and_ipc(),
            Action::VisitNetworkAndIpc => {
                self.visits = true;
                Ok(())
            }
            Action::KeepSysctl => self.keep_sysctl(),
            Action::SetNetSysctl { name, value } => self.set_net_sysctl(name, value),
            Action::MakeTerminal { size, owner } => self.make_terminal(*size, *owner),
            Action::Mask { at, label } => self.mask(at, label.as_ref()),
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
            Action::SetScheduler { scheduler } => {
                Ok(scheduling::set_scheduler(self.child()?.pid, scheduler)?)
            }
            Action::SetIoPriority { priority } => {
                let pid = self.child()?.pid;
                Ok(task::set_io_priority(pid, priority.class, priority.level)?)
            }
            Action::MakeMountsPrivate
            | Action::EnterRoot
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
            | Action::Label { .. }
            | Action::SetMemoryPolicy { .. }
            | Action::SetPersonality { .. }
            | Action::LimitBounding { .. }
            | Action::ApproachDirectory { .. }
            | Action::SetIds { .. }
            | Action::SetCapabilities { .. }
            | Action::ForbidNewPrivileges
            | Action::ChangeDirectory { .. }
            | Action::ResetSignals
            | Action::FindHome { .. }
            | Action::FindProgram
            | Action::CloseDescriptors
            | Action::LoadFilter { .. }
            | Action::Execute
            | Action::WatchInit
            | Action::HandOver { .. }
            | Action::OpenInit
            | Action::OpenGroup { .. }
            | Action::SetAffinity { .. }
            | Action::EnterInit { .. }
            | Action::CoverArguments
            | Action::OpenTerminal { .. }
            | Action::JoinGroups
            | Action::HandOverTerminal => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    fn ids(&self) -> Ids<'_> {
        Ids {
            map: self.map,
            base: self.range.map_or(0, Range::base),
            mapping: self.mapping.as_ref().map(AsFd::as_fd),
            own: None,
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
}

/// What init still has to report. It ends on its own once this side closes.
fn last_words(child: &Child) -> Option<wire::Failure> {
    let _ = rustix::net::shutdown(&child.socket, rustix::net::Shutdown::Write);
    while let Ok(message) = wire::hear(child.socket.as_fd()) {
        match message {
            // It only noticed that the launch is off.
            Message::Failed(failure) if failure.errno == Errno::EPIPE => {}
            Message::Failed(failure) => return Some(failure),
            Message::Opened(_) | Message::HookEnded(..) | Message::Output => {}
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

fn open_path(path: &std::ffi::CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}

fn write_file(dir: BorrowedFd<'_>, name: &std::ffi::CStr, value: &[u8]) -> Result<(), Cause> {
    let file = fd::open_beneath(dir, name, OFlags::WRONLY)?;
    rustix::io::write(&file, value).map(drop).map_err(|error| errno(error).into())
}

fn read_file(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<String, Errno> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::from(fd::open_beneath(dir, name, OFlags::RDONLY)?)
        .read_to_string(&mut text)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    Ok(text)
}
