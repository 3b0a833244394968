//! The filter of a container, and who answers the calls that it holds up.

use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxSeccomp;
use rustix::fs::FileType;

use super::{OpsError, Result};
use crate::plan::listener::{Listener, WatchPlan};
use crate::plan::text::HostPath;
use crate::policy::seccomp::{Report, asks};
use crate::policy::{Judged, Level, SeccompPolicy};
use crate::seccomp::{
    self, Abi, Baseline, Basis, Compiled, Program, Request, SeccompError, SetIdBits, Watch, flag,
};

/// A filter, and who answers.
#[derive(Debug)]
pub(super) struct Filter {
    /// `None` only where the level allows none.
    pub program: Option<Program>,
    /// `None` where it holds nothing up.
    pub listener: Option<Listener>,
}

/// What the caller wants watched, beside what the policy has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchRequest {
    /// Where a profile is to be recorded (`--record`).
    pub record: Option<PathBuf>,
    /// Whether and where refusals are to be reported (`--seccomp-report`).
    pub report: ReportRequest,
}

/// Where refusals are to be reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReportRequest {
    /// As the policy has it.
    #[default]
    ByPolicy,
    /// On standard error, in the end.
    ToStandardError,
    /// To a file, in the end.
    ToFile(PathBuf),
}

/// Compiles the filter of a judged bundle.
pub(super) fn build(
    doing: &str,
    judged: &Judged,
    policy: &SeccompPolicy,
    wanted: &WatchRequest,
    notes: &mut Vec<String>,
) -> Result<Filter> {
    let profile = judged.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let native = Abi::native().ok_or_else(|| {
        OpsError::failed(doing, "seccomp: there is no table of system calls for this processor")
    })?;
    let agent = profile.map(|profile| agent(doing, profile)).transpose()?.flatten();
    let waived: Vec<&str> = judged.waived.iter().map(String::as_str).collect();
    let mut request = request(profile, native, judged.level, &waived);
    if agent.is_some() {
        request.listener = seccomp::Listener::Provided;
    }
    let compiled = seccomp::compile(&request).map_err(|error| refused(doing, &error))?;
    let mut program = compiled.map(|Compiled { program, warnings, .. }| {
        for warning in &warnings {
            tracing::debug!("config.json {warning}");
        }
        notes.extend(warnings.iter().map(ToString::to_string));
        program
    });
    if policy.report == Report::KernelLog
        && let Some(program) = &mut program
    {
        program.flags |= flag::LOG;
    }
    let watch = watch(doing, judged, policy, wanted, &request)?;
    match (agent, watch) {
        (None, None) => Ok(Filter { program, listener: None }),
        (Some(agent), None) => Ok(Filter { program, listener: Some(agent) }),
        (Some(_), Some(watch)) if watch.profile.is_some() => Err(OpsError::failed(
            doing,
            "the container's filter asks an agent, and cannot be recorded beside that",
        )
        .hint("record it without `listenerPath` and SCMP_ACT_NOTIFY")),
        (Some(agent), Some(_)) => {
            notes.push("what is refused is not reported, for the filter asks an agent".to_owned());
            Ok(Filter { program, listener: Some(agent) })
        }
        (None, Some(watch)) => watched(doing, watch, &request),
    }
}

/// The filter of a container that is watched.
fn watched(doing: &str, watch: WatchPlan, request: &Request<'_>) -> Result<Filter> {
    let watched = seccomp::watch(request, watch.what).map_err(|error| refused(doing, &error))?;
    // Without a filter nothing is refused.
    let listener = watched.is_some().then(|| Listener::Watch(Box::new(watch)));
    Ok(Filter { program: watched.map(|watched| watched.program), listener })
}

/// What is watched, and where the results go; `None`: nothing.
fn watch(
    doing: &str,
    judged: &Judged,
    policy: &SeccompPolicy,
    wanted: &WatchRequest,
    request: &Request<'_>,
) -> Result<Option<WatchPlan>> {
    // What is not allowed was refused, or noted, before.
    let by_annotation = policy.record_file(&judged.spec).ok().flatten().map(PathBuf::from);
    if let Some(file) = &by_annotation {
        check_directory(doing, file)?;
    }
    let profile = wanted.record.clone().or(by_annotation);
    let report = match &wanted.report {
        ReportRequest::ToFile(file) => Some(file),
        ReportRequest::ByPolicy | ReportRequest::ToStandardError => None,
    };
    let reports = policy.report == Report::Notify || wanted.report != ReportRequest::ByPolicy;
    let what = match (&profile, reports) {
        (Some(_), _) => Watch::All,
        (None, true) => Watch::Refused,
        (None, false) => return Ok(None),
    };
    let path = |path: &PathBuf| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        HostPath::new(&absolute.to_string_lossy())
            .map_err(|fault| OpsError::failed(doing, format!("{}: {fault}", path.display())))
    };
    Ok(Some(WatchPlan {
        what,
        basis: Basis::of(request),
        profile: profile.as_ref().map(path).transpose()?,
        report: report.map(path).transpose()?,
    }))
}

/// Whoever may write the directory of profiles decides what other containers run under.
fn check_directory(doing: &str, file: &Path) -> Result<()> {
    let dir = file.parent().unwrap_or(file);
    let failed = |why: &str| {
        let what = format!("`record-to` of [seccomp], {}: {why}", dir.display());
        OpsError::failed(doing, what).fact("undone", "nothing was created")
    };
    let stat = rustix::fs::stat(dir).map_err(|error| {
        failed(&format!("{:?}", crate::sys::Errno::from_raw(error.raw_os_error())))
            .hint("make the directory, for root alone to write")
    })?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(failed("is no directory"));
    }
    let ours = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
    if !ours || stat.st_mode & 0o022 != 0 {
        return Err(failed("others than root may write there").hint("chown root, chmod go-w"));
    }
    Ok(())
}

/// What the compiler is asked for a container of this level.
pub(super) fn request<'a>(
    profile: Option<&'a LinuxSeccomp>,
    native: Abi,
    level: Level,
    waived: &'a [&'a str],
) -> Request<'a> {
    let request = Request { waive: waived, ..Request::new(profile, native) };
    match level {
        Level::Audit => Request { baseline: Baseline::Off, ..request },
        // Whatever is writable: which mount a file lies on is nothing a filter can see.
        Level::Hardened => Request { set_id_bits: SetIdBits::Denied, ..request },
    }
}

/// Why there is no program.
fn refused(doing: &str, error: &SeccompError) -> OpsError {
    let failed = OpsError::failed(doing, format!("config.json {error}"))
        .fact("undone", "nothing was created");
    match error.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// The agent that a profile names, if it asks one at all; a path that nothing asks is ignored.
fn agent(doing: &str, profile: &LinuxSeccomp) -> Result<Option<Listener>> {
    let Some(path) = profile.listener_path().as_ref().filter(|_| asks(profile)) else {
        return Ok(None);
    };
    let path = HostPath::new(&path.to_string_lossy()).map_err(|fault| {
        OpsError::failed(doing, format!("config.json /linux/seccomp/listenerPath: {fault}"))
    })?;
    Ok(Some(Listener::Agent { path, metadata: profile.listener_metadata().clone() }))
}
