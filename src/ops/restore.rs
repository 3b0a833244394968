//! `restore`: makes a container again from the files that `checkpoint` wrote.
//!
//! The bundle is read and judged as for `create`, under the policy that holds now. What CRIU makes
//! is compared with that plan, and with what the container was, while all of it stands still: if
//! anything is not as it should be, it is killed before it has run one instruction.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::Process;

use super::checkpoint::{self, Images, Saved};
use super::create;
use super::prepare::{self, Otherwise, Prepared};
use super::relay::Relay;
use super::terminal::Wanted;
use super::{Context, CreateRequest, OpsError, Result, attend, hooks, record, signals, terminal};
use crate::audit::EventKind;
use crate::criu::{Criu, Flags, Options};
use crate::engine::restore::{Restoration, RestoreError, Restored, restore as make};
use crate::engine::{self, Request};
use crate::plan;
use crate::spec::id::ContainerId;
use crate::store::{Entry, Phase, ProcessId, Record, Store};
use crate::sys::flags;
use crate::verify::{self, Drift, Expected};

/// What `restore` is asked for.
#[derive(Debug, Clone, Default)]
pub struct RestoreRequest {
    /// As for `create`: id, bundle, files and sockets.
    pub create: CreateRequest,
    /// Where the images are.
    pub image_path: PathBuf,
    /// Where the log goes, if not to the images.
    pub work_path: Option<PathBuf>,
    /// Return as soon as the container runs.
    pub detach: bool,
    /// CRIU's switches.
    pub flags: Flags,
    /// Leave the network namespace empty.
    pub empty_network: bool,
    /// Kind and name of the label that processes get.
    pub lsm_profile: Option<String>,
    /// The label of mounts.
    pub lsm_mount_context: Option<String>,
}

/// Makes a container again; gives the exit status of its program (0 when detached).
///
/// # Errors
/// Why not; nothing is left behind.
pub fn restore(context: &Context, request: &RestoreRequest) -> Result<u8> {
    let doing = format!("restore `{}`", request.create.id);
    let doing = doing.as_str();
    let failed = |error: &dyn std::error::Error| OpsError::because(doing, error);
    let signals = signals::take().map_err(|error| failed(&error))?;
    engine::guard_this_process().map_err(|error| failed(&error))?;
    let id = ContainerId::parse(&request.create.id)
        .map_err(|error| OpsError::failed(doing, error.to_string()))?;
    let mut prepared =
        prepare::prepare(context, doing, &request.create.bundle, Some(&id), &Otherwise::default())
            .inspect_err(|error| record::refused(&id, error))?;
    prepared.plan.restored = true;
    prepared.document = prepared.plan.to_json().map_err(|error| failed(&error))?;
    prepared.digest = plan::digest(&prepared.document);
    attend::check(doing, &prepared.plan)?;
    checkpoint::refuse_obstacles(doing, &prepared.plan, "can be made again exactly")?;
    let images = Images::open(doing, &request.image_path, request.work_path.as_deref())?;
    let saved = images.saved(doing)?;
    let criu = checkpoint::criu(context, doing)?;
    let process = prepared.judged.spec.process().as_ref();
    let wanted = Wanted {
        terminal: process.and_then(Process::terminal) == Some(true),
        property: "/process/terminal",
        socket: request.create.console_socket.as_deref(),
        detached: request.detach,
    };
    let (console, relay) = terminal::console(doing, wanted)?;
    let store = Store::open(&context.root).map_err(|error| super::stored(doing, &error))?;
    let entry = store.reserve(&id).map_err(|error| super::stored(doing, &error))?;
    let work = Work { doing, request, prepared: &prepared, criu: &criu, images: &images, saved };
    let (restored, record) = match work.perform(&entry, console) {
        Ok(made) => made,
        Err(error) => {
            record::failed(&id, &prepared.plan, &prepared.digest, &error);
            return Err(match entry.remove() {
                Ok(()) => error,
                Err(left) => error.fact("left", left.to_string()),
            });
        }
    };
    record::event(EventKind::Restored, &id, &prepared.plan, &prepared.digest);
    if request.detach {
        return Ok(0);
    }
    drop(entry);
    let terminal = relay.map(Relay::receive).transpose();
    let terminal = terminal
        .map_err(|error| OpsError::failed(doing, format!("receive the terminal: {error:?}")))?;
    let (init, pid) = (restored.process.as_fd(), restored.pid);
    let waited = match terminal {
        Some(terminal) => terminal.carry(&signals, init, pid, None),
        None => signals.wait_forwarding(init, pid, None),
    };
    // The program's status is the answer; what could not be removed is for `delete`.
    if let Err(error) = super::delete::after_run(context, &request.create.id, &record) {
        tracing::debug!("{error}");
    }
    let ended =
        waited.map_err(|error| OpsError::failed(doing, format!("wait for init: {error:?}")))?;
    Ok(ended.status())
}

/// A restore under way.
struct Work<'a> {
    doing: &'a str,
    request: &'a RestoreRequest,
    prepared: &'a Prepared,
    criu: &'a Criu,
    images: &'a Images,
    saved: Saved,
}

/// The name of CRIU's log.
const LOG: &str = "restore.log";

impl Work<'_> {
    fn perform(&self, entry: &Entry, console: Option<OwnedFd>) -> Result<(Restored, Record)> {
        let stored = |error: &crate::store::StoreError| super::stored(self.doing, error);
        let plan = &self.prepared.plan;
        let mut record = create::first_record(self.prepared, entry);
        entry.write_state(&record).map_err(|error| stored(&error))?;
        entry.write_plan(&self.prepared.document).map_err(|error| stored(&error))?;
        let told = record.clone();
        let launch = Request {
            id: entry.id().as_str(),
            ranges: None,
            owner: entry.owner().map_err(|error| stored(&error))?,
            pod: None,
            joined: &self.prepared.joined,
            hierarchies: &self.prepared.hierarchies,
            listener: None,
            console: console.as_ref().map(AsFd::as_fd),
            preserve: 0,
            environment: &[],
            notify: None,
            state: hooks::state(&told),
            recorded: Some((entry, &told)),
            keep_keyring: false,
        };
        let restoration = Restoration {
            criu: self.criu,
            options: self.options(),
            outside: &self.saved.outside,
            directory: (entry.dir(), entry.path()),
        };
        let restored = make(plan, &launch, restoration).map_err(|error| self.failed(&error))?;
        let settled = self.check(&restored).and_then(|()| {
            self.finish(entry, &mut record, &restored)?;
            restored.cgroup.thaw().map_err(|error| OpsError::because(self.doing, &error))
        });
        match settled {
            Ok(()) => Ok((restored, record)),
            Err(error) => {
                restored.abandon(&launch);
                Err(error.fact("undone", "all that was made again was killed; the images remain"))
            }
        }
    }

    /// Records it as a container that runs, and tells the caller its process id.
    fn finish(&self, entry: &Entry, record: &mut Record, restored: &Restored) -> Result<()> {
        let because = |error: &dyn std::error::Error| OpsError::because(self.doing, error);
        let process = ProcessId::observe(restored.pid)
            .map_err(|errno| OpsError::failed(self.doing, format!("look at init: {errno:?}")))?;
        record.process = Some(process);
        let saved = serde_json::to_value(restored.cgroup.save());
        record.cgroup = saved.map_err(|error| because(&error))?;
        record.phase = Phase::Created;
        entry.write_state(record).map_err(|error| super::stored(self.doing, &error))?;
        match &self.request.create.pid_file {
            Some(path) => super::pid_file::write(path, restored.pid).map_err(|error| {
                OpsError::failed(self.doing, format!("write {}: {error}", path.display()))
            }),
            None => Ok(()),
        }
    }

    fn options(&self) -> Options {
        Options {
            images: self.images.dir().as_raw_fd(),
            work: self.images.work().map(|work| work.as_raw_fd()),
            log: LOG,
            empty_namespaces: if self.request.empty_network {
                flags::ns::NET.cast_unsigned()
            } else {
                0
            },
            lsm_profile: self.request.lsm_profile.clone(),
            lsm_mount_context: self.request.lsm_mount_context.clone(),
            flags: self.request.flags,
            ..Options::default()
        }
    }

    fn failed(&self, error: &RestoreError) -> OpsError {
        match error {
            RestoreError::Launch(error) => create::launch_error(self.doing, error),
            RestoreError::Criu(error) => checkpoint::failed(self.doing, error, self.images, LOG)
                .fact("undone", "everything; the images remain"),
            RestoreError::Nobody => OpsError::because(self.doing, error),
        }
    }

    /// Looks at what was made, and refuses what is not as it should be.
    fn check(&self, restored: &Restored) -> Result<()> {
        #[cfg(feature = "fault")]
        if engine::fault::skips("restore.compare") {
            return Ok(());
        }
        let because = |error: &dyn std::error::Error| OpsError::because(self.doing, error);
        let plan = &self.prepared.plan;
        let expected = Expected::of(plan);
        let pids = restored.cgroup.pids().map_err(|error| because(&error))?;
        let mut drifts = Vec::new();
        if !pids.contains(&restored.pid) {
            drifts.push(Drift {
                what: "the control group of init".to_owned(),
                planned: restored.cgroup.path().as_str().to_owned(),
                found: "another one".to_owned(),
            });
        }
        let now =
            verify::observe(restored.pid, &pids, &expected).map_err(|error| because(&error))?;
        drifts.extend(verify::compare::with_plan(&expected, &now));
        if expected.filter.is_some() {
            let filter = verify::filter(restored.pid).map_err(|error| because(&error))?;
            drifts.extend(verify::compare::with_filter(&expected, filter.as_deref()));
        }
        drifts.extend(verify::compare::with_before(&self.saved.before, &now));
        checkpoint::refuse_drifts(self.doing, "what was made again is not the same", &drifts)
    }
}
