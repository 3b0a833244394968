//! What `/proc/PID/status` says of a process's privileges. Pure.

use super::observe::ObservedProcess;

/// Reads the file; `None` if it lacks a line that every kernel writes.
pub(super) fn parse(text: &str) -> Option<ObservedProcess> {
    let line = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let set = |name: &str| u64::from_str_radix(line(name)?, 16).ok();
    let number = |name: &str| line(name)?.parse::<u32>().ok();
    let ids = |name: &str| {
        let all: Vec<u32> =
            line(name)?.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        <[u32; 4]>::try_from(all).ok()
    };
    let mut process = ObservedProcess {
        pid: line("NSpid")?.split_whitespace().last()?.parse().ok()?,
        uids: ids("Uid")?,
        gids: ids("Gid")?,
        groups: line("Groups")?.split_whitespace().filter_map(|id| id.parse().ok()).collect(),
        no_new_privileges: number("NoNewPrivs")? == 1,
        seccomp: number("Seccomp")?,
        // Since Linux 5.9.
        filters: number("Seccomp_filters").unwrap_or_default(),
        ..ObservedProcess::default()
    };
    process.sets.inheritable = set("CapInh")?;
    process.sets.permitted = set("CapPrm")?;
    process.sets.effective = set("CapEff")?;
    process.sets.bounding = set("CapBnd")?;
    process.sets.ambient = set("CapAmb")?;
    Some(process)
}
