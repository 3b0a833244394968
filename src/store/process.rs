//! Which process a number means: a pid and the time it started.
//!
//! A pid alone is used again once its process is gone. With the start time beside it, a record
//! that outlived its process can be told from one that did not.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use crate::sys::{Errno, Result, errno};

/// A process of this boot, as our pid namespace counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct ProcessId {
    pid: i32,
    start_time: u64,
}

/// What the file says, before the pid is seen to be one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    pid: i32,
    start_time: u64,
}

impl TryFrom<Fields> for ProcessId {
    type Error = &'static str;

    // kill(2) takes 0 and less to mean groups of processes: such a number must not leave a file.
    fn try_from(fields: Fields) -> std::result::Result<Self, &'static str> {
        if fields.pid < 1 {
            return Err("a pid is at least 1");
        }
        Ok(Self { pid: fields.pid, start_time: fields.start_time })
    }
}

impl ProcessId {
    /// Identifies a process that is known to exist, such as a child that was not waited for.
    ///
    /// # Errors
    /// `ESRCH` if there is no such process, `EINVAL` if `pid` is less than 1, or what reading
    /// `/proc` gave.
    pub fn observe(pid: i32) -> Result<Self> {
        if pid < 1 {
            return Err(Errno::EINVAL);
        }
        let stat = read_stat(pid)?.ok_or(Errno::ESRCH)?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    /// Identifies the calling process.
    ///
    /// # Errors
    /// What reading `/proc` gave.
    pub fn observe_self() -> Result<Self> {
        Self::observe(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// The pid, at least 1, in the pid namespace of whoever observed it.
    #[must_use]
    pub fn pid(self) -> i32 {
        self.pid
    }

    /// Clock ticks from boot to the start of the process: proc_pid_stat(5), field 22.
    #[must_use]
    pub fn start_time(self) -> u64 {
        self.start_time
    }

    /// Whether this very process still runs; one that is dead and not yet waited for does not.
    ///
    /// # Errors
    /// What reading `/proc` gave. A process that is gone is `Ok(false)`.
    pub fn is_alive(self) -> Result<bool> {
        let stat = read_stat(self.pid)?;
        Ok(stat.is_some_and(|stat| stat.start_time == self.start_time && stat.runs()))
    }

    /// Opens a descriptor of this very process, or `None` if it is gone.
    ///
    /// A signal sent through the descriptor reaches this process or nobody, also when the pid is
    /// used again in between. A zombie still has one.
    ///
    /// # Errors
    /// What pidfd_open(2) or reading `/proc` gave.
    pub fn open(self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // Kernels before 6.15 say EINVAL of one that is reaped while they look for it.
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(errno(error)),
        };
        // After the open: the descriptor pins whichever process had the number by then.
        let same = read_stat(self.pid)?.is_some_and(|stat| stat.start_time == self.start_time);
        Ok(same.then_some(pidfd))
    }
}

/// The fields of proc_pid_stat(5) that tell whether a process is the one meant.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u64,
    start_time: u64,
}

impl Stat {
    /// A leader that ended before its threads is shown as a zombie, and the process runs on.
    fn runs(&self) -> bool {
        match self.state {
            'Z' => self.threads > 1,
            'X' | 'x' => false,
            _ => true,
        }
    }
}

fn read_stat(pid: i32) -> Result<Option<Stat>> {
    // The command is at most 64 bytes, the 50 numbers at most 20 each.
    let mut buffer = [0_u8; 1280];
    let path = format!("/proc/{pid}/stat");
    let read = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut buffer));
    match read {
        Ok(length) => {
            let text = buffer.get(..length).unwrap_or_default();
            parse_stat(text).map(Some).ok_or(Errno::EIO)
        }
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(errno(error)),
    }
}

/// The command may hold any byte, so the fields are counted from its last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        threads: fields.nth(16)?.parse().ok()?,
        start_time: fields.nth(1)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_command_may_hold_parentheses_and_spaces() {
        let text = b"7 (a) S (b) Z 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 3 0 12345 0 0";

        let stat = parse_stat(text);

        assert_eq!(stat, Some(Stat { state: 'Z', threads: 3, start_time: 12345 }));
        assert!(stat.unwrap().runs());
        assert_eq!(parse_stat(b"7 (a"), None);
        assert_eq!(parse_stat(b"7 (a) S 1"), None);
    }

    #[test]
    fn we_are_alive() {
        let me = ProcessId::observe_self().unwrap();

        assert!(me.is_alive().unwrap());
        assert!(me.open().unwrap().is_some());
    }

    #[test]
    fn a_zombie_is_not_alive_and_the_reaped_is_gone() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let id = ProcessId::observe(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(id.is_alive().unwrap());

        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while id.is_alive().unwrap() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }

        assert!(!id.is_alive().unwrap());
        assert!(id.open().unwrap().is_some(), "a zombie can still be waited for");
        child.wait().unwrap();
        assert!(!id.is_alive().unwrap());
        assert!(id.open().unwrap().is_none());
        assert_eq!(ProcessId::observe(id.pid()).err(), Some(Errno::ESRCH));
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_one() {
        let me = ProcessId::observe_self().unwrap();
        let other = ProcessId { start_time: me.start_time + 1, ..me };

        assert!(!other.is_alive().unwrap());
        assert!(other.open().unwrap().is_none());
    }

    #[test]
    fn a_pid_that_would_signal_a_group_is_not_read_from_a_file() {
        for pid in ["0", "-1", "4294967295", "\"1\""] {
            let text = format!(r#"{{"pid": {pid}, "start_time": 1}}"#);
            assert!(serde_json::from_str::<ProcessId>(&text).is_err(), "{pid}");
        }
        assert_eq!(ProcessId::observe(0).err(), Some(Errno::EINVAL));
    }
}
