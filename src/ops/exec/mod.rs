//! `exec`: another program in a container that exists.

mod container;
mod wait;

use std::os::fd::AsFd;
use std::path::PathBuf;

use container::Container;

use super::relay::Terminal;
use super::terminal::{self, Wanted};
use super::{Context, Failure, OpsError, Result, attend, pid_file, record, relay, signals};
use crate::cgroup::Cgroup;
use crate::engine::exec::{self, Entered};
use crate::engine::{self, LaunchError, StepFailure};
use crate::host::{bundle, lsm, probe};
use crate::plan::exec::{ExecAsked, ExecFault, ExecInputs, id_map};
use crate::plan::{self, GroupBelow, LaunchPlan};
use crate::policy::Level;
use crate::store::ranges::Range;
use crate::sys::{Errno, fd, process, socket};

/// What `exec` is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// The container's id, as given.
    pub id: String,
    /// A document that describes the process.
    pub process: Option<PathBuf>,
    /// What is said beside the document.
    pub asked: ExecAsked,
    /// Groups below the container's own to enter.
    pub below: Vec<GroupBelow>,
    /// A socket that gets the terminal.
    pub console_socket: Option<PathBuf>,
    /// A socket that gets a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// A file that gets its process id.
    pub pid_file: Option<PathBuf>,
    /// Return once it has started.
    pub detach: bool,
    /// How many descriptors above 2 it inherits.
    pub preserve: u32,
    /// Enter a container that is paused; the process waits until that goes on.
    pub ignore_paused: bool,
}

/// The exit status of an `exec` that started nothing: no engine mistakes it for the program's. The
/// 126 and 127 of shells are made from the words of the error, by engines themselves.
const NOT_STARTED: u8 = 255;

/// Runs a program in a container; gives its exit status (0 when detached).
///
/// # Errors
/// Why it did not start; the container is as it was.
pub fn exec(context: &Context, request: &ExecRequest) -> Result<u8> {
    let doing = format!("exec `{}`", request.id);
    perform(context, request, &doing).map_err(|mut error| {
        if error.failure == Failure::Failed {
            error.failure = Failure::Status(NOT_STARTED);
        }
        error
    })
}

fn perform(context: &Context, request: &ExecRequest, doing: &str) -> Result<u8> {
    let failed = |error: &dyn std::error::Error| OpsError::because(doing, error);
    // Before there is a process that a signal could be meant for.
    let signals = signals::take().map_err(|error| failed(&error))?;
    engine::guard_this_process().map_err(|error| failed(&error))?;
    if request.preserve > fd::inherited_count() {
        let what =
            format!("--preserve-fds {}: not all of these descriptors are open", request.preserve);
        return Err(OpsError::failed(doing, what)
            .hint("give the number of descriptors from 3 on that the program shall have"));
    }
    let container = Container::open(context, doing, request)?;
    engine::protect::continue_read_only(&container.plan, request.preserve)
        .map_err(|error| OpsError::failed(doing, format!("hide its own file: {error:?}")))?;
    let plan = plan(context, doing, request, &container)
        .inspect_err(|error| record::refused(&container.record.id, error))?;
    attend::check_again(doing, &plan, &container.record)?;
    let (entered, terminal) = enter(doing, request, &container, &plan)
        .inspect_err(|error| container.record_failure(error))?;
    // The process is in the container's group: whoever deletes the container finds it. Others
    // may go on, also one that lets a paused container go on.
    let container = container.release(doing).inspect_err(|_| entered.end())?;
    let mut attending = container.attending(&plan, entered.pid);
    let mut become_program = || {
        let became = entered.became_program(&plan, &mut attending);
        became.map_err(|error| step_error(doing, &error))
    };
    let started = wait::until_running(&entered, &signals)
        .map_err(|message| OpsError::failed(doing, message))
        .and_then(|()| become_program())
        .and_then(|()| announce(doing, request, &entered).inspect_err(|_| entered.end()))
        .inspect_err(|error| container.record_failure(error));
    started?;
    drop(attending);
    container.record_exec(&plan);
    if request.detach {
        return Ok(0);
    }
    let ended = match terminal {
        Some(terminal) => terminal.carry(&signals, entered.process.as_fd(), entered.pid, None),
        None => signals.wait_forwarding(entered.process.as_fd(), entered.pid, None),
    };
    if ended.is_err() {
        // Nobody would see it through.
        entered.end();
    }
    let ended = ended
        .map_err(|error| OpsError::failed(doing, format!("wait for the program: {error:?}")))?;
    Ok(ended.status())
}

/// Decides everything.
fn plan(
    context: &Context,
    doing: &str,
    request: &ExecRequest,
    container: &Container,
) -> Result<LaunchPlan> {
    let policy = super::prepare::load_policy(context, doing)?;
    let mut asked = request.asked.clone();
    if let Some(path) = &request.process {
        asked.document = Some(container.document(doing, path)?);
    }
    let defaults = container.plan.exec.as_ref().map(|defaults| &defaults.process);
    let rlimits = [asked.document.as_ref(), defaults];
    let rlimits =
        rlimits.into_iter().flatten().flat_map(|process| process.rlimits().iter().flatten());
    let mut facts = probe::exec_facts(rlimits).map_err(|error| OpsError::because(doing, &error))?;
    facts.joins_v1 = container.cgroup.as_ref().is_some_and(Cgroup::needs_v1);
    if container.plan.level == Level::Audit.as_str() {
        facts.bounding = process::bounding_set();
    }
    let documents = [asked.document.as_ref(), defaults].into_iter().flatten();
    let labels =
        documents.flat_map(|process| [process.apparmor_profile(), process.selinux_label()]);
    if labels.chain([&asked.apparmor, &asked.label]).any(Option::is_some) {
        facts.lsm = lsm::facts();
    }
    let inputs = ExecInputs {
        plan: &container.plan,
        asked: &asked,
        below: &request.below,
        facts: &facts,
        policy: &policy,
    };
    plan::exec::build(&inputs).map_err(|fault| match fault {
        ExecFault::Refused(refusals) => OpsError::refused(doing, &refusals),
        ExecFault::Faulty(faults) => listed(doing, faults.iter().map(ToString::to_string)),
    })
}

/// All faults: the first one in the sentence, the others as facts.
fn listed(doing: &str, mut faults: impl Iterator<Item = String>) -> OpsError {
    let first = faults.next().unwrap_or_default();
    let mut error = OpsError::failed(doing, format!("process: {first}"));
    error.facts.extend(faults.take(8).map(|fault| ("also", fault)));
    error.fact("undone", "nothing was started")
}

/// Does it, up to the point where the process is on its own.
fn enter(
    doing: &str,
    request: &ExecRequest,
    container: &Container,
    plan: &LaunchPlan,
) -> Result<(Entered, Option<Terminal>)> {
    let has_terminal = plan.steps.iter().any(|step| step.action == plan::Action::HandOverTerminal);
    let wanted = Wanted {
        terminal: has_terminal,
        property: "/terminal",
        socket: request.console_socket.as_deref(),
        detached: request.detach,
    };
    let (console, relay) = terminal::console(doing, wanted)?;
    let launch = exec::ExecRequest {
        id: container.record.id.as_str(),
        init: container.init,
        cgroup: container.cgroup.as_ref(),
        hierarchies: &container.hierarchies,
        ids: id_map(&container.plan),
        base: container.record.range.map_or(0, Range::base),
        console: console.as_ref().map(AsFd::as_fd),
        preserve: request.preserve,
    };
    let entered = exec::enter(plan, &launch).map_err(|error| step_error(doing, &error))?;
    let terminal = match relay.map(relay::Relay::receive).transpose() {
        Ok(terminal) => terminal,
        Err(error) => {
            entered.end();
            return Err(OpsError::failed(doing, format!("receive the terminal: {error:?}")));
        }
    };
    Ok((entered, terminal))
}

/// A failed step.
fn step_error(doing: &str, error: &LaunchError) -> OpsError {
    let LaunchError::Step(step) = error else { return OpsError::because(doing, error) };
    if is_of_ended_init(step) {
        return OpsError::failed(doing, "container not running: it ended just now")
            .fact("undone", "nothing was started");
    }
    let mut failed = OpsError::failed(doing, step.to_string())
        .fact("asked for by", step.origin.to_string())
        .fact("undone", "everything before it; the container is as before");
    failed.hint = step.hint.map(str::to_owned);
    failed
}

/// Whether init was gone when it was to be looked at, or entered: it was there a moment before.
fn is_of_ended_init(step: &StepFailure) -> bool {
    let of_init = ["exec.open-init", "ns.enter-init"].contains(&step.name);
    of_init && matches!(step.errno, Some(Errno::ENOENT | Errno::ESRCH))
}

/// Tells the caller which process it is, now that it has become its program.
fn announce(doing: &str, request: &ExecRequest, entered: &Entered) -> Result<()> {
    if let Some(path) = &request.pidfd_socket {
        let failed = |error| {
            OpsError::failed(doing, format!("send a pidfd to {}: {error:?}", path.display()))
        };
        let socket = socket::connect_stream(path).map_err(failed)?;
        socket::send_fd(socket.as_fd(), b"pidfd", entered.process.as_fd()).map_err(failed)?;
    }
    if let Some(path) = &request.pid_file {
        pid_file::write(path, entered.pid).map_err(|error| {
            OpsError::failed(doing, format!("write {}: {error}", path.display()))
        })?;
    }
    Ok(())
}

/// Reads a process document of the caller's.
fn read_document(doing: &str, path: &std::path::Path) -> Result<Vec<u8>> {
    bundle::read_process(path).map_err(|error| OpsError::because(doing, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Origin, StepId};

    fn said_of(name: &'static str, errno: Errno) -> String {
        let failure = StepFailure {
            id: StepId(3),
            name,
            object: String::new(),
            errno: Some(errno),
            detail: None,
            origin: Origin::Builtin("casemate".into()),
            hint: None,
            hooks_begun: false,
        };
        step_error("exec `web-1`", &LaunchError::Step(Box::new(failure))).message
    }

    #[test]
    fn of_a_container_that_ends_meanwhile_is_said_what_engines_look_for() {
        let said = "container not running: it ended just now";

        assert_eq!(said_of("exec.open-init", Errno::ENOENT), said);
        assert_eq!(said_of("ns.enter-init", Errno::ESRCH), said);
        assert_ne!(said_of("ns.enter-init", Errno::EPERM), said);
        assert_ne!(said_of("process.find-program", Errno::ENOENT), said);
    }
}
