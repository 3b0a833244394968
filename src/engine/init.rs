//! The step loop of the new process.
//!
//! It walks the list it was born with, allocates nothing, never falls back, and on failure
//! sends eight bytes. Success has no return.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::hook;
use super::prepare::{InitPlan, StartGate};
use super::steps::{home, io, label, namespace, privileges};
use super::wire::{self, Failure};
use crate::plan::{Action, Namespace, StepId};
use crate::sys::{Errno, Result, process, task};

/// What init knows beyond its plan.
#[derive(Debug)]
pub(super) struct Init<'plan> {
    /// The steps and all that was made ready for them.
    pub plan: &'plan InitPlan<'plan>,
    /// Where failures are reported: the supervisor, later the `start` command.
    pub peer: Peer<'plan>,
    /// Which candidate for the program was found.
    pub program: Option<usize>,
    /// Whether it stands in its working directory already.
    pub approached: bool,
}

/// The other side of the conversation.
#[derive(Debug)]
pub(super) enum Peer<'plan> {
    /// The process that cloned this one.
    Supervisor(BorrowedFd<'plan>),
    /// The `start` command.
    Starter(OwnedFd),
}

impl Peer<'_> {
    /// The socket to it.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Supervisor(socket) => *socket,
            Self::Starter(socket) => socket.as_fd(),
        }
    }
}

/// Carries out every step of init. Must not allocate: it borrows the plan, and speaks in
/// numbers.
pub(super) fn run(plan: &InitPlan<'_>) -> ! {
    let mut init =
        Init { plan, peer: Peer::Supervisor(plan.socket), program: None, approached: false };
    let mut last = StepId(0);
    process::set_umask(plan.umask);
    if let Err(errno) = heed_termination(&init).and_then(|()| io::reserve_numbers(plan)) {
        wire::fail(plan.socket, Failure { step: last, errno });
    }
    for (id, action) in &plan.steps {
        last = *id;
        if let Err(errno) = take(&mut init, *id, action) {
            wire::fail(init.peer.socket(), Failure { step: *id, errno });
        }
    }
    wire::fail(init.peer.socket(), Failure { step: last, errno: Errno::ENOEXEC })
}

/// Has an init that will wait for `start` end at a `SIGTERM`, which the kernel keeps from the first
/// process of a pid namespace otherwise: before anybody knows of it, so that none is lost, and
/// again when signals were reset before the wait.
fn heed_termination(init: &Init<'_>) -> Result<()> {
    match (&init.plan.start, &init.peer) {
        (StartGate::Listener(_), Peer::Supervisor(_)) => process::end_when_terminated(),
        (StartGate::Listener(_), Peer::Starter(_)) | (StartGate::Supervisor, _) => Ok(()),
    }
}

/// Carries out one step.
pub(super) fn take(init: &mut Init<'_>, id: StepId, action: &Action) -> Result<()> {
    fault(id).and_then(|()| perform(init, id, action))
}

#[cfg(feature = "fault")]
fn fault(id: StepId) -> Result<()> {
    super::fault::strike(id)
}

#[cfg(not(feature = "fault"))]
#[expect(clippy::unnecessary_wraps, reason = "with the test feature it can fail")]
fn fault(_: StepId) -> Result<()> {
    Ok(())
}

fn perform(init: &mut Init<'_>, id: StepId, action: &Action) -> Result<()> {
    match action {
        Action::MakeMountsPrivate => namespace::make_mounts_private(),
        Action::JoinNamespace { kind: Namespace::Mount } => namespace::take_root_along(init.plan),
        Action::JoinNamespace { kind } => namespace::join(init, *kind),
        Action::NewNamespaces { kinds } => namespace::leave(kinds),
        Action::BuildMount { slot, filesystem, attributes } => {
            namespace::build_own_mount(init.plan, *slot, filesystem, *attributes)
        }
        Action::Open { gate } => wire::say_opened(init.peer.socket(), *gate),
        Action::Await { .. } => wire::await_go(init.peer.socket()),
        Action::BecomeRoot => privileges::become_root(),
        Action::ForbidNamespaces => namespace::forbid_further(init.plan),
        Action::LoopbackUp => crate::sys::net::loopback_up(),
        Action::SetIpcSysctl { name, value } => namespace::set_sysctl(init.plan, name, value),
        Action::SetHostname { name } => namespace::set_hostname(name),
        Action::SetDomainname { name } => namespace::set_domainname(name),
        Action::AwaitStart => await_start(init),
        Action::NewKeyring => process::new_keyring(),
        Action::NewSession { terminal } => io::new_session(init, *terminal),
        Action::SetAffinity { cpus } => process::set_affinity(cpus.mask()),
        Action::SetLimit { limit } => process::set_limit(limit.resource, limit.soft, limit.hard),
        Action::SetUmask { mask } => {
            process::set_umask(*mask);
            Ok(())
        }
        Action::SetMemoryPolicy { policy } => task::set_memory_policy(policy.mode, &policy.nodes),
        Action::SetPersonality { persona } => task::set_personality(*persona),
        Action::Label { label } => label::set(init.plan, label),
        Action::LimitBounding { keep } => crate::sys::caps::limit_bounding(*keep),
        Action::ApproachDirectory { to } => {
            init.approached = io::approach_directory(to);
            Ok(())
        }
        Action::SetIds { uid, gid, groups } => privileges::set_ids(*uid, *gid, groups),
        Action::SetCapabilities { sets } => privileges::set_capabilities(sets),
        Action::ForbidNewPrivileges => process::forbid_new_privileges(),
        Action::ChangeDirectory { to } => io::change_directory(to, init.approached),
        Action::ResetSignals => process::reset_signals().and_then(|()| heed_termination(init)),
        Action::FindHome { uid } => {
            home::find(init.plan, *uid);
            Ok(())
        }
        Action::FindProgram => io::find_program(init),
        Action::CloseDescriptors => io::close_descriptors(init.plan.preserve),
        Action::LoadFilter { .. } => {
            crate::sys::seccomp::install(&init.plan.filter, init.plan.filter_flags).map(drop)
        }
        Action::Execute => io::execute(init),
        Action::RunHook(_) => hook::inside::run(init, id),
        Action::TakeIds
        | Action::JoinPod { .. }
        | Action::EnterPod
        | Action::CheckIdMaps { .. }
        | Action::MakeCgroup { .. }
        | Action::DelegateCgroup { .. }
        | Action::OpenRootfs { .. }
        | Action::MakeMountPoint { .. }
        | Action::OpenNamespace { .. }
        | Action::ShiftClocks { .. }
        | Action::CheckProgram
        | Action::Spawn { .. }
        | Action::WriteIdMaps { .. }
        | Action::CopyRootfs { .. }
        | Action::AssembleRootfs { .. }
        | Action::ShiftRootfs { .. }
        | Action::FetchMount { .. }
        | Action::EnterMounts
        | Action::AttachRoot { .. }
        | Action::CoverRootfs
        | Action::Seal { .. }
        | Action::Attach { .. }
        | Action::MakeResctrl(_)
        | Action::JoinResctrl(_)
        | Action::MoveNetDevice { .. }
        | Action::MakeDevice { .. }
        | Action::SetRootPropagation { .. }
        | Action::MakeDirectory { .. }
        | Action::Remount { .. }
        | Action::EnterNetworkAndIpc
        | Action::VisitNetworkAndIpc
        | Action::KeepSysctl
        | Action::SetNetSysctl { .. }
        | Action::MakeTerminal { .. }
        | Action::Mask { .. }
        | Action::MakeReadonly { .. }
        | Action::Pivot
        | Action::EnterRoot
        | Action::ComeHome
        | Action::OpenInit
        | Action::OpenGroup { .. }
        | Action::EnterInit { .. }
        | Action::CoverArguments
        | Action::OpenTerminal { .. }
        | Action::JoinGroups
        | Action::HandOverTerminal
        | Action::RaiseLimit { .. }
        | Action::SetOomScore { .. }
        | Action::SetScheduler { .. }
        | Action::SetIoPriority { .. }
        | Action::WatchInit
        | Action::HandOver { .. } => Err(Errno::EOPNOTSUPP),
    }
}

/// Waits for `start`: from the supervisor itself, or from another command through the
/// container's socket. From then on failures are reported there.
fn await_start(init: &mut Init<'_>) -> Result<()> {
    match init.plan.start {
        StartGate::Supervisor => wire::await_go(init.peer.socket()),
        StartGate::Listener(listener) => {
            // The supervisor's last word: it has recorded the container. Without it, nobody knows
            // of this process, and it ends.
            wire::await_go(init.peer.socket())?;
            let listener = io::keep_only(init.plan, listener)?;
            let connection = crate::sys::socket::accept(listener)?;
            wire::await_go(connection.as_fd())?;
            init.peer = Peer::Starter(connection);
            Ok(())
        }
    }
}
