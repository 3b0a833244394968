//! How the kernel treats the process: scheduling, priorities, memory nodes, execution domain.

use oci_spec::runtime::{
    Linux, LinuxIOPriority, LinuxNamespaceType, LinuxSchedulerPolicy, MemoryPolicyModeType,
    Scheduler,
};

use super::Report;
use crate::spec::pointer::Pointer;
use crate::spec::ranges::{MAX_NODE, Numbers};
use crate::spec::words::Quoted;

/// The clocks that a time namespace can shift. Reference: `time_namespaces(7)`.
const CLOCKS: [&str; 2] = ["monotonic", "boottime"];

const SECOND_NANOSECS: u32 = 1_000_000_000;

pub(super) fn scheduler(report: &mut Report, at: &Pointer, asked: &Scheduler) {
    let policy = *asked.policy();
    let is_ranked =
        matches!(policy, LinuxSchedulerPolicy::SchedFifo | LinuxSchedulerPolicy::SchedRr);
    // The kernel takes one with every policy, and goes by it once the policy is a fair one.
    if let Some(nice) = asked.nice().filter(|nice| !(-20..=19).contains(nice)) {
        report.say(at.clone().key("nice"), format!("not from -20 to 19: {nice}"));
    }
    let priority = asked.priority().unwrap_or(0);
    if is_ranked && !(1..=99).contains(&priority) {
        report.say(at.clone().key("priority"), format!("not from 1 to 99: {priority}"));
    }
    if !is_ranked && priority != 0 {
        let what = format!("has no meaning with {policy}, only with SCHED_FIFO and SCHED_RR");
        report.say(at.clone().key("priority"), what);
    }
    let times = [
        ("runtime", *asked.runtime()),
        ("deadline", *asked.deadline()),
        ("period", *asked.period()),
    ];
    for (name, _) in times.into_iter().filter(|(_, time)| time.unwrap_or(0) != 0) {
        if policy != LinuxSchedulerPolicy::SchedDeadline {
            let what = format!("has no meaning with {policy}, only with SCHED_DEADLINE");
            report.say(at.clone().key(name), what);
        }
    }
}

pub(super) fn io_priority(report: &mut Report, at: &Pointer, asked: &LinuxIOPriority) {
    let priority = asked.priority();
    if !(0..=7).contains(&priority) {
        report.say(at.clone().key("priority"), format!("not from 0 to 7: {priority}"));
    }
}

pub(super) fn linux(report: &mut Report, linux: &Linux) {
    memory_policy(report, linux);
    let flags = linux.personality().as_ref().and_then(|domain| domain.flags().as_ref());
    for (i, flag) in flags.into_iter().flatten().enumerate() {
        let what = format!("{}: the specification knows no flag", Quoted(flag));
        report.say(Pointer::of("/linux/personality/flags").index(i), what);
    }
    time_offsets(report, linux);
}

fn memory_policy(report: &mut Report, linux: &Linux) {
    let Some(policy) = linux.memory_policy() else { return };
    let Some(nodes) = policy.nodes() else { return };
    let at = Pointer::of("/linux/memoryPolicy/nodes");
    match Numbers::parse(nodes, MAX_NODE) {
        // As runc has it: whoever reads its messages knows these words.
        Err(what) => report.say(at, format!("invalid memory policy node: {what}")),
        Ok(numbers) => {
            let count: u32 = numbers.mask().iter().map(|word| word.count_ones()).sum();
            // The kernel says no more than EINVAL. Reference: set_mempolicy(2).
            let takes_none = matches!(
                policy.mode(),
                MemoryPolicyModeType::MpolDefault | MemoryPolicyModeType::MpolLocal
            );
            if takes_none && count > 0 {
                report.say(at, format!("{} mode requires 0 nodes but got {count}", policy.mode()));
            }
        }
    }
}

fn time_offsets(report: &mut Report, linux: &Linux) {
    let Some(offsets) = linux.time_offsets().as_ref().filter(|offsets| !offsets.is_empty()) else {
        return;
    };
    let at = || Pointer::of("/linux/timeOffsets");
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    let time = namespaces.iter().find(|n| n.typ() == LinuxNamespaceType::Time);
    match time.map(|time| time.path().as_ref().filter(|path| !path.as_os_str().is_empty())) {
        None => report.say(at(), "needs a `time` namespace, and /linux/namespaces has none"),
        Some(Some(_)) => report.say(at(), "cannot be set in a `time` namespace that is joined"),
        Some(None) => {}
    }
    let mut sorted: Vec<_> = offsets.iter().collect();
    sorted.sort_by_key(|(clock, _)| clock.as_str());
    for (clock, offset) in sorted {
        if !CLOCKS.contains(&clock.as_str()) {
            let what = format!("{} is no clock; there are monotonic and boottime", Quoted(clock));
            report.say(at().key(clock), what);
        }
        if let Some(nanosecs) = offset.nanosecs().filter(|nanosecs| *nanosecs >= SECOND_NANOSECS) {
            report.say(at().key(clock).key("nanosecs"), format!("a second or more: {nanosecs}"));
        }
    }
}
