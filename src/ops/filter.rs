//! The filter of a container, and who answers the calls that it holds up.

use oci_spec::runtime::LinuxSeccomp;

use super::{OpsError, Result};
use crate::plan::listener::Listener;
use crate::plan::text::HostPath;
use crate::policy::seccomp::asks;
use crate::policy::{Judged, Level};
use crate::seccomp::{self, Abi, Baseline, Compiled, Program, Request, SeccompError, SetIdBits};

/// A filter, and who answers.
#[derive(Debug)]
pub(super) struct Filter {
    /// `None` only where the level allows none.
    pub program: Option<Program>,
    /// `None` where it holds nothing up.
    pub listener: Option<Listener>,
}

/// Compiles the filter of a judged bundle.
pub(super) fn build(doing: &str, judged: &Judged, notes: &mut Vec<String>) -> Result<Filter> {
    let profile = judged.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let native = Abi::native().ok_or_else(|| {
        OpsError::failed(doing, "seccomp: there is no table of system calls for this processor")
    })?;
    let listener = profile.map(|profile| agent(doing, profile)).transpose()?.flatten();
    let waived: Vec<&str> = judged.waived.iter().map(String::as_str).collect();
    let mut request = request(profile, native, judged.level, &waived);
    if listener.is_some() {
        request.listener = seccomp::Listener::Provided;
    }
    let compiled = seccomp::compile(&request).map_err(|error| refused(doing, judged, &error))?;
    let program = compiled.map(|Compiled { program, warnings, .. }| {
        notes.extend(warnings.iter().map(ToString::to_string));
        program
    });
    Ok(Filter { program, listener })
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

/// Why there is no program: by the bundle's fault, or the policy's.
fn refused(doing: &str, judged: &Judged, error: &SeccompError) -> OpsError {
    let of_policy =
        matches!(error, SeccompError::UnknownWaiver { .. } | SeccompError::NeededRule { .. });
    let whose = if of_policy {
        format!("policy {}, `waive` of [seccomp]: {error}", judged.source)
    } else {
        format!("config.json {error}")
    };
    let failed = OpsError::failed(doing, whose).fact("undone", "nothing was created");
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
