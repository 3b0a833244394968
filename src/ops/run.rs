//! `run`: create, start, wait, delete.

use std::os::fd::AsFd;

use super::create::{self, Made, Way, launch_error};
use super::filter::ReportRequest;
use super::notify::Notifier;
use super::relay::Relay;
use super::{Context, CreateRequest, OpsError, Result, attend, hooks, record, signals};
use crate::audit::EventKind;
use crate::engine::{self, Launched};
use crate::record::report::Report;
use crate::store::{Record, Store, StoreError};
use crate::sys::process;

/// What `run` is asked for beyond `create`.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// As for `create`.
    pub create: CreateRequest,
    /// Return once it is started (`--detach`).
    pub detach: bool,
    /// Do not delete it when it has ended (`--keep`).
    pub keep: bool,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// The exit status of its program, as a shell shows it; 0 when detached.
    pub status: u8,
    /// What could not be done, and changed nothing else.
    pub warnings: Vec<String>,
    /// What its filter refused, if that was to be reported here.
    pub refusals: Option<Report>,
}

/// Runs a container.
///
/// # Errors
/// Why it did not start; nothing is left behind.
pub fn run(context: &Context, request: &RunRequest) -> Result<Ran> {
    let doing = format!("run `{}`", request.create.id);
    // Before there is a process that a signal could be meant for.
    let signals = signals::take().map_err(|error| OpsError::because(doing.as_str(), &error))?;
    let way = if request.detach { Way::RunDetached } else { Way::Run };
    let mut made = create::make(context, &request.create, way)?;
    let terminal = match made.relay.take().map(Relay::receive).transpose() {
        Ok(terminal) => terminal,
        Err(error) => {
            let what = format!("receive the terminal: {error:?}");
            return Err(made.take_back(OpsError::failed(doing, what)));
        }
    };
    // The other side watches whom it would wait for: this process, as long as it stays.
    let main_pid = if request.detach {
        made.launched.pid
    } else {
        i32::try_from(std::process::id()).unwrap_or(0)
    };
    let notifier = Notifier::of(&made.entry, main_pid);
    if let Err(error) = start(&doing, &mut made) {
        let id = made.entry.id();
        record::failed(id, &made.prepared.plan, &made.prepared.digest, &error);
        return Err(match made.entry.lock_again() {
            Ok(()) => made.take_back(error),
            // It is no longer ours to remove.
            Err(StoreError::DoesNotExist { .. }) => {
                made.give_up(error).fact("undone", "everything, by who deleted the container")
            }
            Err(other) => made.give_up(error).fact("left", other.to_string()),
        });
    }
    let Made { prepared, entry, launched, record, .. } = made;
    record::event(EventKind::Started, entry.id(), &prepared.plan, &prepared.digest);
    // While the program runs, other commands may work on the container.
    drop(entry);
    let gone = |error| take_back(context, request, &launched, &record, error);
    if let Err(error) = hooks::poststart(&prepared.plan, &record) {
        let error = launch_error(&doing, &error);
        record::failed(&record.id, &prepared.plan, &prepared.digest, &error);
        return Err(gone(error));
    }
    let mut warnings = prepared.leave();
    if request.detach {
        return match notifier.map(|it| it.wait(launched.process.as_fd(), Some(&signals))) {
            None | Some(Ok(true)) => Ok(Ran { warnings, ..Ran::default() }),
            Some(Ok(false)) => {
                let what = "told to end before the program was ready";
                Err(gone(OpsError::failed(doing.as_str(), what)))
            }
            Some(Err(error)) => {
                let what = format!("wait until the program is ready: {error:?}");
                Err(gone(OpsError::failed(doing.as_str(), what)))
            }
        };
    }
    let (init, pid) = (launched.process.as_fd(), launched.pid);
    let waited = match terminal {
        Some(terminal) => terminal.carry(&signals, init, pid, notifier),
        None => signals.wait_forwarding(init, pid, notifier),
    };
    let ended = waited.map_err(|error| {
        // Nobody would see it through.
        gone(OpsError::failed(doing.as_str(), format!("wait for init: {error:?}")))
    })?;
    let status = ended.status();
    let refusals = refusals(context, request, &record);
    if request.keep {
        return Ok(Ran { status, warnings, refusals });
    }
    // The program's status is the answer; what could not be removed is for `delete`.
    match super::delete::after_run(context, &request.create.id, &record) {
        Ok(said) => warnings.extend(said),
        Err(error) => tracing::debug!("{error}"),
    }
    Ok(Ran { status, warnings, refusals })
}

/// Ends a container that runs and must not, because of `error`.
fn take_back(
    context: &Context,
    request: &RunRequest,
    launched: &Launched,
    record: &Record,
    error: OpsError,
) -> OpsError {
    let _ = process::signal(launched.process.as_fd(), libc::SIGKILL);
    let _ = process::wait_for(launched.pid);
    launched.take_back_mount_points();
    match super::delete::after_run(context, &request.create.id, record) {
        Ok(warnings) => {
            warnings.into_iter().fold(error, |error, warning| error.fact("warning", warning))
        }
        Err(left) => error.fact("left", left.message),
    }
}

/// What was refused, when whoever watched is done.
fn refusals(context: &Context, request: &RunRequest, record: &Record) -> Option<Report> {
    attend::see_off(record);
    if request.create.otherwise.watch.report != ReportRequest::ToStandardError {
        return None;
    }
    let store = Store::open(&context.root).ok()?;
    let bytes = store.read_refusals(&record.id).ok()?;
    bytes.map_or_else(|| Some(Report::none(record.id.as_str())), |bytes| Report::parse(&bytes).ok())
}

/// Lets its init become the program.
fn start(doing: &str, made: &mut Made) -> Result<()> {
    let plan = &made.prepared.plan;
    let mut attending = attend::attending(doing, plan, &made.entry, &mut made.record)?;
    // As for the command `start`: the image says how long this takes.
    made.entry.unlock();
    engine::start(made.launched.waiting(), plan, &mut attending)
        .map_err(|error| launch_error(doing, &error))?;
    attending.confirm();
    Ok(())
}
