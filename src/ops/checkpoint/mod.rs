//! `checkpoint`: writes a container to files, with CRIU.
//!
//! A container is only written if it can be made again as it is. So what stands in the way is
//! looked for first: in the plan, and in the container itself, which must be what its plan says.

mod images;
mod outside;
mod people;

use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

pub use crate::criu::{Flags, PageServer};
pub(super) use images::{Images, Saved};

use super::group::Freezers;
use super::{Context, OpsError, Result, prepare, record};
use crate::audit::EventKind;
use crate::cgroup::{Cgroup, Hierarchies, SavedCgroup};
use crate::criu::{Criu, CriuError, Kind, Notice, Options, Seat};
use crate::engine;
use crate::plan::checkpoint::obstacles;
use crate::plan::{self, LaunchPlan};
use crate::store::{Record, Status};
use crate::sys::{fd, flags};
use crate::verify::{self, Drift, Expected, Observed};

/// What `checkpoint` is asked for.
#[derive(Debug, Clone, Default)]
pub struct CheckpointRequest {
    /// The container's id, as given.
    pub id: String,
    /// Where the images go.
    pub image_path: PathBuf,
    /// Where the log goes, if not to the images.
    pub work_path: Option<PathBuf>,
    /// The images before these, as a path below them.
    pub parent_path: Option<PathBuf>,
    /// CRIU's switches.
    pub flags: Flags,
    /// Write only memory, and let the container run.
    pub pre_dump: bool,
    /// Leave the network namespace's content out.
    pub empty_network: bool,
    /// Where pages go instead.
    pub page_server: Option<PageServer>,
    /// A descriptor that gets a zero byte once pages can be fetched.
    pub status_fd: Option<RawFd>,
}

/// Whether this host can write containers to files: finds CRIU, and asks it.
///
/// # Errors
/// Why not, and what to install.
pub fn criu_works(context: &Context) -> Result<()> {
    criu(context, "checkpoint").map(drop)
}

/// The CRIU that the policy names, or that is installed.
pub(super) fn criu(context: &Context, doing: &str) -> Result<Criu> {
    let policy = prepare::load_policy(context, doing)?;
    let given = policy.checkpoint.criu.as_deref().map(Path::new);
    Criu::find_usable(given).map_err(|error| OpsError::because(doing, &error).hint(error.hint()))
}

/// Writes a container to files; unless it is to be left running, it is gone then.
///
/// # Errors
/// Why not; the container runs on.
pub fn checkpoint(context: &Context, request: &CheckpointRequest) -> Result<()> {
    let doing = format!("checkpoint `{}`", request.id);
    let doing = doing.as_str();
    engine::guard_this_process().map_err(|error| OpsError::because(doing, &error))?;
    let (id, store) = super::find(context, doing, &request.id)?;
    let entry = store.lock(&id).map_err(|error| super::stored(doing, &error))?;
    let record = entry.read_state().map_err(|error| super::stored(doing, &error))?;
    let status = entry.status(Some(&record));
    let word = Freezers::default().word(status, Some(&record));
    if status != Status::Running || word != Status::Running.as_str() {
        let message = format!("cannot checkpoint a container that is {word}, only a running one");
        return Err(OpsError::failed(doing, message));
    }
    let document = entry.read_plan().map_err(|error| super::stored(doing, &error))?;
    let plan =
        LaunchPlan::from_json(&document).map_err(|error| OpsError::because(doing, &error))?;
    if plan::digest(&document) != record.plan_digest {
        return Err(OpsError::failed(doing, "its stored plan is not the one it was made from"));
    }
    refuse_obstacles(doing, &plan, "can be made again exactly")?;
    check_parent(doing, request)?;
    let criu = criu(context, doing)?;
    write(doing, request, &criu, &record, &plan)?;
    record::event(EventKind::Checkpointed, &id, &plan, &record.plan_digest);
    if !request.flags.leave_running && !request.pre_dump {
        drop(entry);
        super::delete::after_run(context, &request.id, &record)?;
    }
    Ok(())
}

/// CRIU follows the path from the images, on this host and on the one that restores.
fn check_parent(doing: &str, request: &CheckpointRequest) -> Result<()> {
    let Some(parent) = &request.parent_path else { return Ok(()) };
    let from_images = seen_from(&request.image_path, parent);
    let why = match from_images.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "which is no directory".to_owned(),
        Err(error) => error.to_string(),
    };
    let place = from_images.display();
    let what = format!("`--parent-path {}` leads to {place}: {why}", parent.display());
    Err(OpsError::failed(doing, what).fact("undone", "nothing was done"))
}

/// Where a path leads from a directory that may not be there yet. What is made of it then has no
/// links, so that `..` leaves it by its name.
fn seen_from(dir: &Path, path: &Path) -> PathBuf {
    let (mut dir, mut rest) = (dir, path);
    while let (Ok(deeper), Some(above)) = (rest.strip_prefix(".."), dir.parent())
        && !dir.exists()
    {
        (dir, rest) = (above, deeper);
    }
    dir.join(rest)
}

/// Refuses what CRIU could not make as its plan says.
pub(super) fn refuse_obstacles(doing: &str, plan: &LaunchPlan, what: &str) -> Result<()> {
    let obstacles = obstacles(plan);
    let Some(first) = obstacles.first() else { return Ok(()) };
    let message = format!("no container like this one {what}: {}", first.why);
    let mut error = OpsError::failed(doing, message).fact("asked for by", first.origin.to_string());
    for other in obstacles.iter().skip(1) {
        error = error.fact("also", other.why);
    }
    Err(error.fact("undone", "nothing was done"))
}

fn write(
    doing: &str,
    request: &CheckpointRequest,
    criu: &Criu,
    record: &Record,
    plan: &LaunchPlan,
) -> Result<()> {
    let init = record.process.ok_or_else(|| OpsError::failed(doing, "it has no init"))?.pid();
    let group = group(doing, record)?;
    let expected = Expected::of(plan);
    let look = || -> Result<Observed> {
        let pids = group.pids().map_err(|error| OpsError::because(doing, &error))?;
        people::check(doing, init, &pids)?;
        let observed = verify::observe(init, &pids, &expected)
            .map_err(|error| OpsError::because(doing, &error))?;
        let drifts = verify::compare::with_plan(&expected, &observed);
        refuse_drifts(doing, "it is not what its plan says any more", &drifts)?;
        Ok(observed)
    };
    let observed = look()?;
    let images = Images::make(doing, &request.image_path, request.work_path.as_deref())?;
    let outside = outside::of(doing, init, &expected, &observed)?;
    let mut options = options(request, &images, record, init);
    outside::tell(&outside, &expected, &observed, init, &mut options);
    // Once more when nothing in there moves: what is kept is what was written.
    let keep = || -> Result<()> {
        let saved = Saved::new(record, outside.clone(), look()?);
        images.save(doing, &saved)
    };
    let mut refused = None;
    let mut notice = |notice: Notice<'_>| match (notice.point, request.status_fd) {
        ("post-dump", _) => keep().map_err(|error| {
            let said = error.message.clone();
            refused = Some(error);
            said
        }),
        ("status-ready", Some(number)) => tell_ready(number),
        _ => Ok(()),
    };
    let mut seat = Seat { notice: Some(&mut notice), ..Seat::default() };
    let kind = if request.pre_dump { Kind::PreDump } else { Kind::Dump };
    let asked = criu.ask(kind, Some(&options), &mut seat);
    match (asked, refused) {
        (Ok(_), _) => Ok(()),
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(failed(doing, &error, &images, DUMP_LOG)),
    }
}

/// The name of CRIU's log.
const DUMP_LOG: &str = "dump.log";

/// An error of CRIU's, with the line of its log that says what it was.
pub(super) fn failed(
    doing: &str,
    error: &CriuError,
    images: &Images,
    log: &'static str,
) -> OpsError {
    let line = images.first_error(log).filter(|_| matches!(error, CriuError::Failed { .. }));
    let failed = match line {
        Some(line) => OpsError::failed(doing, format!("CRIU could not: {line}")),
        None => OpsError::because(doing, error),
    };
    failed.hint(format!("all that CRIU says is in {}", images.log_path(log).display()))
}

fn group(doing: &str, record: &Record) -> Result<Cgroup> {
    let saved: SavedCgroup = serde_json::from_value(record.cgroup.clone())
        .map_err(|error| OpsError::because(doing, &error))?;
    let hierarchies = Hierarchies::open().map_err(|error| OpsError::because(doing, &error))?;
    Cgroup::open(&saved, &hierarchies).map_err(|error| OpsError::because(doing, &error))
}

fn options(request: &CheckpointRequest, images: &Images, record: &Record, init: i32) -> Options {
    Options {
        images: images.dir().as_raw_fd(),
        work: images.work().map(|work| work.as_raw_fd()),
        log: DUMP_LOG,
        pid: Some(init),
        root: record.rootfs.display().to_string(),
        parent: request.parent_path.as_ref().map(|path| path.display().to_string()),
        empty_namespaces: if request.empty_network { flags::ns::NET.cast_unsigned() } else { 0 },
        page_server: request.page_server.clone(),
        flags: Flags { track_memory: request.pre_dump, ..request.flags },
        ..Options::default()
    }
}

fn tell_ready(number: RawFd) -> std::result::Result<(), String> {
    let status = fd::inherited(number).map_err(|errno| format!("--status-fd: {errno:?}"))?;
    rustix::io::write(&status, &[0]).map(drop).map_err(|error| format!("--status-fd: {error}"))
}

/// Refuses a container that is not what it should be.
pub(super) fn refuse_drifts(doing: &str, what: &str, drifts: &[Drift]) -> Result<()> {
    let Some(first) = drifts.first() else { return Ok(()) };
    let mut error = OpsError::failed(doing, format!("{what}: {first}"));
    for other in drifts.iter().skip(1).take(16) {
        error = error.fact("also", other.to_string());
    }
    Err(error)
}

/// What a checkpoint knows of the container, beside CRIU's images.
pub(super) type Before = Observed;
