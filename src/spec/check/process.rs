//! `/process`: who runs what, where, and with which limits.

use oci_spec::runtime::{PosixRlimit, PosixRlimitType, Process, User};

use super::Report;
use crate::spec::pointer::Pointer;
use crate::spec::words::Quoted;

/// The id that system calls take for "leave as it is"; no user and no group can have it.
pub(super) const NO_ID: u32 = u32::MAX;

/// Most supplementary groups of a process. Reference: `NGROUPS_MAX`, linux/limits.h.
const MAX_GROUPS: usize = 65_536;

/// Largest mask of mode bits. Reference: umask(2).
const MAX_UMASK: u32 = 0o777;

/// Most rows or columns of a terminal. Reference: `struct winsize`, `TIOCSWINSZ(2const)`.
const MAX_CONSOLE: u64 = 65_535;

pub(super) fn check(report: &mut Report, at: &Pointer, process: &Process) {
    check_program(report, at, process);
    check_user(report, &at.clone().key("user"), process.user());
    environment(report, at, process.env().as_deref().unwrap_or_default());
    check_rlimits(report, at, process.rlimits().as_deref().unwrap_or_default());
    if let Some(score) = process.oom_score_adj().filter(|score| !(-1000..=1000).contains(score)) {
        let what = format!("not from -1000 to 1000: {score}");
        report.say(at.clone().key("oomScoreAdj"), what);
    }
    if let Some(asked) = process.scheduler() {
        super::task::scheduler(report, &at.clone().key("scheduler"), asked);
    }
    if let Some(asked) = process.io_priority() {
        super::task::io_priority(report, &at.clone().key("ioPriority"), asked);
    }
    if let Some(size) = process.console_size() {
        for (name, value) in [("height", size.height()), ("width", size.width())] {
            if value > MAX_CONSOLE {
                let what = format!("more than 65535: {value}");
                report.say(at.clone().key("consoleSize").key(name), what);
            }
        }
    }
}

fn check_program(report: &mut Report, at: &Pointer, process: &Process) {
    match process.args().as_deref().unwrap_or_default() {
        [] => report.say(at.clone().key("args"), "empty; there is no program to start"),
        [program, ..] if program.is_empty() => {
            report.say(at.clone().key("args").index(0), "empty; there is no program to start");
        }
        [..] => {}
    }
    if !process.cwd().is_absolute() {
        let cwd = process.cwd().to_string_lossy();
        report.say(at.clone().key("cwd"), format!("not absolute: {}", Quoted(&cwd)));
    }
}

fn check_user(report: &mut Report, at: &Pointer, user: &User) {
    const WHAT: &str = "4294967295 is no id; system calls take it for \"leave as it is\"";
    for (name, id) in [("uid", user.uid()), ("gid", user.gid())] {
        if id == NO_ID {
            report.say(at.clone().key(name), WHAT);
        }
    }
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    for (i, _) in groups.iter().enumerate().filter(|(_, gid)| **gid == NO_ID) {
        report.say(at.clone().key("additionalGids").index(i), WHAT);
    }
    if groups.len() > MAX_GROUPS {
        let what = format!("{} groups; the kernel takes 65536", groups.len());
        report.say(at.clone().key("additionalGids"), what);
    }
    if let Some(umask) = user.umask().filter(|umask| *umask > MAX_UMASK) {
        report.say(at.clone().key("umask"), format!("more than 511 (0777): {umask}"));
    }
}

/// An entry that has no name, or no `=`, is no variable to any shell, and means different things
/// to different C libraries.
pub(super) fn environment(report: &mut Report, at: &Pointer, env: &[String]) {
    for (i, entry) in env.iter().enumerate() {
        let what = match entry.split_once('=') {
            Some(("", _)) => format!("no name before `=`: {}", Quoted(entry)),
            None => format!("no `=`: {}", Quoted(entry)),
            Some(_) => continue,
        };
        report.say(at.clone().key("env").index(i), what);
    }
}

fn check_rlimits(report: &mut Report, at: &Pointer, rlimits: &[PosixRlimit]) {
    let mut named: Vec<PosixRlimitType> = Vec::new();
    for (i, limit) in rlimits.iter().enumerate() {
        let here = || at.clone().key("rlimits").index(i);
        if named.contains(&limit.typ()) {
            report.say(here().key("type"), format!("`{}` stands twice", limit.typ()));
        } else {
            named.push(limit.typ());
        }
        if limit.soft() > limit.hard() {
            let what = format!("above the hard limit: {} > {}", limit.soft(), limit.hard());
            report.say(here().key("soft"), what);
        }
    }
}
