//! Steps of the supervisor that say how the kernel treats the new process: with the outer
//! credentials, for its own may not be enough.

use crate::plan::task::Scheduler;
use crate::sys::{Result, task};

/// Sets the scheduling policy of the process `pid`.
pub(in crate::engine) fn set_scheduler(pid: i32, scheduler: &Scheduler) -> Result<()> {
    task::set_scheduler(
        pid,
        &task::Scheduler {
            policy: scheduler.policy,
            flags: scheduler.flags,
            nice: scheduler.nice,
            priority: scheduler.priority,
            runtime: scheduler.runtime,
            deadline: scheduler.deadline,
            period: scheduler.period,
        },
    )
}
