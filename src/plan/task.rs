//! The chapter on how the kernel treats the process: scheduling, input and output, memory nodes,
//! execution domain.

use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxIOPriority, LinuxMemoryPolicy, LinuxPersonality,
    LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType,
    MemoryPolicyModeType, Scheduler as Asked,
};
use serde::{Deserialize, Serialize};

use super::action::Action;
use crate::spec::ranges::Numbers;

/// What `sched_setattr(2)` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u64,
    /// From -20, the most favoured, to 19; for the policies without priorities.
    pub nice: i32,
    /// From 1 to 99, the most favoured; for `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// For `SCHED_DEADLINE`: how long it runs in a period, in nanoseconds.
    pub runtime: u64,
    /// By when it has, after the period began, in nanoseconds.
    pub deadline: u64,
    /// How long a period is, in nanoseconds.
    pub period: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(bits: &u64) -> bool {
    *bits == 0
}

/// What `ioprio_set(2)` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_*`: 1 is real time, 2 best effort, 3 idle.
    pub class: u8,
    /// From 0, the most favoured, to 7.
    pub level: u8,
}

/// What `set_mempolicy(2)` is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    /// `MPOL_*`, with `MPOL_F_*`.
    pub mode: u32,
    /// Bit n of word m: node 64 m + n.
    pub nodes: Vec<u64>,
}

/// The scheduler of a process.
#[must_use]
pub fn scheduler(asked: &Asked) -> Scheduler {
    let flags = asked.flags().iter().flatten().map(|flag| scheduler_flag(*flag));
    Scheduler {
        policy: scheduler_policy(*asked.policy()),
        flags: flags.fold(0, |all, flag| all | flag),
        nice: asked.nice().unwrap_or(0),
        priority: u32::try_from(asked.priority().unwrap_or(0)).unwrap_or(0),
        runtime: asked.runtime().unwrap_or(0),
        deadline: asked.deadline().unwrap_or(0),
        period: asked.period().unwrap_or(0),
    }
}

/// Reference: linux/sched.h.
const fn scheduler_policy(policy: LinuxSchedulerPolicy) -> u32 {
    match policy {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    }
}

/// Reference: linux/sched.h.
const fn scheduler_flag(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

/// The words of the policies, by number.
pub(super) const POLICIES: [&str; 7] = [
    "SCHED_OTHER",
    "SCHED_FIFO",
    "SCHED_RR",
    "SCHED_BATCH",
    "SCHED_ISO",
    "SCHED_IDLE",
    "SCHED_DEADLINE",
];

/// The words of the classes, by number.
pub(super) const CLASSES: [&str; 4] = ["none", "real time", "best effort", "idle"];

/// The words of the memory policies, by number.
pub(super) const MODES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_PREFERRED",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

/// The priority of a process's input and output.
#[must_use]
pub fn io_priority(asked: &LinuxIOPriority) -> IoPriority {
    let class = match asked.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    IoPriority { class, level: u8::try_from(asked.priority()).unwrap_or(7) }
}

/// The memory policy; the list of nodes was checked before.
fn memory_policy(asked: &LinuxMemoryPolicy) -> MemoryPolicy {
    let mode = match asked.mode() {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    };
    let flags = asked.flags().iter().flatten().map(|flag| match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
    });
    let nodes = asked.nodes().as_deref().unwrap_or_default();
    let nodes = Numbers::parse(nodes, crate::spec::ranges::MAX_NODE).map(|nodes| nodes.mask());
    MemoryPolicy {
        mode: flags.fold(mode, |all, flag| all | flag),
        nodes: nodes.unwrap_or_default(),
    }
}

fn personality(asked: &LinuxPersonality) -> u32 {
    match asked.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }
}

/// What the process does to itself, while it still may: the filter may deny these calls later.
pub(super) fn own_steps(linux: Option<&Linux>) -> Vec<(Action, &'static str)> {
    let mut steps = Vec::new();
    let Some(linux) = linux else { return steps };
    if let Some(asked) = linux.memory_policy() {
        let policy = memory_policy(asked);
        steps.push((Action::SetMemoryPolicy { policy }, "/linux/memoryPolicy"));
    }
    if let Some(asked) = linux.personality() {
        let persona = personality(asked);
        steps.push((Action::SetPersonality { persona }, "/linux/personality"));
    }
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_memory_policy_has_the_kernels_numbers() {
        let asked: LinuxMemoryPolicy = serde_json::from_value(json!({
            "mode": "MPOL_BIND", "nodes": "0,2-3,65", "flags": ["MPOL_F_STATIC_NODES"],
        }))
        .unwrap();

        let policy = memory_policy(&asked);

        assert_eq!(policy, MemoryPolicy { mode: 2 | 1 << 15, nodes: vec![0b1101, 0b10] });
    }

    #[test]
    fn a_scheduler_has_the_kernels_numbers() {
        let asked: Asked = serde_json::from_value(json!({
            "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 1,
            "deadline": 2, "period": 3,
        }))
        .unwrap();

        let found = scheduler(&asked);

        assert_eq!((found.policy, found.flags), (6, 2));
        assert_eq!((found.runtime, found.deadline, found.period), (1, 2, 3));
    }
}
