//! Reads refusals out of the kernel's log: audit records of type 1326, `SECCOMP`.
//!
//! The kernel says who and what, but not with which arguments; and not everything, for it limits
//! how often it says anything.

use std::time::{Duration, SystemTime};

/// One refusal, as the kernel logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// When.
    pub time: SystemTime,
    /// The user, as the host counts.
    pub uid: u32,
    /// The thread, as the host counts.
    pub pid: u32,
    /// What the program calls itself.
    pub name: String,
    /// Its file, as the container sees it.
    pub file: String,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// The call's number.
    pub nr: u32,
    /// What the filter returned: the action, without an error number.
    pub code: u32,
}

impl Logged {
    /// What the caller met with, in words; `None` if its call was made.
    #[must_use]
    pub fn outcome(&self) -> Option<&'static str> {
        match self.code {
            0x0005_0000 => Some("an error"),
            0x0003_0000 => Some("SIGSYS, which it can catch"),
            0x0000_0000 => Some("SIGSYS, which ends its thread"),
            0x8000_0000 => Some("SIGSYS, which ends its process"),
            _ => None,
        }
    }
}

/// Reads one line: of `/dev/kmsg`, of `dmesg`, or of auditd's file. `None` if it is about
/// something else.
#[must_use]
pub fn parse(line: &str) -> Option<Logged> {
    let (head, record) = line.split_once("audit(")?;
    let ours = head.contains("type=1326") || head.contains("type=SECCOMP");
    if !ours {
        return None;
    }
    let (stamp, fields) = record.split_once("): ")?;
    let (seconds, rest) = stamp.split_once('.')?;
    let (thousandths, _) = rest.split_once(':')?;
    let since = Duration::from_secs(seconds.parse().ok()?)
        .checked_add(Duration::from_millis(thousandths.parse::<u16>().ok()?.into()))?;
    Some(Logged {
        time: SystemTime::UNIX_EPOCH.checked_add(since)?,
        uid: field(fields, "uid")?.parse().ok()?,
        pid: field(fields, "pid")?.parse().ok()?,
        name: text(field(fields, "comm")?),
        file: field(fields, "exe").map(text).unwrap_or_default(),
        arch: hex(field(fields, "arch")?)?,
        nr: field(fields, "syscall")?.parse().ok()?,
        code: hex(field(fields, "code")?.trim_end())?,
    })
}

/// The value of a field. A quoted one ends at the next quote: the kernel writes what holds a
/// quote or a space in hexadecimal, without quotes.
fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = fields;
    loop {
        let (key, value) = rest.split_once('=')?;
        let key = key.rsplit(' ').next().unwrap_or(key);
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (value.get(..end.checked_add(2)?)?, quoted.get(end.checked_add(1)?..)?)
            }
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        if key == name {
            return Some(value);
        }
        rest = after;
    }
}

/// A text that whoever is logged chose.
fn text(value: &str) -> String {
    if let Some(quoted) = value.strip_prefix('"') {
        return quoted.trim_end_matches('"').to_owned();
    }
    let (pairs, odd) = value.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    match bytes {
        Some(bytes) if odd.is_empty() => String::from_utf8_lossy(&bytes)
            .chars()
            .map(|letter| if letter.is_control() { '?' } else { letter })
            .collect(),
        Some(_) | None => value.to_owned(),
    }
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "5,993,4821117,-;audit: type=1326 audit(1700000000.123:45): \
        auid=4294967295 uid=524288 gid=524288 ses=4294967295 subj=unconfined pid=1234 \
        comm=\"unshare\" exe=\"/bin/busybox\" sig=0 arch=c000003e syscall=272 compat=0 \
        ip=0x7f0000 code=0x50000";

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let logged = parse(LINE).unwrap();

        assert_eq!((logged.uid, logged.pid, logged.nr), (524_288, 1234, 272));
        assert_eq!((&*logged.name, &*logged.file), ("unshare", "/bin/busybox"));
        assert_eq!((logged.arch, logged.outcome()), (0xc000_003e, Some("an error")));
        let since = logged.time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since, Duration::from_millis(1_700_000_000_123));
    }

    #[test]
    fn a_line_of_auditd_is_read() {
        let line = LINE.replace("5,993,4821117,-;audit: type=1326 audit", "type=SECCOMP msg=audit");

        assert_eq!(parse(&line), parse(LINE));
    }

    #[test]
    fn a_program_cannot_forge_a_field_by_its_name() {
        let forged = LINE.replace("comm=\"unshare\"", "comm=782220756964 uid_=1");
        let logged = parse(&forged).unwrap();
        assert_eq!((&*logged.name, logged.uid), ("x\" uid", 524_288));

        let forged = LINE.replace("comm=\"unshare\"", "comm=\"x uid=0 pid=1\"");
        let logged = parse(&forged).unwrap();
        assert_eq!((&*logged.name, logged.uid, logged.pid), ("x uid=0 pid=1", 524_288, 1234));
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in
            ["", "audit(", "6,1,2,-;hello", &LINE.replace("1326", "1400"), "type=1326 audit(x"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
        let made = parse(&LINE.replace("0x50000", "0x7ffc0000")).unwrap();
        assert_eq!(made.outcome(), None);
    }
}
