//! `kill`: sends a signal to init, or to all processes.

use std::os::fd::AsFd;

use super::{Context, OpsError, Result, group, record};
use crate::audit::EventKind;
use crate::cgroup::{Cgroup, Hierarchies, SavedCgroup};
use crate::host::boxes;
use crate::store::{ProcessId, Record, Status};
use crate::sys::{Errno, process};

/// Sends `signal` to a container's init; with `all`, to every process in its control group.
///
/// # Errors
/// Why not, in the words that engines look for.
pub fn kill(context: &Context, id: &str, signal: i32, all: bool) -> Result<()> {
    let doing = format!("kill `{id}`");
    let (id, store) = super::find(context, &doing, id)?;
    let entry = store.lock(&id).map_err(|error| super::stored(&doing, &error))?;
    let record = entry.read_state().map_err(|error| super::stored(&doing, &error))?;
    let status = entry.status(Some(&record));
    // No pid namespace ends with this init: what it left behind runs on.
    let orphaned = status == Status::Stopped && record.shares_pids && signal == libc::SIGKILL;
    if all || orphaned {
        let any = signal_all(&doing, &record, signal)?;
        if status == Status::Stopped && (all || any) {
            return Ok(());
        }
    }
    if status != Status::Created && status != Status::Running {
        return Err(OpsError::failed(doing, "container not running"));
    }
    let process =
        record.process.ok_or_else(|| OpsError::failed(doing.as_str(), "container not running"))?;
    let init = process
        .open()
        .map_err(|error| OpsError::failed(doing.as_str(), format!("reach init: {error:?}")))?
        .ok_or_else(|| OpsError::failed(doing.as_str(), "container not running"))?;
    if signal == libc::SIGKILL {
        kill_beside(&record);
    }
    match process::signal(init.as_fd(), signal) {
        // No pid namespace ends with this init: what it leaves behind would run on.
        Ok(()) if record.shares_pids && signal == libc::SIGKILL => {
            signal_all(&doing, &record, signal)?;
        }
        Ok(()) => {}
        Err(Errno::ESRCH) => {
            return Err(OpsError::failed(doing, "container not running: no such process"));
        }
        Err(error) => {
            return Err(OpsError::failed(doing, format!("send signal {signal}: {error:?}")));
        }
    }
    record::plain(EventKind::Killed, &id, &record.level, &record.plan_digest);
    Ok(())
}

/// Kills what would outlive an init that is no pid namespace's first, where no control group tells
/// what that is: while init lives, it can be found.
pub(super) fn kill_beside(record: &Record) {
    if record.shares_pids && group::has_none(record) {
        signal_each(&beside(record), record.process.map(ProcessId::pid), libc::SIGKILL);
    }
}

/// The processes of a container that has no control group, while its init lives.
fn beside(record: &Record) -> Vec<i32> {
    let init = record.process.filter(|init| init.is_alive().unwrap_or(false));
    init.map_or_else(Vec::new, |init| boxes::processes_beside(init.pid()))
}

/// Signals every process in the control group, beside init; says whether there was any.
fn signal_all(doing: &str, record: &Record, signal: i32) -> Result<bool> {
    let init = record.process.map(ProcessId::pid);
    if group::has_none(record) {
        let pids = beside(record);
        signal_each(&pids, init, signal);
        return Ok(!pids.is_empty());
    }
    let Ok(saved) = serde_json::from_value::<SavedCgroup>(record.cgroup.clone()) else {
        return Ok(false);
    };
    let failed = |error: &dyn std::error::Error| OpsError::because(doing, error);
    let hierarchies = Hierarchies::open().map_err(|error| failed(&error))?;
    let Ok(cgroup) = Cgroup::open(&saved, &hierarchies) else { return Ok(false) };
    let pids = cgroup.pids().map_err(|error| failed(&error))?;
    if signal == libc::SIGKILL {
        return cgroup.kill_all().map(|()| !pids.is_empty()).map_err(|error| failed(&error));
    }
    signal_each(&pids, init, signal);
    Ok(!pids.is_empty())
}

fn signal_each(pids: &[i32], init: Option<i32>, signal: i32) {
    for pid in pids.iter().copied() {
        if Some(pid) != init
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
            && let Ok(process) =
                rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        {
            let _ = process::signal(process.as_fd(), signal);
        }
    }
}

/// Names of signals, by number from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Other names of the same.
const ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// First and last signal without a meaning of its own, as the C library counts them.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Reads a signal as people write it: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse_signal(text: &str) -> std::result::Result<i32, String> {
    let unknown = || {
        format!(
            "unknown signal `{text}`: give a number up to 64, or a name such as TERM, SIGKILL or RTMIN+3"
        )
    };
    if let Ok(number) = text.parse::<i32>() {
        // 0 is sent to nobody: it asks whether there is a process.
        return if (0..=RTMAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return i32::try_from(index.saturating_add(1)).map_err(|_| unknown());
    }
    if let Some((_, number)) = ALIASES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let offset = |rest: &str| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        offset(rest).map(|offset| RTMIN.saturating_add(offset))
    } else {
        let rest = name.strip_prefix("RTMAX").ok_or_else(unknown)?;
        offset(rest).map(|offset| RTMAX.saturating_add(offset))
    };
    number.filter(|number| (RTMIN..=RTMAX).contains(number)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_may_be_written_in_every_usual_way() {
        for text in ["9", "KILL", "SIGKILL", "sigkill", "kill"] {
            assert_eq!(parse_signal(text), Ok(9), "{text}");
        }
        assert_eq!(parse_signal("RTMIN+3"), Ok(37));
        assert_eq!(parse_signal("SIGRTMAX-1"), Ok(63));
        assert_eq!(parse_signal("WINCH"), Ok(28));
        assert_eq!(parse_signal("0"), Ok(0));
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in ["65", "-1", "", "SIG", "RTMIN+99", "RTMINX", "KILLS"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }
}
