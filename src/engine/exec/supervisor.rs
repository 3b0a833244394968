//! The step loop of the parent. It never waits for its child: that may be frozen.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::{Entered, ExecRequest};
use crate::cgroup::Entrance;
use crate::engine::cause::{Cause, Ids};
use crate::engine::home::Home;
use crate::engine::prepare::{self, Conversation, InitPlan, Kept, StartGate};
use crate::engine::steps::{resctrl, task as scheduling};
use crate::engine::terminal::Terminal;
use crate::engine::wire::{self, Message};
use crate::engine::{LaunchError, chain, spawn};
use crate::plan::{Action, GroupBelow, LaunchPlan, Namespace, Step, StepId, Track};
use crate::sys::arguments::{Arguments, Covered};
use crate::sys::{Errno, errno, fd, ns, process, task};

/// An `exec` under way: what exists so far.
pub(super) struct Supervisor<'plan> {
    plan: &'plan LaunchPlan,
    request: &'plan ExecRequest<'plan>,
    /// The container's first process, once for each namespace that the child joins by itself.
    init: Vec<(Namespace, OwnedFd)>,
    arguments: Option<Arguments>,
    covered: Option<Covered>,
    group: Option<Entrance>,
    home: Option<Home>,
    terminal: Option<Terminal>,
    child: Option<Entered>,
}

impl<'plan> Supervisor<'plan> {
    pub(super) fn new(plan: &'plan LaunchPlan, request: &'plan ExecRequest<'plan>) -> Self {
        Self {
            plan,
            request,
            init: Vec::new(),
            arguments: None,
            covered: None,
            group: None,
            home: None,
            terminal: None,
            child: None,
        }
    }

    /// Carries out every step that is not the child's; on failure takes all of it back.
    pub(super) fn run(mut self) -> Result<Entered, LaunchError> {
        let plan = self.plan;
        let ours = |track| matches!(track, Track::Prepare | Track::Supervisor);
        for (id, step) in plan.numbered().filter(|(_, step)| ours(step.track)) {
            #[cfg(feature = "fault")]
            if crate::engine::fault::skips(step.action.name()) {
                continue;
            }
            let done = fault(id).map_err(Cause::from).and_then(|()| self.perform(&step.action));
            if let Err(cause) = done {
                return Err(self.fail(id, step, cause));
            }
        }
        self.child.take().ok_or(LaunchError::Incomplete)
    }

    /// Takes everything back. When the child has failed, the step at which its parent noticed is
    /// not the one to name.
    fn fail(&mut self, id: StepId, step: &Step, cause: Cause) -> LaunchError {
        let _ = self.come_home();
        let Some(child) = self.child.take() else { return LaunchError::step(id, step, cause) };
        let cause = cause.or_death_of(child.process.as_fd());
        child.end();
        match last_words(&child) {
            Some(failure) => LaunchError::reported(self.plan, failure, ""),
            None => LaunchError::step(id, step, cause),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other steps are those of a launch")]
    fn perform(&mut self, action: &Action) -> Result<(), Cause> {
        match action {
            Action::OpenInit => self.open_init(),
            Action::OpenGroup { below } => self.open_group(below),
            Action::SetAffinity { cpus } => {
                tracing::debug!(
                    "nsexec: affinity: 0x{:x}",
                    cpus.mask().first().copied().unwrap_or(0)
                );
                Ok(process::set_affinity(cpus.mask())?)
            }
            Action::EnterInit { kinds } => self.enter(kinds),
            Action::EnterRoot => self.enter_root(),
            Action::CoverArguments => {
                self.covered = self.arguments.as_ref().map(Arguments::cover);
                Ok(())
            }
            Action::OpenTerminal { size, owner } => self.open_terminal(*size, *owner),
            Action::Spawn { .. } => self.spawn(),
            Action::ComeHome => Ok(self.come_home()?),
            Action::JoinResctrl(resctrl) => {
                let pid = self.child()?.pid;
                resctrl::join(resctrl, self.request.id, pid, &mut Vec::new())
            }
            Action::JoinGroups => {
                let group = self.group.as_ref().ok_or(Errno::EBADF)?;
                group.join_v1(self.child()?.pid).map_err(|error| Cause::said(chain(&error)))
            }
            Action::RaiseLimit { limit } => {
                let pid = self.child()?.pid;
                Ok(process::set_limit_of(pid, limit.resource, limit.soft, limit.hard)?)
            }
            Action::SetOomScore { score } => self.set_oom_score(*score),
            Action::SetScheduler { scheduler } => {
                Ok(scheduling::set_scheduler(self.child()?.pid, scheduler)?)
            }
            Action::SetIoPriority { priority } => {
                let pid = self.child()?.pid;
                Ok(task::set_io_priority(pid, priority.class, priority.level)?)
            }
            Action::Open { .. } => Ok(wire::say_go(self.child()?.socket.as_fd())?),
            Action::HandOverTerminal => {
                let terminal = self.terminal.take().ok_or(Errno::EBADF)?;
                let console = self.request.console.ok_or(Errno::EBADF)?;
                terminal.hand_over(console, self.child()?.socket.as_fd())
            }
            _ => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    /// Opens init, and the memory that shows this process's arguments while `/proc` is the
    /// host's.
    fn open_init(&mut self) -> Result<(), Cause> {
        let opened = self.request.init.open()?;
        let gone = || Cause::said("the container's first process has ended".to_owned());
        let opened = opened.ok_or_else(gone)?;
        // The child finds them above all numbers that it uses itself.
        let floor = prepare::floor(self.plan, self.request.preserve);
        let user = pod_of(self.request.init.pid())?;
        let user = user.as_ref().map_or(opened.as_fd(), AsFd::as_fd);
        for (kind, target) in [(Namespace::Cgroup, opened.as_fd()), (Namespace::User, user)] {
            self.init.push((kind, fd::duplicate_above(target, floor)?));
        }
        self.arguments = Some(Arguments::find()?);
        Ok(())
    }

    fn open_group(&mut self, below: &[GroupBelow]) -> Result<(), Cause> {
        let (cgroup, hierarchies) = (self.request.cgroup, self.request.hierarchies);
        // One without a group of its own is in its caller's, as this process is.
        let Some(cgroup) = cgroup else {
            let why = "the container has no control group of its own";
            return if below.is_empty() { Ok(()) } else { Err(Cause::said(why.to_owned())) };
        };
        let entrance = cgroup
            .entrance(below, self.request.init.pid(), hierarchies)
            .map_err(|error| Cause::said(chain(&error)))?;
        self.group = Some(entrance);
        Ok(())
    }

    fn enter(&mut self, kinds: &[Namespace]) -> Result<(), Cause> {
        self.home = Some(Home::remember(kinds)?);
        let flags = kinds.iter().fold(0, |flags, kind| flags | kind.flag());
        Ok(ns::enter(self.init()?, flags)?)
    }

    /// The way leads through the host's procfs, by a number: init must be alive afterwards, or it
    /// could be another's by now.
    fn enter_root(&self) -> Result<(), Cause> {
        let proc = &self.home.as_ref().ok_or(Errno::EBADF)?.proc;
        let path = format!("{}/root", self.request.init.pid());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(proc, path, flags, Mode::empty()).map_err(errno)?;
        process::signal(self.init()?, 0)?;
        rustix::process::fchdir(&root).map_err(errno)?;
        Ok(rustix::process::chroot(c".").map_err(errno)?)
    }

    fn come_home(&mut self) -> Result<(), Errno> {
        self.home.take().map_or(Ok(()), Home::come)
    }

    fn open_terminal(&mut self, size: Option<(u16, u16)>, owner: (u32, u32)) -> Result<(), Cause> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(c"/", flags, Mode::empty()).map_err(errno)?;
        let ids = Ids { map: self.request.ids, base: self.request.base, mapping: None, own: None };
        let owner = (ids.user(owner.0)?, ids.group(owner.1)?);
        self.terminal = Some(Terminal::open(root.as_fd(), size, owner)?);
        Ok(())
    }

    fn spawn(&mut self) -> Result<(), Cause> {
        let preserve = self.request.preserve;
        let floor = prepare::floor(self.plan, preserve);
        let Conversation { ours, theirs } = Conversation::new(floor)?;
        let kept = Kept { preserve, keyring: false };
        let start = StartGate::Supervisor;
        let mut plan = InitPlan::new(self.plan, theirs.as_fd(), start, &self.init, kept);
        plan.umask = process::set_umask(0o077);
        process::set_umask(plan.umask);
        let group = self.group.as_ref().map(Entrance::leaf_fd);
        let born = spawn::init(&plan, &ours, 0, group);
        self.covered = None;
        let (pid, process) = born?;
        self.child = Some(Entered { pid, process, socket: ours });
        let asked = |step: &Step| matches!(step.action, Action::SetAffinity { .. });
        if !self.plan.steps.iter().any(asked) {
            process::reset_affinity_of(pid)?;
        }
        Ok(())
    }

    fn set_oom_score(&self, score: i32) -> Result<(), Cause> {
        let path = format!("/proc/{}/oom_score_adj", self.child()?.pid);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path.as_str(), flags, Mode::empty()).map_err(errno)?;
        let written = rustix::io::write(&file, score.to_string().as_bytes());
        written.map(drop).map_err(|error| errno(error).into())
    }

    fn init(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.init.first().map(|(_, init)| init.as_fd()).ok_or(Errno::EBADF)
    }

    fn child(&self) -> Result<&Entered, Errno> {
        self.child.as_ref().ok_or(Errno::ESRCH)
    }
}

/// The user namespace that a created container of a pod will be in: until `start`, its init is
/// in this process's own. `None` for any other init.
fn pod_of(init: i32) -> Result<Option<OwnedFd>, Cause> {
    let number = |path: &str| {
        let found = rustix::fs::stat(path).map_err(errno)?;
        Ok::<_, Errno>((found.st_dev, found.st_ino))
    };
    let own = number("/proc/self/ns/user")?;
    if number(&format!("/proc/{init}/ns/user"))? != own {
        return Ok(None);
    }
    // What it joined or made belongs to the pod.
    for kind in [Namespace::Ipc, Namespace::Uts, Namespace::Network] {
        let path = format!("/proc/{init}/ns/{}", kind.link());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = rustix::fs::open(path.as_str(), flags, Mode::empty()).map_err(errno)?;
        let Ok(owner) = ns::owner(namespace.as_fd()) else { continue };
        let found = rustix::fs::fstat(&owner).map_err(errno)?;
        if (found.st_dev, found.st_ino) != own {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}

/// What the child, which has ended, had reported.
fn last_words(child: &Entered) -> Option<wire::Failure> {
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
    crate::engine::fault::strike(id)
}

#[cfg(not(feature = "fault"))]
#[expect(clippy::unnecessary_wraps, reason = "with the test feature it can fail")]
fn fault(_: StepId) -> Result<(), Errno> {
    Ok(())
}
