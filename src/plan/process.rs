//! The chapter on the process: who it is, and the last steps before it runs. `exec` takes the
//! same ones.

use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Linux, LinuxCapabilities, Process};

use super::action::{Action, CapabilitySets, Gate, Limit};
use super::build::PlanError;
use super::cpus::CpuSet;
use super::facts::{KernelFacts, LimitFacts, LsmFacts};
use super::terms::IdMap;
use super::text::Text;
use super::{ProgramPlan, labels};
use crate::seccomp::Program;

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the home is of a user whom the image does not know.
const HOMELESS: &str = "HOME=/";

/// `CAP_SYS_ADMIN`, needed to load a filter without `no_new_privs`.
const SYS_ADMIN: u64 = 1 << 21;

/// A step with the pointer of what asked for it.
pub(super) type Asked = (Action, &'static str);

/// The program, its arguments, its environment.
pub(super) fn program(process: &Process) -> Result<ProgramPlan, PlanError> {
    let texts = |at: &str, list: &[String]| {
        list.iter()
            .enumerate()
            .map(|(index, text)| {
                Text::new(text.as_str())
                    .map_err(|error| PlanError::new(format!("{at}/{index}"), error.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let arguments = process.args().clone().unwrap_or_default();
    let given = process.env().clone().unwrap_or_default();
    texts("/process/env", &given)?;
    let environment = environment(given);
    let directory = process.cwd().to_str().unwrap_or_default();
    let directory = Text::new(directory)
        .map_err(|error| PlanError::new("/process/cwd".to_owned(), error.to_string()))?;
    let candidates = candidates(&arguments, &environment);
    Ok(ProgramPlan {
        arguments: texts("/process/args", &arguments)?,
        environment: texts("/process/env", &environment)?,
        candidates: texts("/process/args", &candidates)?,
        directory,
    })
}

/// Each variable once: of several with one name the last counts, though getenv(3) would find the
/// first. An empty `HOME` counts as none; a step then looks for one.
fn environment(given: Vec<String>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut seen = std::collections::HashSet::new();
    let mut environment: Vec<String> =
        given.into_iter().rev().filter(|variable| seen.insert(name(variable))).collect();
    environment.reverse();
    environment.retain(|variable| variable != "HOME=");
    if !environment.iter().any(|variable| variable.starts_with("HOME=")) {
        environment.push(HOMELESS.to_owned());
    }
    environment
}

/// Whether the process is told no home, so that the image's `/etc/passwd` says which: read by
/// init, when it has no right left that the program will not have.
fn lacks_home(process: &Process) -> bool {
    let of = |variable: &&String| variable.starts_with("HOME=");
    let last = process.env().iter().flatten().rfind(of);
    last.is_none_or(|variable| variable == "HOME=")
}

fn candidates(arguments: &[String], environment: &[String]) -> Vec<String> {
    let Some(name) = arguments.first() else { return Vec::new() };
    if name.contains('/') {
        return vec![name.clone()];
    }
    let path = environment.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let path = path.filter(|path| !path.is_empty()).unwrap_or(DEFAULT_PATH);
    path.split(':')
        .map(|dir| if dir.is_empty() { format!("./{name}") } else { format!("{dir}/{name}") })
        .collect()
}

/// A set of the specification as a bit mask; bits that this process cannot give are left out.
pub(super) fn mask(set: Option<&Capabilities>) -> u64 {
    set.into_iter()
        .flatten()
        .filter_map(|capability| caps::Capability::from_str(&format!("CAP_{capability}")).ok())
        .fold(0, |mask, capability| mask | capability.bitmask())
}

/// The sets that the process will have.
pub(super) fn capability_sets(process: &Process, facts: &KernelFacts) -> CapabilitySets {
    let none = LinuxCapabilities::default();
    let empty = none.clone();
    let asked = process.capabilities().as_ref();
    let sets = asked.unwrap_or(&empty);
    if asked.is_none() {
        return CapabilitySets::default();
    }
    let bounding = mask(sets.bounding().as_ref()) & facts.bounding;
    let permitted = mask(sets.permitted().as_ref()) & facts.bounding;
    CapabilitySets {
        bounding,
        permitted,
        effective: mask(sets.effective().as_ref()) & permitted,
        // The kernel asks only that it is bounded. Reference: capabilities(7).
        inheritable: mask(sets.inheritable().as_ref()) & facts.bounding,
        ambient: mask(sets.ambient().as_ref()) & permitted & mask(sets.inheritable().as_ref()),
    }
}

/// What is asked for and nobody gets: first the capabilities that this process itself, whose
/// bounding set is given, cannot hand on; then those that are to have effect and are not permitted.
#[must_use]
pub fn not_given(process: &Process, bounding: u64) -> [u64; 2] {
    let Some(sets) = process.capabilities() else { return [0, 0] };
    let [permitted, effective] = [sets.permitted(), sets.effective()].map(|set| mask(set.as_ref()));
    let asked = mask(sets.bounding().as_ref()) | permitted | effective;
    let asked = asked | mask(sets.inheritable().as_ref());
    [asked & !bounding, effective & !permitted & bounding]
}

/// Resource limits, checked against what this process may do.
pub(super) fn limits(
    process: &Process,
    facts: &LimitFacts,
    errors: &mut Vec<PlanError>,
) -> (Vec<Limit>, Vec<Limit>) {
    let (mut set, mut raise) = (Vec::new(), Vec::new());
    for (index, given) in process.rlimits().iter().flatten().enumerate() {
        let Some(resource) = resource_number(&given.typ().to_string()) else {
            let what = format!("{} is not known", given.typ());
            errors.push(PlanError::new(format!("/process/rlimits/{index}/type"), what));
            continue;
        };
        let limit = Limit { resource, soft: given.soft(), hard: given.hard() };
        let ours = facts.hard.iter().find(|(of, _)| *of == resource).map(|(_, hard)| *hard);
        if ours.is_some_and(|ours| limit.hard > ours) {
            if facts.may_raise {
                raise.push(limit);
            } else {
                errors.push(PlanError::new(
                    format!("/process/rlimits/{index}/hard"),
                    format!(
                        "{} {} is above casemate's own hard limit of {}, and raising it needs \
                         CAP_SYS_RESOURCE",
                        given.typ(),
                        limit.hard,
                        ours.unwrap_or(0)
                    ),
                ));
            }
        }
        set.push(limit);
    }
    (set, raise)
}

/// The number of a limit, by its name in setrlimit(2).
pub(super) fn resource_number(name: &str) -> Option<u32> {
    let wanted = name.trim_start_matches("RLIMIT_").to_ascii_uppercase();
    let same = |known: &&str| known.trim_start_matches("RLIMIT_") == wanted;
    let index = super::names::LIMIT_NAMES.iter().position(same)?;
    u32::try_from(index).ok()
}

/// Every id of the process must exist inside.
pub(super) fn check_ids(process: &Process, ids: Option<&IdMap>) -> Vec<PlanError> {
    let user = process.user();
    let mut errors = Vec::new();
    let mut check = |is_mapped: bool, at: String, id: u32| {
        if !is_mapped {
            errors.push(PlanError::new(at, format!("{id} is not mapped")));
        }
    };
    let (uid, gid) = (user.uid(), user.gid());
    check(maps(ids, uid, true), "/process/user/uid".to_owned(), uid);
    check(maps(ids, gid, false), "/process/user/gid".to_owned(), gid);
    for (index, gid) in user.additional_gids().iter().flatten().enumerate() {
        check(maps(ids, *gid, false), format!("/process/user/additionalGids/{index}"), *gid);
    }
    errors
}

/// Whether an id exists inside.
pub(super) fn maps(ids: Option<&IdMap>, id: u32, user: bool) -> bool {
    match ids {
        None => true,
        Some(IdMap::OwnRange) => id < 65_536,
        Some(IdMap::Given { uids, gids }) => {
            let lines = if user { uids } else { gids };
            lines.iter().any(|line| id.checked_sub(line.inside).is_some_and(|at| at < line.size))
        }
    }
}

/// The processors of `exec`: before the process is in the control group, and then. A list that
/// is none is a fault, for init's process as well: it is what an `exec` starts from.
pub(super) fn affinity(
    process: &Process,
    errors: &mut Vec<PlanError>,
) -> (Option<CpuSet>, Option<CpuSet>) {
    let Some(affinity) = process.exec_cpu_affinity().as_ref() else { return (None, None) };
    let mut read = |word: &str, text: &Option<String>| {
        let text = text.as_ref().filter(|text| !text.is_empty())?;
        let at = format!("/process/execCPUAffinity/{word}");
        CpuSet::parse(text).map_err(|what| errors.push(PlanError::new(at, what))).ok()
    };
    (read("initial", affinity.initial()), read("final", affinity.cpu_affinity_final()))
}

/// Rows and columns of the terminal, if they are said.
pub(super) fn console_size(process: &Process) -> Option<(u16, u16)> {
    let size = process.console_size()?;
    Some((u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?))
}

/// Who owns the terminal: the user, and the group `tty` where it exists inside.
pub(super) fn terminal_owner(process: &Process, ids: Option<&IdMap>) -> (u32, u32) {
    const TTY: u32 = 5;
    (process.user().uid(), if maps(ids, TTY, false) { TTY } else { 0 })
}

/// The last steps of init, from the end of its wait to the program. `execve` is the only
/// system call after the filter, unless the wait is put between the two.
pub(super) fn last_steps(
    (process, linux, lsm): (&Process, Option<&Linux>, LsmFacts),
    program: &ProgramPlan,
    sets: CapabilitySets,
    limits: Vec<Limit>,
    filter: Option<Program>,
) -> Vec<Asked> {
    let user = process.user();
    let forbid_new = process.no_new_privileges() == Some(true);
    let groups: Vec<u32> = user.additional_gids().iter().flatten().copied().collect();
    let mut steps: Vec<Asked> = Vec::with_capacity(limits.len() + 14);
    if let Some(mask) = user.umask() {
        steps.push((Action::SetUmask { mask }, "/process/user/umask"));
    }
    steps.extend(super::task::own_steps(linux));
    steps.push((Action::LimitBounding { keep: sets.bounding }, "/process/capabilities/bounding"));
    let to = program.directory.clone();
    steps.push((Action::ApproachDirectory { to }, "/process/cwd"));
    steps.push((Action::SetIds { uid: user.uid(), gid: user.gid(), groups }, "/process/user"));
    // Without no_new_privs the filter needs CAP_SYS_ADMIN; execve takes it away again.
    let extra = if filter.is_some() && !forbid_new { SYS_ADMIN } else { 0 };
    let last = CapabilitySets {
        effective: sets.effective | extra,
        permitted: sets.permitted | extra,
        ..sets
    };
    steps.push((Action::SetCapabilities { sets: last }, "/process/capabilities"));
    if forbid_new {
        steps.push((Action::ForbidNewPrivileges, "/process/noNewPrivileges"));
    }
    steps.extend(labels::steps(process, lsm));
    steps.push((Action::ChangeDirectory { to: program.directory.clone() }, "/process/cwd"));
    if lacks_home(process) {
        steps.push((Action::FindHome { uid: user.uid() }, "/process/env"));
    }
    steps.push((Action::FindProgram, "/process/args"));
    for limit in limits {
        steps.push((Action::SetLimit { limit }, "/process/rlimits"));
    }
    steps.push((Action::ResetSignals, ""));
    steps.push((Action::CloseDescriptors, ""));
    if let Some(program) = filter {
        if program.flags & crate::seccomp::flag::NEW_LISTENER != 0 {
            steps.push((Action::Open { gate: Gate::Filter }, "/linux/seccomp"));
            steps.push((Action::Await { gate: Gate::Watched }, "/linux/seccomp"));
        }
        steps.push((Action::LoadFilter { program }, "/linux/seccomp"));
    }
    steps.push((Action::Execute, "/process/args"));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_for_along_the_path_in_its_order() {
        let found = candidates(&["sh".to_owned()], &["PATH=/a::/b".to_owned()]);

        assert_eq!(found, ["/a/sh", "./sh", "/b/sh"]);
    }

    #[test]
    fn of_several_variables_with_one_name_the_last_counts() {
        let given = ["A=1", "HOME=/x", "A=2", "HOME="].map(str::to_owned).to_vec();

        assert_eq!(environment(given), ["A=2", "HOME=/"]);
    }

    #[test]
    fn a_name_with_a_slash_is_taken_as_it_is() {
        assert_eq!(candidates(&["./run".to_owned()], &[]), ["./run"]);
    }

    #[test]
    fn a_limit_has_the_kernels_number() {
        assert_eq!(resource_number("RLIMIT_NOFILE"), Some(7));
        assert_eq!(resource_number("RLIMIT_RTTIME"), Some(15));
    }
}
