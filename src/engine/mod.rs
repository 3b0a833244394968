//! Carries a plan out, and takes it back when it fails.

mod cause;
pub mod exec;
#[cfg(feature = "fault")]
pub mod fault;
mod home;
mod hook;
mod init;
mod prepare;
mod program;
pub mod protect;
pub mod restore;
mod spawn;
mod start;
mod steps;
pub mod resctrl {
    //! The container's groups in resctrl, as `create` records them and `delete` removes them.
    pub use super::steps::resctrl::{directories, remove, update};
}
mod supervisor;
mod talk;
mod terminal;
pub mod wire;

pub use hook::{HookState, run_all as run_hooks, run_each as run_each_hook};

use std::error::Error;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use start::{Attendant, Waiting, hand_over, start};
pub use steps::shown::hide as hide_root;

use crate::cgroup::{Cgroup, Hierarchies};
use crate::plan::labels::Label;
use crate::plan::mount::Filesystem;
use crate::plan::text::Text;
use crate::plan::{Action, LaunchPlan, Namespace, Origin, Step, StepId};
use crate::store::ranges::{Owner, Range, Ranges};
use crate::store::{Entry, Record, Shown};
use crate::sys::{self, Errno, process};

/// What a launch needs beyond its plan.
#[derive(Debug)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Where ranges of host ids are registered; needed when the plan takes one.
    pub ranges: Option<&'a Ranges>,
    /// In whose name.
    pub owner: Owner,
    /// The container whose ids are shared; needed when the plan joins a pod.
    pub pod: Option<PodMember<'a>>,
    /// The namespaces that are joined, as they were judged: device and inode number.
    pub joined: &'a [(Namespace, (u64, u64))],
    /// The host's control groups.
    pub hierarchies: &'a Hierarchies,
    /// The socket that a created container waits on. Without one, init waits for
    /// [`start`].
    pub listener: Option<BorrowedFd<'a>>,
    /// Where the master of a terminal is sent.
    pub console: Option<BorrowedFd<'a>>,
    /// How many descriptors above 2 the program inherits.
    pub preserve: u32,
    /// Variables that the program gets beside those of the plan, or instead of one of the same
    /// name.
    pub environment: &'a [Text],
    /// The directory of the socket to which the program says that it is ready.
    pub notify: Option<BorrowedFd<'a>>,
    /// What hooks are told.
    pub state: HookState<'a>,
    /// Where the container is recorded, and as what so far: for what must be known before it is
    /// there, should this process be killed.
    pub recorded: Option<(&'a Entry, &'a Record)>,
    /// Whether the caller's session keyring is kept.
    pub keep_keyring: bool,
}

/// A live container whose ids are shared.
#[derive(Debug, Clone, Copy)]
pub struct PodMember<'a> {
    /// Its process.
    pub process: BorrowedFd<'a>,
    /// The user namespace it is in.
    pub user_namespace: BorrowedFd<'a>,
    /// The range of the registry that it has, and in whose name.
    pub range: Option<&'a (Range, Owner)>,
}

/// A container whose init waits for `start`.
#[derive(Debug)]
pub struct Launched {
    /// Init's process id.
    pub pid: i32,
    /// Refers to init even after its id is used again.
    pub process: OwnedFd,
    /// The range of host ids it has.
    pub range: Option<Range>,
    /// Its control group; none if it stays in its caller's.
    pub cgroup: Option<Cgroup>,
    /// Where its root is mounted for all to see, if it is.
    pub shown: Option<Shown>,
    socket: OwnedFd,
    made: Vec<steps::mount_point::Made>,
}

/// Why the workload did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A step failed; what came before it was undone.
    #[error("{0}")]
    Step(Box<StepFailure>),

    /// The plan has no step that starts a process.
    #[error("the plan starts nothing")]
    Incomplete,

    /// Init is gone; nothing more is known.
    #[error("the new process ended before it became the program")]
    Gone,

    /// Init was killed on its way.
    #[error("{}", cause::killed(*signal))]
    Killed {
        /// By this.
        signal: i32,
    },

    /// Whoever answers what the filter asks did not let init become the program.
    #[error(
        "seccomp: its `execve` was held up by the filter, and no answer came within {seconds} \
         seconds"
    )]
    Unanswered {
        /// How long was waited.
        seconds: u64,
    },

    /// Whoever answers what the filter asks has ended first.
    #[error("seccomp: the process that answers what the filter asks has ended")]
    Attendant,

    /// The conversation with init broke.
    #[error("talking to the new process: {0}")]
    Conversation(Errno),
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("step {id} `{name}` failed: {}", because(object, *errno, detail.as_deref()))]
pub struct StepFailure {
    /// Its number.
    pub id: StepId,
    /// Its name.
    pub name: &'static str,
    /// What it was done to.
    pub object: String,
    /// The kernel's number, if it was the kernel that refused.
    pub errno: Option<Errno>,
    /// A clause that says more.
    pub detail: Option<String>,
    /// Who asked for it.
    pub origin: Origin,
    /// What to do.
    pub hint: Option<&'static str>,
    /// Whether a hook had been begun, so that those that clean up after it are to be run.
    pub hooks_begun: bool,
}

fn because(object: &str, errno: Option<Errno>, detail: Option<&str>) -> String {
    // Words that engines look for stand in the detail, and there only.
    let number = errno.map(|errno| format!("{errno:?}"));
    let object = Some(object.to_owned()).filter(|object| !object.is_empty());
    let detail = detail.map(ToOwned::to_owned);
    [object, number, detail].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

impl LaunchError {
    fn step(id: StepId, step: &Step, cause: cause::Cause) -> Self {
        Self::Step(Box::new(StepFailure {
            id,
            name: step.action.name(),
            object: step.action.object(),
            errno: cause.errno,
            hint: hint(&step.action, cause.errno),
            detail: cause.detail,
            origin: step.origin.clone(),
            hooks_begun: matches!(step.action, Action::RunHook(_)),
        }))
    }

    /// The failure that init reported to `start`; `said` is what the last of the image's hooks
    /// said.
    fn reported(plan: &LaunchPlan, failure: wire::Failure, said: &str) -> Self {
        let Some(step) = plan.step(failure.step) else { return Self::Conversation(failure.errno) };
        let cause = if let Action::RunHook(hook) = &step.action {
            if failure.errno == Errno::ETIMEDOUT {
                hook::timed_out(hook, said)
            } else {
                hook::not_run(hook, failure.errno)
            }
        } else if let Some(words) = engine_words(plan, &step.action, failure.errno) {
            cause::Cause::with_detail(failure.errno, words)
        } else {
            failure.errno.into()
        };
        Self::step(failure.step, step, cause)
    }

    /// One of the image's hooks ended, and not well.
    fn hook_ended(plan: &LaunchPlan, id: StepId, ended: process::Ended, said: &str) -> Self {
        let Some(step) = plan.step(id) else { return Self::Gone };
        let Action::RunHook(hook) = &step.action else { return Self::Gone };
        match hook::judge(hook, ended, said) {
            Ok(()) => Self::Gone,
            Err(cause) => Self::step(id, step, cause),
        }
    }
}

/// The words that engines look for when a program cannot be started.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these are about the program")]
fn engine_words(plan: &LaunchPlan, action: &Action, errno: Errno) -> Option<String> {
    let name = plan.program.arguments.first().map_or("", |text| text.as_str());
    let words = errno.desc().to_lowercase();
    match action {
        Action::FindProgram if errno == Errno::ENOENT && !name.contains('/') => {
            Some(format!("exec: \"{name}\": executable file not found in $PATH"))
        }
        Action::FindProgram => Some(format!("exec: \"{name}\": {words}")),
        Action::Execute => Some(format!("exec {name}: {words}")),
        Action::ChangeDirectory { .. } => Some(format!("chdir: {words}")),
        Action::Label { label: Label::AppArmor(_) } => {
            Some("write to `/proc/self/attr/apparmor/exec`".to_owned())
        }
        Action::Label { label: Label::Selinux(_) } => {
            Some("write to `/proc/self/attr/exec`".to_owned())
        }
        _ => None,
    }
}

/// What to do about it. A table of what is known; most failures have no remedy but their text.
fn hint(action: &Action, errno: Option<Errno>) -> Option<&'static str> {
    const HINTS: [(&str, &[Errno], &str); 11] = [
        (
            "limit.raise",
            &[Errno::EPERM],
            "raising a hard limit needs CAP_SYS_RESOURCE; ask for a lower one",
        ),
        (
            "limit.set-oom-score",
            &[Errno::EACCES, Errno::EPERM],
            "lowering oomScoreAdj needs CAP_SYS_RESOURCE; ask for a higher one",
        ),
        (
            "rootfs.make-mount-point",
            &[Errno::EROFS],
            "the root file system is read-only and lacks this mount point; make it in the image",
        ),
        (
            "rootfs.copy",
            &[Errno::EINVAL],
            "the file system it is on, or one mounted below it, cannot translate ids; put the root \
             file system on ext4, xfs or btrfs, or since Linux 6.3 on tmpfs",
        ),
        (
            "mount.build",
            &[Errno::EINVAL],
            "keep the source on ext4, xfs or btrfs, or since Linux 6.3 on tmpfs, and look at the \
             options given",
        ),
        (
            "process.set-memory-policy",
            &[Errno::EINVAL],
            "name nodes that are there; MPOL_PREFERRED_MANY needs Linux 5.15, \
             MPOL_WEIGHTED_INTERLEAVE 6.9",
        ),
        ("mount.attach", &[Errno::ELOOP, Errno::ENOTDIR], "make it a plain directory in the image"),
        (
            "label.set-apparmor",
            &[Errno::ENOENT, Errno::EINVAL],
            "load the profile on the host first: `apparmor_parser`, or `aa-status` for what there is",
        ),
        (
            "process.set-scheduler",
            &[Errno::EPERM],
            "where control groups ration real time, it needs /linux/resources/cpu/realtimeRuntime; a \
             deadline needs all processors: this process scheduler can't be used together with \
             AllowedCPUs, /linux/resources/cpu/cpus",
        ),
        (
            "process.set-scheduler",
            &[Errno::EINVAL],
            "the kernel does not have this policy, or not these values",
        ),
        (
            "process.spawn",
            &[Errno::ENOSPC],
            "a limit in /proc/sys/user/max_*_namespaces is reached",
        ),
    ];
    let errno = errno?;
    let is_bind = |filesystem: &Filesystem| matches!(filesystem, Filesystem::Bind { .. });
    if let Action::BuildMount { filesystem, .. } = action
        && errno == Errno::EINVAL
        && !is_bind(filesystem)
    {
        return Some("look at its options: the kernel does not take one of them, or not its value");
    }
    let fits = |(name, errnos, _): &&(&str, &[Errno], &'static str)| {
        *name == action.name() && errnos.contains(&errno)
    };
    HINTS.iter().find(fits).map(|(_, _, hint)| *hint)
}

/// An error and its sources, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Carries out `plan` up to the point where init waits for `start`.
///
/// # Errors
/// The step that failed, and why. Everything that was created is gone again.
pub fn launch(plan: &LaunchPlan, request: &Request<'_>) -> Result<Launched, LaunchError> {
    #[cfg(feature = "fault")]
    fault::from_environment();
    // What is made on the way has the modes that are written here, not what the caller's umask
    // leaves of them. The program gets the caller's, unless the bundle says another.
    let umask = process::set_umask(0o022);
    supervisor::Supervisor::new(plan, request, umask).run()
}

impl Launched {
    /// Leaves init to the `start` command, once the container is recorded.
    ///
    /// # Errors
    /// [`LaunchError::Gone`] if it has ended meanwhile.
    pub fn release(&self) -> Result<(), LaunchError> {
        wire::say_go(self.socket.as_fd()).map_err(|_| LaunchError::Gone)
    }

    /// Removes the mount points that were made in the image, where nobody has put anything.
    pub fn take_back_mount_points(&self) {
        for made in self.made.iter().rev() {
            made.take_back();
        }
    }

    /// Kills init, and takes back what the launch made.
    pub fn abandon(self, request: &Request<'_>) {
        let _ = process::signal(self.process.as_fd(), libc::SIGKILL);
        let _ = process::wait_for(self.pid);
        self.shown.iter().for_each(steps::shown::hide);
        self.take_back_mount_points();
        if let Some(cgroup) = self.cgroup {
            let _ = cgroup.remove(request.hierarchies);
        }
        if let (Some(range), Some(ranges)) = (self.range, request.ranges) {
            let _ = ranges.release(range, &request.owner);
        }
    }
}

/// Whether a directory stands in for resctrl, which hardly any machine has: in tests alone.
#[cfg(feature = "fault")]
fn stands_in_for_resctrl(path: &str) -> bool {
    std::env::var("CASEMATE_RESCTRL").is_ok_and(|stand_in| path.starts_with(&stand_in))
}

#[cfg(not(feature = "fault"))]
fn stands_in_for_resctrl(_: &str) -> bool {
    false
}

/// What every launch does to this process first: from here on, nothing that runs inside the
/// container may look into it.
///
/// # Errors
/// What prctl(2) says.
pub fn guard_this_process() -> sys::Result<()> {
    process::forbid_dumping()
}
