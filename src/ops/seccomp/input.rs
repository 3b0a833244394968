//! Profiles: from files, standard input, bundles, and those that are built in.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxSeccomp;

use super::addresses::Addresses;
use super::output::said;
use crate::host::bundle::Bundle;
use crate::ops::{OpsError, Result};
use crate::seccomp::{self, Basis, Circumstances, SeccompError};
use crate::spec::{self, SpecErrors, engine_profile};

/// As much as a `config.json` may have; profiles of engines have some 15 kB.
const MAX_BYTES: u64 = 4 << 20;

/// How a profile is called that is part of this program.
const BUILT_IN: &str = "builtin:";

/// A profile, and where it was read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// What it is called in messages.
    pub(super) name: String,
    /// What an engine would send; `None`: it would send none.
    pub(super) profile: Option<LinuxSeccomp>,
    /// Where things stand in it.
    pub(super) addresses: Addresses,
    /// What sort of file it is.
    pub(super) form: &'static str,
    /// Of each rule, what its author says of it.
    pub(super) comments: Vec<Option<String>>,
    /// Rules that do not stand under the circumstances: address, calls, why.
    pub(super) left_out: Vec<LeftOut>,
    /// The bounding set that a whole config asks for, as `CAP_…`.
    pub(super) capabilities: Vec<String>,
    /// Where the bundle is, and its annotations, by which exceptions of a policy know it.
    pub(super) bundle: Option<(PathBuf, HashMap<String, String>)>,
    /// What was passed over in the file.
    pub(super) warnings: Vec<String>,
}

/// A rule that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// Its address in the file.
    pub at: String,
    /// The calls that it is about.
    pub calls: Vec<String>,
    /// Why it does not stand.
    pub why: String,
}

impl Source {
    /// An error of the compiler, with the addresses of this file.
    pub(super) fn error(&self, doing: &str, error: &SeccompError) -> OpsError {
        let failed = OpsError::failed(
            doing,
            format!("{} {}", self.name, self.addresses.relocate(&error.to_string())),
        );
        match error.hint() {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }

    /// What a container's filter was made from, as its plan has it.
    pub(super) fn of_basis(name: String, basis: &Basis) -> Self {
        let profile = basis.profile.as_deref().cloned();
        let addresses = Addresses { in_config: true, places: None };
        Self { addresses, ..Self::new(name, "of a plan", profile) }
    }

    fn new(name: String, form: &'static str, profile: Option<LinuxSeccomp>) -> Self {
        Self {
            name,
            profile,
            addresses: Addresses::default(),
            form,
            comments: Vec::new(),
            left_out: Vec::new(),
            capabilities: Vec::new(),
            bundle: None,
            warnings: Vec::new(),
        }
    }
}

/// Reads what a PROFILE argument names: a file, `-`, or `builtin:…`.
pub(super) fn read(doing: &str, what: &Path, given: &Circumstances) -> Result<Source> {
    if let Some(name) = what.to_str().and_then(|what| what.strip_prefix(BUILT_IN)) {
        return built_in(doing, name);
    }
    let name = if what.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        what.display().to_string()
    };
    let bytes = bytes(what).map_err(|error| {
        OpsError::failed(doing, format!("cannot read {name}: {}", said(&error)))
    })?;
    parse(doing, name, &bytes, given)
}

/// The profile of a bundle.
pub(super) fn of_bundle(doing: &str, bundle: &Path) -> Result<Source> {
    let bundle = Bundle::open(bundle).map_err(|error| OpsError::because(doing, &error))?;
    let name = bundle.path().join("config.json").display().to_string();
    let mut source = whole_config(doing, name, bundle.config())?;
    source.bundle = source.bundle.map(|(_, annotations)| (bundle.path().to_owned(), annotations));
    Ok(source)
}

fn bytes(what: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut bounded: Box<dyn Read> = if what.as_os_str() == "-" {
        Box::new(io::stdin().take(MAX_BYTES + 1))
    } else {
        Box::new(File::open(what)?.take(MAX_BYTES + 1))
    };
    bounded.read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_BYTES) {
        return Err(io::Error::other("it has more than 4 MiB"));
    }
    Ok(bytes)
}

fn parse(doing: &str, name: String, bytes: &[u8], given: &Circumstances) -> Result<Source> {
    if is_config(bytes) {
        return whole_config(doing, name, bytes);
    }
    let file = engine_profile::parse(bytes).map_err(|errors| unreadable(doing, &name, &errors))?;
    if let Some(unknown) = file.unknown().first() {
        return Err(OpsError::failed(doing, format!("{name}: {unknown}"))
            .hint("correct it or take it out: what it asks for would be missing"));
    }
    let value = file.into_value();
    let has_conditions =
        value.arch_map.is_some()
            || value.syscalls.iter().flatten().any(|rule| {
                rule.includes.is_some() || rule.excludes.is_some() || rule.name.is_some()
            });
    let names: Vec<Vec<String>> = value.syscalls.iter().flatten().map(names).collect();
    let settled = seccomp::settle(value, given)
        .map_err(|error| OpsError::failed(doing, format!("{name} {error}")))?;
    let form = if has_conditions { "an engine's file" } else { "a profile" };
    let left_out = settled.left_out.into_iter().map(|(place, why)| LeftOut {
        at: format!("/syscalls/{place}"),
        calls: names.get(place).cloned().unwrap_or_default(),
        why,
    });
    Ok(Source {
        addresses: Addresses { in_config: false, places: Some(settled.places) },
        comments: settled.comments,
        left_out: left_out.collect(),
        ..Source::new(name, form, Some(settled.profile))
    })
}

fn names(rule: &engine_profile::EngineRule) -> Vec<String> {
    rule.names.iter().flatten().chain(&rule.name).cloned().collect()
}

/// Whether a document is a whole `config.json`: it has members that no profile has.
fn is_config(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        oci_version: Option<serde::de::IgnoredAny>,
        linux: Option<serde::de::IgnoredAny>,
        process: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Head>(bytes)
        .is_ok_and(|head| head.oci_version.or(head.linux).or(head.process).is_some())
}

fn whole_config(doing: &str, name: String, bytes: &[u8]) -> Result<Source> {
    let config = spec::parse(bytes).map_err(|errors| unreadable(doing, &name, &errors))?;
    let inside = |at: &str| at.starts_with("/linux/seccomp/");
    let unknown = config.unknown().iter().filter(|unknown| inside(unknown.at.as_str()));
    let warnings = unknown.map(ToString::to_string).collect();
    let linux = config.spec().linux().as_ref();
    let profile = linux.and_then(|linux| linux.seccomp().clone());
    let form = match &profile {
        Some(_) => "/linux/seccomp of a config.json",
        None => "a config.json without /linux/seccomp: there is the baseline alone",
    };
    let process = config.spec().process().as_ref();
    let bounding = process.and_then(|process| process.capabilities().as_ref()?.bounding().as_ref());
    let capabilities = bounding.into_iter().flatten().map(|cap| format!("CAP_{cap}")).collect();
    Ok(Source {
        addresses: Addresses { in_config: true, places: None },
        capabilities,
        bundle: Some((PathBuf::new(), config.spec().annotations().clone().unwrap_or_default())),
        warnings,
        ..Source::new(name, form, profile)
    })
}

fn unreadable(doing: &str, name: &str, errors: &SpecErrors) -> OpsError {
    let mut all = errors.iter().map(ToString::to_string);
    let first = all.next().unwrap_or_default();
    let mut error = OpsError::failed(doing, format!("{name}: {first}"));
    error.facts.extend(all.take(8).map(|fault| ("also", fault)));
    error
}

fn built_in(doing: &str, name: &str) -> Result<Source> {
    let full = format!("{BUILT_IN}{name}");
    match name {
        "baseline" => {
            let form = "no profile: what an engine that sends none gets";
            Ok(Source::new(full, form, None))
        }
        "allow-list" => {
            let profile = serde_json::from_str(seccomp::ALLOW_LIST)
                .map_err(|error| OpsError::because(doing, &error))?;
            Ok(Source::new(
                full,
                "the profile for containers whose engine sends none",
                Some(profile),
            ))
        }
        _ => Err(OpsError::failed(doing, format!("no profile is called `{full}`"))
            .hint("there are builtin:baseline and builtin:allow-list")),
    }
}
