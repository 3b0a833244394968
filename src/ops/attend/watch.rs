//! A process of ours that answers as the filter would have answered, and notes what it sees.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::failed;
use crate::ops::{OpsError, Result};
use crate::plan::listener::WatchPlan;
use crate::plan::text::HostPath;
use crate::record::agent::{self, Agent, Results};
use crate::record::output::Output;
use crate::record::watcher::Watcher;
use crate::seccomp::Abi;
use crate::store::{Entry, ProcessId, REFUSALS_FILE, REFUSALS_TEMPORARY, Record, WATCH_SOCKET};
use crate::sys::{Errno, notify, socket};

/// A watcher that is ready, or was started.
pub(in crate::ops) struct Watch<'a> {
    entry: &'a Entry,
    record: &'a mut Record,
    ready: Option<(Watcher, Results)>,
    started: Option<Agent>,
}

/// Opens the files in which the results go.
pub(super) fn results(doing: &str, plan: &WatchPlan) -> Result<Results> {
    let open = |path: &HostPath| {
        Output::open(Path::new(path.as_str())).map_err(|error| failed(doing, &error))
    };
    notify::check_sizes().map_err(|error| {
        OpsError::failed(doing, format!("seccomp notifications: {error:?}"))
            .fact("undone", "nothing was created")
    })?;
    Ok(Results {
        profile: plan.profile.as_ref().map(open).transpose()?,
        report: plan.report.as_ref().map(open).transpose()?,
    })
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        doing: &str,
        plan: &WatchPlan,
        entry: &'a Entry,
        record: &'a mut Record,
    ) -> Result<Self> {
        let native = Abi::native().ok_or_else(|| {
            OpsError::failed(doing, "there is no table of system calls for this processor")
        })?;
        let mut watcher = Watcher::new(entry.id().as_str(), plan.basis.clone(), native)
            .map_err(|error| failed(doing, &error))?;
        let dir = entry.open_again().map_err(|error| failed(doing, &error))?;
        let log = Output::at(dir, REFUSALS_FILE, REFUSALS_TEMPORARY.to_owned());
        watcher.keep_log(log.map_err(|error| failed(doing, &error))?);
        let control = socket::listen_in(entry.dir(), WATCH_SOCKET).map_err(|error| {
            OpsError::failed(doing, format!("listen for further filters: {error:?}"))
        })?;
        watcher.take_more_from(control);
        let results = results(doing, plan)?;
        Ok(Self { entry, record, ready: Some((watcher, results)), started: None })
    }

    /// Starts the process, and records it before init may go on.
    pub(super) fn take(&mut self, listener: OwnedFd) -> std::result::Result<(), String> {
        let Some((mut watcher, results)) = self.ready.take() else {
            return Err("the filter has a second listener".to_owned());
        };
        watcher.add(listener);
        let agent = agent::spawn(watcher, results)
            .map_err(|error| format!("start a process that answers: {error:?}"))?;
        let id = ProcessId::observe(agent.pid)
            .map_err(|error| format!("look at the process that answers: {error:?}"))?;
        // Others may have worked on the container meanwhile.
        let said = |error: crate::store::StoreError| error.to_string();
        self.entry.lock_again().map_err(said)?;
        *self.record = self.entry.read_state().map_err(said)?;
        self.record.watcher = Some(id);
        self.entry.write_state(self.record).map_err(said)?;
        self.started = Some(agent);
        Ok(())
    }

    /// Readable once the process has ended, which it must not do first.
    pub(super) fn ended(&self) -> Option<BorrowedFd<'_>> {
        self.started.as_ref().map(|agent| agent.process.as_fd())
    }

    pub(super) fn confirm(&self) {
        if let Some(agent) = &self.started {
            agent.confirm();
        }
    }
}

/// How long the process that watches may take to take one more listener.
const PATIENCE: Duration = Duration::from_secs(5);

/// The process that watches a container, for one more filter in it.
pub(in crate::ops) struct Watched<'a> {
    /// The container's directory.
    pub(super) dir: BorrowedFd<'a>,
}

/// Fails where the process that watches is not there: before `start`, and if it has died.
pub(super) fn check_again(doing: &str, record: &Record) -> Result<()> {
    let Some(watcher) = record.watcher else {
        let why = "its filter is watched, and nobody watches before it is started";
        return Err(OpsError::failed(doing, why).hint("start the container first"));
    };
    if watcher.is_alive().unwrap_or(false) {
        return Ok(());
    }
    let why = "its filter is watched, and the process that did so has ended";
    Err(OpsError::failed(doing, why).hint("start the container again"))
}

impl Watched<'_> {
    /// Has the process that watches take a listener.
    pub(super) fn take(&self, listener: OwnedFd) -> std::result::Result<(), String> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: Errno| format!("{what} the process that watches the container: {error:?}")
        };
        let connection =
            socket::connect_in(self.dir, WATCH_SOCKET).map_err(failed("connect to"))?;
        socket::send_fd(connection.as_fd(), b"l", listener.as_fd())
            .map_err(failed("send the listener to"))?;
        let mut byte = [0; 1];
        match socket::receive_within(connection.as_fd(), &mut byte, PATIENCE) {
            Ok(1) => Ok(()),
            Ok(_) => Err(failed("be heard by")(Errno::EPIPE)),
            Err(error) => Err(failed("be heard by")(error)),
        }
    }
}
