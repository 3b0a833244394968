//! What the process may: never more than init was given.

use oci_spec::runtime::{LinuxCapabilities, PosixRlimitBuilder, Process};

use super::{ExecInputs, is_enforced};
use crate::plan::action::{Action, CapabilitySets};
use crate::plan::names::capability_words;
use crate::plan::{LaunchPlan, process};
use crate::policy::{Change, place};

const SAME_BOX: &str = "exec.same-box";
const NO_INHERITANCE: &str = "caps.no-inheritance";

/// What becomes of what was asked for.
#[derive(Debug)]
pub(super) struct Granted {
    /// The capabilities.
    pub sets: CapabilitySets,
    /// What is withheld; where nothing is enforced, what would be.
    pub changes: Vec<Change>,
}

/// The sets that the process gets.
pub(super) fn capabilities(process: &Process, inputs: &ExecInputs<'_>) -> Granted {
    let init = of_init(inputs.plan);
    let mut asked = process.capabilities().as_ref().map_or(init, of_document);
    let more = inputs.asked.capabilities;
    asked.bounding |= more;
    asked.permitted |= more;
    asked.effective |= more;
    if asked.inheritable != 0 {
        // As other runtimes: raising needs both sets, and `--cap` is not said to fill this one.
        asked.ambient |= more;
    }
    let mut granted = Granted { sets: asked, changes: Vec::new() };
    let enforced = is_enforced(inputs.plan);
    // Whatever a process has in its other sets, the bounding set is what root gets by execve.
    let ceiling = if enforced { init.bounding } else { inputs.facts.bounding };
    for (word, set) in [
        ("bounding", asked.bounding),
        ("permitted", asked.permitted),
        ("effective", asked.effective),
    ] {
        granted.withhold(SAME_BOX, word, set & !init.bounding);
    }
    if enforced {
        granted.withhold(NO_INHERITANCE, "inheritable", asked.inheritable);
        granted.withhold(NO_INHERITANCE, "ambient", asked.ambient);
        (asked.inheritable, asked.ambient) = (0, 0);
    }
    let permitted = asked.permitted & ceiling;
    let inheritable = asked.inheritable & asked.bounding & ceiling;
    granted.sets = CapabilitySets {
        bounding: asked.bounding & ceiling,
        permitted,
        effective: asked.effective & permitted,
        inheritable,
        ambient: asked.ambient & permitted & inheritable,
    };
    granted
}

impl Granted {
    fn withhold(&mut self, rule: &str, word: &str, lost: u64) {
        if lost != 0 {
            let at = format!("/capabilities/{word}");
            self.changes.push(change(rule, at, capability_words(lost), "withheld".to_owned()));
        }
    }
}

/// A change that a control makes.
pub(super) fn change(rule: &str, at: String, from: String, to: String) -> Change {
    Change { rule: rule.to_owned(), policy: place(rule), at, from, to }
}

/// What init was given. Without `no_new_privs`, its step holds one capability more, which it
/// needs to load the filter and loses with execve.
fn of_init(plan: &LaunchPlan) -> CapabilitySets {
    let mut sets = CapabilitySets::default();
    for step in &plan.steps {
        if let Action::SetCapabilities { sets: all } = &step.action {
            sets = *all;
        }
    }
    let bounding = plan.steps.iter().find_map(|step| {
        let Action::LimitBounding { keep } = &step.action else { return None };
        Some(*keep)
    });
    sets.bounding = bounding.unwrap_or(0);
    sets.permitted &= sets.bounding;
    sets.effective &= sets.bounding;
    sets
}

fn of_document(sets: &LinuxCapabilities) -> CapabilitySets {
    CapabilitySets {
        bounding: process::mask(sets.bounding().as_ref()),
        permitted: process::mask(sets.permitted().as_ref()),
        effective: process::mask(sets.effective().as_ref()),
        inheritable: process::mask(sets.inheritable().as_ref()),
        ambient: process::mask(sets.ambient().as_ref()),
    }
}

/// Cuts what is asked for above init's own: hard limits, and how safe from the kernel's killer.
pub(super) fn within_init(process: &mut Process, init: &Process) -> Vec<Change> {
    let mut changes = Vec::new();
    let labels = [
        ("/apparmorProfile", process.apparmor_profile(), init.apparmor_profile()),
        ("/selinuxLabel", process.selinux_label(), init.selinux_label()),
    ];
    for (at, asked, own) in labels {
        let text = |label: &Option<String>| label.clone().unwrap_or_default();
        if text(asked) != text(own) {
            changes.push(change(SAME_BOX, at.to_owned(), text(asked), text(own)));
        }
    }
    process.set_apparmor_profile(init.apparmor_profile().clone());
    process.set_selinux_label(init.selinux_label().clone());
    let mut limits = process.rlimits().clone().unwrap_or_default();
    for (index, limit) in limits.iter_mut().enumerate() {
        let own = init.rlimits().iter().flatten().find(|own| own.typ() == limit.typ());
        let Some(own) = own.filter(|own| limit.hard() > own.hard()) else { continue };
        let at = format!("/rlimits/{index}/hard");
        let (from, to) = (limit.hard().to_string(), own.hard().to_string());
        changes.push(change(SAME_BOX, at, from, to));
        let cut = PosixRlimitBuilder::default()
            .typ(limit.typ())
            .hard(own.hard())
            .soft(limit.soft().min(own.hard()));
        *limit = cut.build().unwrap_or(*own);
    }
    if !limits.is_empty() {
        process.set_rlimits(Some(limits));
    }
    // Where init was given none, it has its caller's, as this process then has.
    let own = init.oom_score_adj();
    if let Some(asked) = process.oom_score_adj()
        && asked < own.unwrap_or(0)
    {
        let to = own.map_or_else(|| "that of the caller".to_owned(), |own| own.to_string());
        changes.push(change(SAME_BOX, "/oomScoreAdj".to_owned(), asked.to_string(), to));
        process.set_oom_score_adj(own);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_safer_from_the_killer_than_an_init_that_was_given_no_score() {
        let mut init = Process::default();
        init.set_oom_score_adj(None);
        for (asked, kept) in [(Some(-5), None), (Some(5), Some(5)), (None, None)] {
            let mut process = init.clone();
            process.set_oom_score_adj(asked);

            let changes = within_init(&mut process, &init);

            assert_eq!(process.oom_score_adj(), kept);
            assert_eq!(changes.len(), usize::from(asked != kept));
        }
    }
}
