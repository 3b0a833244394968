//! Privileges: capabilities only shrink, and nothing gives new ones.

use oci_spec::runtime::{Capabilities, LinuxCapabilities, Process};

use crate::policy::case::list_of;
use crate::policy::{Case, RuleId};

const CEILING: RuleId = RuleId("caps.ceiling");
const NO_INHERITANCE: RuleId = RuleId("caps.no-inheritance");
const NO_NEW_PRIVILEGES: RuleId = RuleId("privs.no-new-privileges");

pub(super) fn apply(case: &mut Case<'_>) {
    let Some(mut process) = case.spec.process().clone() else { return };
    ceiling(case, &mut process);
    no_inheritance(case, &mut process);
    if process.no_new_privileges() != Some(true) {
        process.set_no_new_privileges(Some(true));
        case.change(NO_NEW_PRIVILEGES, "/process/noNewPrivileges", "false", "true");
    }
    case.spec.set_process(Some(process));
}

/// The names of a set, sorted: its own order is not the same twice.
fn names(set: &Capabilities) -> Vec<String> {
    let mut names: Vec<_> = set.iter().map(|capability| format!("CAP_{capability}")).collect();
    names.sort_unstable();
    names
}

fn within_ceiling(set: &Capabilities, added: &[&str]) -> Capabilities {
    let allowed = list_of(CEILING);
    let keep = |name: &String| [allowed, added].iter().any(|list| list.contains(&name.as_str()));
    set.iter().copied().filter(|capability| keep(&format!("CAP_{capability}"))).collect()
}

fn ceiling(case: &mut Case<'_>, process: &mut Process) {
    let Some(mut sets) = process.capabilities().clone() else { return };
    let added = case.added(CEILING);
    for (word, set) in [
        ("bounding", sets.bounding().clone()),
        ("effective", sets.effective().clone()),
        ("permitted", sets.permitted().clone()),
    ] {
        let Some(asked) = set else { continue };
        let kept = within_ceiling(&asked, &added);
        for name in names(&kept).iter().filter(|name| added.contains(&name.as_str())) {
            let at = format!("/process/capabilities/{word}");
            case.used(CEILING, name, &at, &format!("keeps {name}"));
        }
        if kept.len() != asked.len() {
            let lost = names(&asked.difference(&kept).copied().collect());
            let at = format!("/process/capabilities/{word}");
            case.change(CEILING, at, lost.join(" "), "withheld");
            put(&mut sets, word, kept);
        }
    }
    process.set_capabilities(Some(sets));
}

fn put(sets: &mut LinuxCapabilities, word: &str, set: Capabilities) {
    match word {
        "bounding" => sets.set_bounding(Some(set)),
        "effective" => sets.set_effective(Some(set)),
        _ => sets.set_permitted(Some(set)),
    };
}

fn no_inheritance(case: &mut Case<'_>, process: &mut Process) {
    let Some(mut sets) = process.capabilities().clone() else { return };
    for (word, set) in
        [("inheritable", sets.inheritable().clone()), ("ambient", sets.ambient().clone())]
    {
        if let Some(asked) = set.filter(|set| !set.is_empty()) {
            let at = format!("/process/capabilities/{word}");
            case.change(NO_INHERITANCE, at, names(&asked).join(" "), "none");
        }
    }
    sets.set_inheritable(None);
    sets.set_ambient(None);
    process.set_capabilities(Some(sets));
}
