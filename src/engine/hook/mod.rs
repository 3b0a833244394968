//! Runs hooks: those of the host from here, those of the image in the process that init becomes.
//!
//! A hook gets the container's state on standard input, what it says is kept for the error, and
//! nothing else of this process is open in it.

mod call;
pub(super) mod inside;
mod output;
mod state;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) use call::{Call, Place};
pub(super) use output::Output;
use rustix::event::{PollFd, PollFlags, Timespec};
pub use state::HookState;

use super::cause::Cause;
use super::{LaunchError, spawn};
use crate::plan::hooks::Hook;
use crate::plan::{Action, LaunchPlan, Step, StepId, Track};
use crate::sys::process::{self, Ended};
use crate::sys::{Errno, Result};

/// Runs the hooks of a track one after the other, up to the first that fails.
///
/// # Errors
/// The step that failed.
pub fn run_all(
    plan: &LaunchPlan,
    track: Track,
    state: &HookState<'_>,
    pid: Option<i32>,
) -> std::result::Result<(), LaunchError> {
    hooks(plan, track).try_for_each(|(id, step, hook)| one(id, step, hook, state, pid))
}

/// Runs every hook of a track, whatever becomes of the others, and gives what failed.
#[must_use]
pub fn run_each(
    plan: &LaunchPlan,
    track: Track,
    state: &HookState<'_>,
    pid: Option<i32>,
) -> Vec<LaunchError> {
    hooks(plan, track)
        .filter_map(|(id, step, hook)| one(id, step, hook, state, pid).err())
        .collect()
}

fn hooks(plan: &LaunchPlan, track: Track) -> impl Iterator<Item = (StepId, &Step, &Hook)> {
    plan.track(track).filter_map(|(id, step)| {
        let Action::RunHook(hook) = &step.action else { return None };
        Some((id, step, &**hook))
    })
}

fn one(
    id: StepId,
    step: &Step,
    hook: &Hook,
    state: &HookState<'_>,
    pid: Option<i32>,
) -> std::result::Result<(), LaunchError> {
    #[cfg(feature = "fault")]
    if let Err(error) = super::fault::strike(id) {
        return Err(LaunchError::step(id, step, error.into()));
    }
    run(hook, state, pid, Place::Host { bundle: state.bundle })
        .map_err(|cause| LaunchError::step(id, step, cause))
}

/// Runs one hook with the credentials of this process, and waits for its end.
pub(super) fn run(
    hook: &Hook,
    state: &HookState<'_>,
    pid: Option<i32>,
    place: Place<'_>,
) -> std::result::Result<(), Cause> {
    let failed = |error: Errno| not_run(hook, error);
    let inherited = call::inherited_environment(hook).map_err(failed)?;
    let document = state.document(hook.stage.status(), pid);
    let call = Call::new(hook, &inherited, &document, place).map_err(failed)?;
    let (mut output, write_end) = Output::new().map_err(failed)?;
    let (report, report_end) = call::report().map_err(failed)?;
    let (pid, child) = spawn::hook(&call, write_end.as_fd(), report_end.as_fd()).map_err(failed)?;
    drop((write_end, report_end));
    if let Some(error) = call::heard(report) {
        let _ = process::wait_for(pid);
        return Err(failed(error));
    }
    match attend(child.as_fd(), pid, hook.timeout_sec, &mut output).map_err(failed)? {
        Some(ended) => judge(hook, ended, &output.text()),
        None => Err(timed_out(hook, &output.text())),
    }
}

/// Waits for the end of a hook, and kills it once its time is over: `None` then.
fn attend(
    child: BorrowedFd<'_>,
    pid: i32,
    timeout_sec: Option<u32>,
    output: &mut Output,
) -> Result<Option<Ended>> {
    let deadline =
        timeout_sec.map(|seconds| Instant::now() + Duration::from_secs(u64::from(seconds)));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut events = vec![PollFd::from_borrowed_fd(child, PollFlags::IN)];
        events.extend(output.as_fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let ready = match rustix::event::poll(&mut events, left.as_ref()) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(Errno::from_raw(error.raw_os_error())),
        };
        let has_ended = events.first().is_some_and(|event| !event.revents().is_empty());
        drop(events);
        if ready == 0 {
            call::kill(child, pid);
            process::wait_for(pid)?;
            output.take();
            return Ok(None);
        }
        output.take();
        if has_ended {
            return process::wait_for(pid).map(Some);
        }
    }
}

/// What the end of a hook means.
pub(super) fn judge(hook: &Hook, ended: Ended, said: &str) -> std::result::Result<(), Cause> {
    let how = match ended {
        Ended::Exited(0) => return Ok(()),
        Ended::Exited(status) => format!("exit status {status}"),
        // What the filter does to a call that it does not allow.
        Ended::Killed(libc::SIGSYS) => "killed by signal 31: bad system call".to_owned(),
        Ended::Killed(signal) => format!("killed by signal {signal}"),
    };
    Err(Cause::said(format!("error running {hook}: {how}{}", quoted(said))))
}

/// A hook that could not be run at all.
pub(super) fn not_run(hook: &Hook, error: Errno) -> Cause {
    let why = if error == Errno::ESTALE {
        "its path leads elsewhere from inside the container".to_owned()
    } else {
        error.desc().to_lowercase()
    };
    Cause::with_detail(error, format!("error running {hook}: {why}"))
}

/// A hook that took too long.
pub(super) fn timed_out(hook: &Hook, said: &str) -> Cause {
    let seconds = hook.timeout_sec.unwrap_or(0);
    Cause::said(format!(
        "error running {hook}: it ran past its timeout of {seconds} s, and was killed{}",
        quoted(said)
    ))
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", saying: {said}") }
}

/// Where hooks of the host stand when they are run: in the bundle, while that is there.
pub(super) fn directory(bundle: &Path) -> &Path {
    if bundle.is_dir() { bundle } else { Path::new("/") }
}
