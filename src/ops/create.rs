//! `create`: everything up to the point where the container waits for `start`.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::runtime::Process;

use super::activation::Activation;
use super::pod::Fellow;
use super::prepare::{self, Otherwise, Prepared};
use super::relay::Relay;
use super::terminal::{self, Wanted};
use super::{Context, OpsError, RANGES, Result, attend, error, hooks, record};
use crate::audit::EventKind;
use crate::engine::{self, LaunchError, Launched, Request};
use crate::plan::build::CreateOptions;
use crate::plan::mount::Filesystem;
use crate::plan::{Action, IdMap, LaunchPlan, Namespace, Track};
use crate::spec::id::ContainerId;
use crate::store::ranges::Ranges;
use crate::store::{Entry, Phase, ProcessId, Record, START_SOCKET, Store, rfc3339};
use crate::sys::{fd, process, socket};

/// What `create` and `run` are asked for.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The container's id, as given.
    pub id: String,
    /// The directory that holds config.json.
    pub bundle: PathBuf,
    /// A file that gets init's process id.
    pub pid_file: Option<PathBuf>,
    /// A socket that gets the terminal.
    pub console_socket: Option<PathBuf>,
    /// A socket that gets a pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// What else was asked for.
    pub options: CreateOptions,
    /// What is wanted otherwise than the bundle has it.
    pub otherwise: Otherwise,
}

/// Creates a container, and returns what its caller should know nevertheless.
///
/// # Errors
/// Why not; nothing is left behind.
pub fn create(context: &Context, request: &CreateRequest) -> Result<Vec<String>> {
    make(context, request, Way::Create).map(|made| made.prepared.leave())
}

/// What becomes of a container once it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Another command starts it, through a socket in its state directory.
    Create,
    /// This command starts it, and leaves it to itself.
    RunDetached,
    /// This command starts it, and stays until its end.
    Run,
}

impl Way {
    fn verb(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::RunDetached | Self::Run => "run",
        }
    }
}

/// A container that was created, still under its lock.
#[derive(Debug)]
pub(super) struct Made {
    /// What it was made from.
    pub prepared: Prepared,
    /// Its place in the store.
    pub entry: Entry,
    /// Its init.
    pub launched: Launched,
    /// What is recorded of it.
    pub record: Record,
    /// Where its terminal arrives, if it is for this command to carry.
    pub relay: Option<Relay>,
}

/// Creates a container for `create` and for `run`.
pub(super) fn make(context: &Context, request: &CreateRequest, way: Way) -> Result<Made> {
    let doing = format!("{} `{}`", way.verb(), request.id);
    let failed = |error: &dyn std::error::Error| OpsError::because(doing.as_str(), error);
    super::caller::check(&doing)?;
    engine::guard_this_process().map_err(|error| failed(&error))?;
    let activation = Activation::of_this_process();
    let preserve = activation.count.saturating_add(request.options.preserve);
    if preserve > fd::inherited_count() {
        // What is open there now is ours: it leads to the host's files.
        let asked = match activation.count {
            0 => format!("--preserve-fds {preserve}"),
            listening => {
                format!("LISTEN_FDS={listening} and --preserve-fds {}", request.options.preserve)
            }
        };
        return Err(OpsError::failed(
            doing.as_str(),
            format!("{asked}: not all of these descriptors are open"),
        )
        .hint("give the number of descriptors from 3 on that the container shall have"));
    }
    let id = ContainerId::parse(&request.id)
        .map_err(|error| OpsError::failed(doing.as_str(), error.to_string()))?;
    let prepared =
        prepare::prepare(context, &doing, &request.bundle, Some(&id), &request.otherwise)
            .inspect_err(|error| record::refused(&id, error))?;
    attend::check(&doing, &prepared.plan)?;
    engine::protect::continue_read_only(&prepared.plan, preserve).map_err(|error| {
        OpsError::failed(doing.as_str(), format!("hide its own file: {error:?}"))
    })?;
    let process = prepared.judged.spec.process().as_ref();
    let wanted = Wanted {
        terminal: process.and_then(Process::terminal) == Some(true),
        property: "/process/terminal",
        socket: request.console_socket.as_deref(),
        detached: way != Way::Run,
    };
    let (console, relay) = terminal::console(&doing, wanted)?;
    let store = Store::open(&context.root).map_err(|error| super::stored(&doing, &error))?;
    let entry = store.reserve(&id).map_err(|error| super::stored(&doing, &error))?;
    let mut record = first_record(&prepared, &entry);
    let activation = &activation;
    let making =
        Making { doing: &doing, request, prepared: &prepared, entry: &entry, way, activation };
    match making.launch(&mut record, console) {
        Ok(launched) => {
            let made = Made { prepared, entry, launched, record, relay };
            // The last act: an init that hears nothing of it ends.
            if way == Way::Create
                && let Err(error) = made.launched.release()
            {
                return Err(made.take_back(OpsError::because(doing, &error)));
            }
            record::event(EventKind::Created, &id, &made.prepared.plan, &made.prepared.digest);
            Ok(made)
        }
        Err(NotMade { mut error, hooks_begun }) => {
            record::failed(&id, &prepared.plan, &prepared.digest, &error);
            if let Err(left) = entry.remove() {
                error = error.fact("left", left.to_string());
            }
            if hooks_begun {
                Err(after_poststop(error, &prepared.plan, &record))
            } else {
                Err(error)
            }
        }
    }
}

/// A container that could not be made; nothing of it is left but its entry.
struct NotMade {
    error: OpsError,
    /// Whether what its hooks did is to be undone by hooks.
    hooks_begun: bool,
}

impl From<OpsError> for NotMade {
    fn from(error: OpsError) -> Self {
        Self { error, hooks_begun: false }
    }
}

/// Runs the hooks that follow the end of a container, and adds what they have to say.
fn after_poststop(error: OpsError, plan: &LaunchPlan, record: &Record) -> OpsError {
    let warnings = hooks::poststop(plan, record);
    warnings.into_iter().fold(error, |error, warning| error.fact("warning", warning))
}

impl Made {
    /// Kills init, and leaves the rest to whoever has deleted the container meanwhile.
    pub(super) fn give_up(self, error: OpsError) -> OpsError {
        let _ = process::signal(self.launched.process.as_fd(), libc::SIGKILL);
        let _ = process::wait_for(self.launched.pid);
        error
    }

    /// Takes a created container back, because of `error`.
    pub(super) fn take_back(self, error: OpsError) -> OpsError {
        let _ = process::signal(self.launched.process.as_fd(), libc::SIGKILL);
        let _ = process::wait_for(self.launched.pid);
        self.launched.take_back_mount_points();
        let doing = error.doing.clone();
        let removed = super::delete::remove_resources(&doing, &self.entry, Some(&self.record));
        attend::see_off(&self.record);
        let removed = removed
            .and_then(|()| self.entry.remove().map_err(|error| super::stored(&doing, &error)));
        let error = match removed {
            Ok(()) => error,
            Err(left) => error.fact("left", left.message),
        };
        after_poststop(error, &self.prepared.plan, &self.record)
    }
}

/// A container in the making.
#[derive(Clone, Copy)]
struct Making<'a> {
    doing: &'a str,
    request: &'a CreateRequest,
    prepared: &'a Prepared,
    entry: &'a Entry,
    way: Way,
    activation: &'a Activation,
}

impl Making<'_> {
    /// How many descriptors the program inherits: first what it listens on.
    fn preserve(self) -> u32 {
        self.activation.count.saturating_add(self.request.options.preserve)
    }

    fn launch(self, record: &mut Record, console: Option<OwnedFd>) -> Launching {
        let Self { doing, request, prepared, entry, .. } = self;
        let stored = |error: &crate::store::StoreError| super::stored(doing, error);
        entry.write_state(record).map_err(|error| stored(&error))?;
        entry.write_plan(&prepared.document).map_err(|error| stored(&error))?;
        let ranges = needs_range(prepared).then(|| Ranges::open(Path::new(RANGES))).transpose();
        let ranges = ranges.map_err(|error| OpsError::because(doing, &error))?;
        let listener = self.listener()?;
        let notify = self.notify()?;
        let told = record.clone();
        let launch = Request {
            id: entry.id().as_str(),
            ranges: ranges.as_ref(),
            owner: entry.owner().map_err(|error| stored(&error))?,
            pod: prepared.fellow.as_ref().map(Fellow::as_member),
            joined: &prepared.joined,
            hierarchies: &prepared.hierarchies,
            listener: listener.as_ref().map(AsFd::as_fd),
            console: console.as_ref().map(AsFd::as_fd),
            preserve: self.preserve(),
            environment: &self.activation.environment,
            notify: notify.as_ref().map(AsFd::as_fd),
            state: hooks::state(&told),
            recorded: Some((entry, &told)),
            keep_keyring: request.options.keep_keyring,
        };
        let launched = engine::launch(&prepared.plan, &launch).map_err(|error| {
            let hooks_begun = matches!(&error, LaunchError::Step(failure) if failure.hooks_begun);
            NotMade { error: launch_error(doing, &error), hooks_begun }
        })?;
        match self.finish(record, &launched) {
            Ok(()) => Ok(launched),
            Err(error) => {
                launched.abandon(&launch);
                let error = error.fact("undone", "everything; the host is as before");
                Err(NotMade { error, hooks_begun: true })
            }
        }
    }

    /// Records the container as created, and tells the caller its process id.
    fn finish(self, record: &mut Record, launched: &Launched) -> Result<()> {
        let Self { doing, request, prepared, entry, .. } = self;
        let process = ProcessId::observe(launched.pid)
            .map_err(|error| OpsError::failed(doing, format!("look at init: {error:?}")))?;
        record.process = Some(process);
        attend::hand_over(&prepared.plan, record, launched.waiting())
            .map_err(|error| not_launched(doing, &error))?;
        if let Some(cgroup) = &launched.cgroup {
            record.cgroup = serde_json::to_value(cgroup.save())
                .map_err(|error| OpsError::because(doing, &error))?;
        }
        record.range = launched.range;
        record.shown.clone_from(&launched.shown);
        record.phase = Phase::Created;
        entry.write_state(record).map_err(|error| super::stored(doing, &error))?;
        if let Some(path) = &request.pidfd_socket {
            let failed = |error| {
                OpsError::failed(doing, format!("send a pidfd to {}: {error:?}", path.display()))
            };
            let socket = socket::connect_stream(path).map_err(failed)?;
            socket::send_fd(socket.as_fd(), b"pidfd", launched.process.as_fd()).map_err(failed)?;
        }
        if let Some(path) = &request.pid_file {
            super::pid_file::write(path, launched.pid).map_err(|error| {
                OpsError::failed(doing, format!("write {}: {error}", path.display()))
            })?;
        }
        Ok(())
    }

    /// The directory of the socket to which the program says that it is ready, if it has one.
    fn notify(self) -> Result<Option<OwnedFd>> {
        let is_there = |action: &Action| {
            matches!(action, Action::BuildMount { filesystem: Filesystem::Notify, .. })
        };
        if !self.prepared.plan.steps.iter().any(|step| is_there(&step.action)) {
            return Ok(None);
        }
        let made = self.entry.make_notify_dir();
        made.map(Some).map_err(|error| super::stored(self.doing, &error))
    }

    /// Where another command will find the waiting init.
    fn listener(self) -> Result<Option<OwnedFd>> {
        match self.way {
            Way::Create => {
                socket::listen_in(self.entry.dir(), START_SOCKET).map(Some).map_err(|error| {
                    OpsError::failed(self.doing, format!("listen for start: {error:?}"))
                })
            }
            Way::Run | Way::RunDetached => Ok(None),
        }
    }
}

type Launching = std::result::Result<Launched, NotMade>;

fn needs_range(prepared: &Prepared) -> bool {
    // Ids that an engine gave are in no registry.
    let takes = |action: &Action| {
        matches!(action, Action::TakeIds | Action::JoinPod { ids: IdMap::OwnRange })
    };
    prepared.plan.steps.iter().any(|step| takes(&step.action))
}

/// What a later command needs if this one is killed half-way.
pub(super) fn first_record(prepared: &Prepared, entry: &Entry) -> Record {
    let spec = &prepared.judged.spec;
    let mut annotations: BTreeMap<String, String> =
        spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    annotations.insert("org.casemate.level".to_owned(), prepared.plan.level.clone());
    annotations.insert("org.casemate.plan.digest".to_owned(), prepared.digest.clone());
    let excepted = prepared.plan.excepted.iter();
    let mut exceptions: Vec<_> = excepted.map(|waived| waived.exception.as_str()).collect();
    exceptions.dedup();
    let reduced = prepared.judged.reduced.join("; ");
    if !reduced.is_empty() {
        annotations.insert("org.casemate.reduced".to_owned(), reduced);
    }
    if !exceptions.is_empty() {
        annotations.insert("org.casemate.exceptions".to_owned(), exceptions.join(","));
    }
    Record {
        oci_version: spec.version().clone(),
        id: entry.id().clone(),
        bundle: prepared.bundle.path().to_owned(),
        rootfs: PathBuf::from(&prepared.rootfs),
        process: None,
        created: rfc3339(SystemTime::now()),
        owner: prepared.owner,
        annotations,
        level: prepared.plan.level.clone(),
        plan_digest: prepared.digest.clone(),
        cgroup: serde_json::Value::Null,
        range: None,
        shares_pids: !has_own_pids(&prepared.plan),
        has_poststop: hooks::any(&prepared.plan, Track::AfterEnd),
        shown: None,
        resctrl: resctrl(&prepared.plan, entry.id().as_str()),
        phase: Phase::Creating,
        watcher: None,
        limits: None,
    }
}

/// Directories of resctrl that the plan makes for this container alone.
fn resctrl(plan: &LaunchPlan, id: &str) -> Vec<PathBuf> {
    let makes = plan.steps.iter().find_map(|step| {
        let Action::MakeResctrl(resctrl) = &step.action else { return None };
        Some(resctrl)
    });
    makes.map_or_else(Vec::new, |resctrl| engine::resctrl::directories(resctrl, id))
}

/// A failed launch, with who asked for the step and what became of the rest.
pub(super) fn launch_error(doing: &str, error: &LaunchError) -> OpsError {
    let failed = not_launched(doing, error);
    let LaunchError::Step(_) = error else { return failed };
    failed.fact("undone", "everything before it; the host is as before")
}

/// A failed launch, with who asked for the step.
fn not_launched(doing: &str, error: &LaunchError) -> OpsError {
    let LaunchError::Step(step) = error else { return OpsError::because(doing, error) };
    let failed = OpsError::failed(doing, step.to_string());
    let failed = failed.fact("asked for by", step.origin.to_string());
    let failed = error::known_as(failed, doing, step);
    match step.hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// Whether init is the first process of a pid namespace, so that all others end with it.
fn has_own_pids(plan: &LaunchPlan) -> bool {
    let is_born_so = |action: &Action| matches!(action, Action::Spawn { namespaces } if namespaces.contains(&Namespace::Pid));
    plan.steps.iter().any(|step| is_born_so(&step.action))
}
