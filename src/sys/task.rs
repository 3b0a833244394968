//! How the kernel treats a process: scheduling, input and output, memory nodes, personality.
#![expect(unsafe_code, reason = "none of these calls has a wrapper that fits")]

use super::{Errno, Result, check};

/// What `sched_setattr(2)` is told; times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// From -20 to 19.
    pub nice: i32,
    /// From 1 to 99, or 0.
    pub priority: u32,
    /// How long it runs in a period.
    pub runtime: u64,
    /// By when, after the period began.
    pub deadline: u64,
    /// How long a period is.
    pub period: u64,
}

/// `struct sched_attr` of <linux/sched/types.h>, version 1 (56 bytes).
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// Sets the scheduling policy of the process `pid`.
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE` over the process, or for a deadline with some processors only;
/// `EINVAL` for what the kernel does not have, `EBUSY` when the deadlines of all do not fit.
///
/// Reference: `sched_setattr(2)`.
pub fn set_scheduler(pid: i32, scheduler: &Scheduler) -> Result<()> {
    let attr = SchedAttr {
        size: 56,
        policy: scheduler.policy,
        flags: scheduler.flags,
        nice: scheduler.nice,
        priority: scheduler.priority,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
        util_min: 0,
        util_max: 0,
    };
    // SAFETY: `attr` is a local that outlives the call, which reads `size` bytes of it.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) };
    check(ret).map(drop)
}

/// Sets class and level of the input and output of the process `pid`.
///
/// # Errors
/// `EPERM` for real time without `CAP_SYS_NICE`, `EINVAL` for what there is not.
///
/// Reference: `ioprio_set(2)`.
pub fn set_io_priority(pid: i32, class: u8, level: u8) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_CLASS_SHIFT: u32 = 13;
    let value = (u32::from(class) << IOPRIO_CLASS_SHIFT) | u32::from(level);
    // SAFETY: three integers.
    let ret = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, value) };
    check(ret).map(drop)
}

/// Sets on which memory nodes this process takes memory; bit n of word m of `nodes` is node
/// 64 m + n. Allocates nothing.
///
/// # Errors
/// `EINVAL` for a mode and nodes that do not go together, or nodes that there are not; `ENOSYS`
/// without NUMA.
///
/// Reference: `set_mempolicy(2)`.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<()> {
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // The kernel takes one bit less than it is told of.
    let bits = if nodes.is_empty() { 0 } else { nodes.len().saturating_mul(64).saturating_add(1) };
    // SAFETY: the pointer is null, or to words that the kernel only reads, as many as `bits` says.
    let ret = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) };
    check(ret).map(drop)
}

/// Sets the execution domain of this process. Allocates nothing.
///
/// # Errors
/// `EINVAL` where the kernel took another one than was asked for.
///
/// Reference: personality(2).
pub fn set_personality(persona: u32) -> Result<()> {
    const ASK: libc::c_ulong = 0xffff_ffff;
    // SAFETY: an integer.
    check(libc::c_long::from(unsafe { libc::personality(persona.into()) }))?;
    // SAFETY: an integer that changes nothing.
    let now = check(libc::c_long::from(unsafe { libc::personality(ASK) }))?;
    if now == libc::c_long::from(persona) { Ok(()) } else { Err(Errno::EINVAL) }
}
