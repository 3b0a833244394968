//! A plan as people read it: every step with who asked for it, and every change.

use std::fmt::Write;

use super::text::one_line;
use super::{LaunchPlan, Track};
use crate::policy::{Change, Refusal, Waived};

/// The plan as text: what is changed, what is done, under which digest.
#[must_use]
pub fn text(plan: &LaunchPlan, digest: &str) -> String {
    let mut out = String::with_capacity(8192);
    let _ = writeln!(out, "level   {} ({})", plan.level, plan.policy);
    let _ = writeln!(out, "digest  {digest}");
    changes(&mut out, "changed in what the bundle asks for", &plan.changes);
    excepted(&mut out, &plan.excepted);
    changes(&mut out, "`hardened` would change", &plan.would_change);
    refusals(&mut out, "`hardened` would refuse", &plan.would_refuse);
    if !plan.notes.is_empty() {
        let _ = writeln!(out, "\nnotes");
        for note in &plan.notes {
            let _ = writeln!(out, "  {}", one_line(note));
        }
    }
    let _ = writeln!(out, "\nsteps");
    for (id, step) in plan.numbered() {
        let _ = writeln!(
            out,
            "{id:>4}  {:<11}  {:<26} {}\n{:>20}{}",
            track(step.track),
            step.action.name(),
            one_line(&step.action.object().to_string()),
            "",
            one_line(&step.origin.to_string())
        );
    }
    out
}

fn track(track: Track) -> &'static str {
    match track {
        Track::Prepare => "prepare",
        Track::Supervisor => "supervisor",
        Track::Init => "init",
        Track::Creator => "creator",
        Track::Starter => "starter",
        Track::AfterStart => "after start",
        Track::AfterEnd => "after end",
    }
}

fn excepted(out: &mut String, all: &[Waived]) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nwaived by an exception of the policy");
    for waived in all {
        let Waived { rule, exception, policy, reason, .. } = waived;
        let (at, what) = (one_line(&waived.at), one_line(&waived.what));
        let _ = writeln!(out, "  {at} {what}\n      rule  `{rule}`");
        if !waived.lowers.is_empty() {
            let _ = writeln!(out, "      this lowers {}", waived.lowers);
        }
        let _ = writeln!(out, "      by    exception `{exception}` ({policy}): {reason}");
    }
}

fn changes(out: &mut String, title: &str, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for change in changes {
        let _ = writeln!(
            out,
            "  {}\n      from  {}\n      to    {}\n      by    rule `{}` ({})",
            one_line(&change.at),
            one_line(&change.from),
            one_line(&change.to),
            change.rule,
            change.policy
        );
    }
}

fn refusals(out: &mut String, title: &str, refusals: &[Refusal]) {
    if refusals.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for refusal in refusals {
        let _ = writeln!(
            out,
            "  {} {}\n      because  {}\n      by       rule `{}` ({})",
            one_line(&refusal.at),
            one_line(&refusal.why),
            refusal.because,
            refusal.rule,
            refusal.policy
        );
    }
}
