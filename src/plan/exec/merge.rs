//! Who the process is: what the caller says, and init's own where it says nothing.

use oci_spec::runtime::{PosixRlimit, Process};

use super::ExecDefaults;
use crate::plan::text::Text;

/// What a caller of `exec` wants. What stands beside the document goes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecAsked {
    /// The document of `--process`; without one, init's process is the pattern.
    pub document: Option<Process>,
    /// The program and its arguments; empty for the document's.
    pub arguments: Vec<String>,
    /// Further variables, as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The working directory.
    pub directory: Option<String>,
    /// The user, and the group if it is not to stay as it is.
    pub user: Option<(u32, Option<u32>)>,
    /// Further supplementary groups.
    pub groups: Vec<u32>,
    /// Further capabilities, as a bit mask.
    pub capabilities: u64,
    /// Whether it gets a terminal, beside what the document says.
    pub terminal: bool,
    /// Whether it may gain no privileges, beside what the document and the plan say.
    pub no_new_privileges: bool,
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// The SELinux label.
    pub label: Option<String>,
}

/// The process that is wanted, whole.
pub(super) fn merge(asked: &ExecAsked, defaults: &ExecDefaults) -> Process {
    let init = &defaults.process;
    let mut process = match &asked.document {
        Some(document) => complete(document.clone(), init),
        None => init.clone(),
    };
    if !asked.arguments.is_empty() {
        process.set_args(Some(asked.arguments.clone()));
    }
    if !asked.environment.is_empty() {
        let mut environment = process.env().clone().unwrap_or_default();
        asked.environment.iter().for_each(|variable| replace(&mut environment, variable));
        process.set_env(Some(environment));
    }
    if let Some(directory) = &asked.directory {
        process.set_cwd(directory.into());
    }
    user(&mut process, asked);
    if asked.terminal {
        process.set_terminal(Some(true));
    }
    if asked.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    if asked.apparmor.is_some() {
        process.set_apparmor_profile(asked.apparmor.clone());
    }
    if asked.label.is_some() {
        process.set_selinux_label(asked.label.clone());
    }
    process
}

/// A document, with init's properties where it has none that would leave the process with less
/// held back than init.
fn complete(mut document: Process, init: &Process) -> Process {
    if document.user().umask().is_none() {
        document.user_mut().set_umask(init.user().umask());
    }
    document.set_rlimits(limits(document.rlimits().as_deref(), init.rlimits().as_deref()));
    if init.no_new_privileges() == Some(true) {
        document.set_no_new_privileges(Some(true));
    }
    if document.oom_score_adj().is_none() {
        document.set_oom_score_adj(init.oom_score_adj());
    }
    if document.apparmor_profile().as_deref().unwrap_or_default().is_empty() {
        document.set_apparmor_profile(init.apparmor_profile().clone());
    }
    if document.selinux_label().as_deref().unwrap_or_default().is_empty() {
        document.set_selinux_label(init.selinux_label().clone());
    }
    if document.io_priority().is_none() {
        document.set_io_priority(*init.io_priority());
    }
    if document.scheduler().is_none() {
        document.set_scheduler(init.scheduler().clone());
    }
    if document.exec_cpu_affinity().is_none() {
        document.set_exec_cpu_affinity(init.exec_cpu_affinity().clone());
    }
    document
}

/// The limits given, and init's of every other kind.
fn limits(given: Option<&[PosixRlimit]>, init: Option<&[PosixRlimit]>) -> Option<Vec<PosixRlimit>> {
    let mut limits = given.unwrap_or_default().to_vec();
    for limit in init.unwrap_or_default() {
        if !limits.iter().any(|other| other.typ() == limit.typ()) {
            limits.push(*limit);
        }
    }
    (!limits.is_empty()).then_some(limits)
}

/// A variable stands once: programs differ in which of two they take.
fn replace(environment: &mut Vec<String>, variable: &str) {
    let name = variable.split_once('=').map_or(variable, |(name, _)| name);
    environment.retain(|other| other.split_once('=').is_none_or(|(known, _)| known != name));
    environment.push(variable.to_owned());
}

fn user(process: &mut Process, asked: &ExecAsked) {
    if let Some((uid, gid)) = asked.user {
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    if !asked.groups.is_empty() {
        let mut groups = process.user().additional_gids().clone().unwrap_or_default();
        groups.extend(&asked.groups);
        process.user_mut().set_additional_gids(Some(groups));
    }
}

/// Where only listed commands are allowed, they run with the variables that the container has:
/// with others, they would be other commands. Gives the names of what is withheld.
pub(super) fn withhold_environment(process: &mut Process, init: &Process) -> Vec<String> {
    /// What a terminal and a user make of it.
    const FREE: [&str; 2] = ["TERM", "HOME"];
    let own = init.env().clone().unwrap_or_default();
    let name = |variable: &String| {
        variable.split_once('=').map_or(variable.as_str(), |(name, _)| name).to_owned()
    };
    let (mut kept, mut withheld) = (own.clone(), Vec::new());
    for variable in process.env().iter().flatten() {
        if FREE.contains(&name(variable).as_str()) {
            replace(&mut kept, variable);
        } else if !own.contains(variable) {
            withheld.push(name(variable));
        }
    }
    process.set_env(Some(kept));
    withheld
}

/// A variable's name and value as `--env` takes them.
///
/// # Errors
/// A clause that says what is wrong.
pub fn check_variable(text: &str) -> Result<(), &'static str> {
    match text.split_once('=') {
        None => Err("is not `NAME=VALUE`"),
        Some(("", _)) => Err("has no name before `=`"),
        Some(_) => Text::new(text).map(drop).map_err(|_| "holds a NUL"),
    }
}
