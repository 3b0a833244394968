//! How the kernel treats the process: not before everyone else.

use oci_spec::runtime::{IOPriorityClass, LinuxSchedulerPolicy, PosixRlimitType, Process};

use crate::policy::{Case, RuleId};

const NO_REALTIME: RuleId = RuleId("task.no-realtime");

const NO_RESCTRL: RuleId = RuleId("task.no-resctrl");

const HINT: &str = "leave it out, or let an administrator set `realtime` in the table `[host]` of the \
                    policy";

pub(super) fn apply(case: &mut Case<'_>) {
    resctrl(case);
    if case.policy.host.realtime {
        return;
    }
    let Some(process) = case.spec.process().clone() else { return };
    scheduler(case, &process);
    io_priority(case, &process);
    limits(case, &process);
}

/// With these, a process may make itself what it was not made.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other limit has to do with turns")]
fn limits(case: &mut Case<'_>, process: &Process) {
    /// A limit of n permits nice values down to 20 - n: getrlimit(2).
    const NICE_0: u64 = 20;
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let most = match limit.typ() {
            PosixRlimitType::RlimitRtprio => 0,
            PosixRlimitType::RlimitNice => NICE_0,
            _ => continue,
        };
        if limit.hard().max(limit.soft()) > most {
            let why = format!("is {} of {}", limit.hard(), limit.typ());
            case.refuse(NO_REALTIME, format!("/process/rlimits/{index}/hard"), why, HINT);
        }
    }
}

fn scheduler(case: &mut Case<'_>, process: &Process) {
    let Some(asked) = process.scheduler() else { return };
    match asked.policy() {
        LinuxSchedulerPolicy::SchedFifo
        | LinuxSchedulerPolicy::SchedRr
        | LinuxSchedulerPolicy::SchedDeadline => {
            let why = format!("is {}", asked.policy());
            case.refuse(NO_REALTIME, "/process/scheduler/policy", why, HINT);
        }
        LinuxSchedulerPolicy::SchedOther
        | LinuxSchedulerPolicy::SchedBatch
        | LinuxSchedulerPolicy::SchedIso
        | LinuxSchedulerPolicy::SchedIdle => {}
    }
    if let Some(nice) = asked.nice().filter(|nice| *nice < 0) {
        case.refuse(NO_REALTIME, "/process/scheduler/nice", format!("is {nice}"), HINT);
    }
}

fn io_priority(case: &mut Case<'_>, process: &Process) {
    let class = process.io_priority().as_ref().map(|asked| asked.class());
    if class == Some(IOPriorityClass::IoprioClassRt) {
        case.refuse(NO_REALTIME, "/process/ioPriority/class", "is IOPRIO_CLASS_RT", HINT);
    }
}

/// The processor has a handful of such groups, and one share is another's loss.
fn resctrl(case: &mut Case<'_>) {
    let asks = case.spec.linux().as_ref().is_some_and(|linux| linux.intel_rdt().is_some());
    if asks && !case.policy.host.resctrl {
        case.refuse(
            NO_RESCTRL,
            "/linux/intelRdt",
            "asks for a share of the processors' caches or memory bandwidth",
            "leave it out, or let an administrator set `resctrl` in the table `[host]` of the policy",
        );
    }
}
