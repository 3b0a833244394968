//! `seccomp check`: whether a profile can be used on this kernel, and what a bundle would lose.

use std::path::Path;

use serde::Serialize;

use super::diff::{self, DiffReport};
use super::input::{self, Source};
use super::{Context, Setting, trial, waived};
use crate::ops::{Result, filter, prepare};
use crate::policy::Policy;
use crate::seccomp::{self, Abi, Listener, Remark, Request, Weight};

const DOING: &str = "seccomp check";

/// What stands against a profile, and what it would change.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// What the profile is called.
    pub profile: String,
    /// The level and the policy that it was checked under.
    pub policy: String,
    /// The running kernel.
    pub kernel: String,
    /// How many instructions the program has.
    pub instructions: usize,
    /// Whether this kernel takes the program.
    pub loads: trial::Trial,
    /// What is odd, the worst first.
    pub remarks: Vec<Remark>,
    /// What the compiler says.
    pub warnings: Vec<String>,
    /// Rules of the baseline that refuse something which the profile would have let through.
    pub denials: Vec<super::Denial>,
    /// The difference from what the bundle's filter is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<DiffReport>,
}

impl CheckReport {
    /// How many things keep the profile from being used as it is.
    #[must_use]
    pub fn obstacles(&self) -> usize {
        let stops = self.remarks.iter().filter(|remark| remark.weight == Weight::Stops).count();
        stops
            + usize::from(self.loads.is_refused())
            + usize::from(self.against.as_ref().is_some_and(DiffReport::refuses))
    }
}

/// Checks a profile under the policy in force, on the running kernel; nothing is created.
///
/// # Errors
/// The profile cannot be read or compiled, or the bundle cannot be read.
pub fn check(
    context: &Context,
    profile: &Path,
    bundle: Option<&Path>,
    setting: &Setting,
) -> Result<CheckReport> {
    let policy = prepare::load_policy(context, DOING)?;
    let of_bundle = bundle.map(|bundle| input::of_bundle(DOING, bundle)).transpose()?;
    let mut setting = setting.clone();
    if let Some(bundle) = &of_bundle {
        setting.capabilities.extend(bundle.capabilities.iter().cloned());
    }
    let given = setting.circumstances(DOING)?;
    let source = input::read(DOING, profile, &given)?;
    let waived = waived(&policy, of_bundle.as_ref());
    let request = request(&source, given.native, &policy, &waived);
    let failed = |error| source.error(DOING, &error);
    let compiled = seccomp::compile(&request).map_err(failed)?;
    let program = compiled.as_ref().map(|compiled| &compiled.program);
    let mut remarks = seccomp::review(&request, given.kernel).map_err(failed)?;
    for remark in &mut remarks {
        remark.at = source.addresses.relocate(&remark.at);
    }
    let against = match &of_bundle {
        Some(bundle) => {
            let now = self::request(bundle, given.native, &policy, &waived);
            Some(diff::compare(DOING, (bundle, &now), (&source, &request))?)
        }
        None => None,
    };
    let warned = compiled.iter().flat_map(|compiled| &compiled.warnings);
    let warned = warned.map(|warning| source.addresses.relocate(&warning.to_string()));
    Ok(CheckReport {
        policy: format!("level {} ({})", policy.level, policy.source),
        kernel: given.kernel.to_string(),
        instructions: program.map_or(0, |program| program.instructions.len()),
        loads: trial::load(program),
        warnings: source.warnings.iter().cloned().chain(warned).collect(),
        denials: compiled
            .iter()
            .flat_map(|compiled| &compiled.denials)
            .map(|rule| super::Denial::from(*rule))
            .collect(),
        profile: source.name,
        remarks,
        against,
    })
}

fn request<'a>(
    source: &'a Source,
    native: Abi,
    policy: &Policy,
    waived: &'a [&'a str],
) -> Request<'a> {
    let request = filter::request(source.profile.as_ref(), native, policy.level, waived);
    Request { listener: Listener::Provided, ..request }
}
