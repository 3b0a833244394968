//! What is asked of CRIU, and what it answers. Reference: `images/rpc.proto` of CRIU.

use std::os::fd::RawFd;

use super::wire::{Value, Writer, fields};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Write processes to files.
    Dump,
    /// Make processes from files.
    Restore,
    /// Write memory only, and let the processes go on.
    PreDump,
    /// Say what the kernel can do.
    FeatureCheck,
    /// Say its version.
    Version,
}

impl Kind {
    fn number(self) -> i64 {
        match self {
            Self::Dump => 1,
            Self::Restore => 2,
            Self::PreDump => 4,
            Self::FeatureCheck => 9,
            Self::Version => 10,
        }
    }
}

/// The number of a message in which CRIU says how far it is.
const NOTIFY: i64 = 6;

/// A server that keeps memory instead of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageServer {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
}

/// How a dump or a restore is done. Numbers of descriptors are CRIU's: it inherits them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The directory of the images.
    pub images: RawFd,
    /// The directory of the log, if it is another one.
    pub work: Option<RawFd>,
    /// The log's name in there.
    pub log: &'static str,
    /// The process to dump.
    pub pid: Option<i32>,
    /// The root file system: a mount point.
    pub root: String,
    /// The directory of the images before this one, below the images.
    pub parent: Option<String>,
    /// What lies outside: `TYPE[ID]:KEY`.
    pub external: Vec<String>,
    /// What takes the place of descriptors that lay outside: key and number.
    pub inherited: Vec<(String, RawFd)>,
    /// Namespaces that are left empty, as `CLONE_NEW*` flags.
    pub empty_namespaces: u32,
    /// A server for pages.
    pub page_server: Option<PageServer>,
    /// Kind and name of the label that processes get.
    pub lsm_profile: Option<String>,
    /// The label of mounts.
    pub lsm_mount_context: Option<String>,
    /// Flags.
    pub flags: Flags,
}

/// What is switched on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of CRIU's that is on or off")]
pub struct Flags {
    /// Processes go on after a dump.
    pub leave_running: bool,
    /// Unix sockets may have peers outside.
    pub external_unix_sockets: bool,
    /// Connections of TCP that are up are kept.
    pub tcp_established: bool,
    /// Connections of TCP that are not yet up are left out.
    pub tcp_skip_in_flight: bool,
    /// A terminal of the caller's may be the controlling one.
    pub shell_job: bool,
    /// Locks of files are kept.
    pub file_locks: bool,
    /// Files without a name get one.
    pub link_remap: bool,
    /// Memory is freed in the images before this one.
    pub auto_dedup: bool,
    /// Memory is fetched when it is used.
    pub lazy_pages: bool,
    /// Memory is watched for changes, for a dump after this one.
    pub track_memory: bool,
    /// A restored init is a child of ours.
    pub sibling: bool,
}

impl Options {
    fn write(&self, to: &mut Writer) {
        let flags = self.flags;
        to.number(1, self.images.into());
        if let Some(pid) = self.pid {
            to.number(2, pid.into());
        }
        to.flag(3, flags.leave_running);
        to.flag(4, flags.external_unix_sockets);
        to.flag(5, flags.tcp_established);
        // Devices may have other numbers after a restart of the host.
        to.flag(6, true);
        to.flag(7, flags.shell_job);
        to.flag(8, flags.file_locks);
        to.number(9, LOG_LEVEL);
        to.text(10, self.log);
        if let Some(server) = &self.page_server {
            to.message(11, |to| {
                to.text(1, &server.address);
                to.number(2, server.port.into());
            });
        }
        to.flag(12, true);
        to.text(13, &self.root);
        if let Some(parent) = &self.parent {
            to.text(14, parent);
        }
        to.flag(15, flags.track_memory || self.parent.is_some());
        to.flag(16, flags.auto_dedup);
        if let Some(work) = self.work {
            to.number(17, work.into());
        }
        to.flag(18, flags.link_remap);
        to.flag(26, flags.sibling);
        for (key, number) in &self.inherited {
            to.message(27, |to| {
                to.text(1, key);
                to.number(2, (*number).into());
            });
        }
        // Groups are casemate's: made from the plan, and what is restored is born in them.
        to.number(34, CGROUPS_IGNORED);
        for outside in &self.external {
            to.text(37, outside);
        }
        if self.empty_namespaces != 0 {
            to.number(38, self.empty_namespaces.into());
        }
        to.flag(46, flags.tcp_skip_in_flight);
        to.flag(48, flags.lazy_pages);
        to.flag(50, true);
        if let Some(profile) = &self.lsm_profile {
            to.text(53, profile);
        }
        if let Some(context) = &self.lsm_mount_context {
            to.text(63, context);
        }
    }
}

/// All that it has to say.
const LOG_LEVEL: i64 = 4;

/// `criu_cg_mode.IGNORE`.
const CGROUPS_IGNORED: i64 = 0;

/// The bytes of a request.
pub(super) fn request(kind: Kind, options: Option<&Options>) -> Vec<u8> {
    let mut to = Writer::default();
    to.number(1, kind.number());
    if let Some(options) = options {
        to.message(2, |to| options.write(to));
    }
    if kind == Kind::FeatureCheck {
        to.message(5, |to| {
            to.number(1, 1);
            to.number(2, 1);
        });
    }
    to.finish()
}

/// The bytes of the answer to a notification.
pub(super) fn acknowledgement(go_on: bool) -> Vec<u8> {
    let mut to = Writer::default();
    to.number(1, NOTIFY);
    to.number(3, go_on.into());
    to.finish()
}

/// What CRIU says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has come to a point where it waits for us.
    Notice {
        /// The point's name.
        point: String,
        /// Init's process id here, where there is one.
        pid: Option<i32>,
    },
    /// It is done.
    Done(Outcome),
    /// It could not.
    Failed {
        /// A number of the kernel's, or 0.
        errno: i32,
        /// A clause, from CRIU 3.15 on.
        message: Option<String>,
    },
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The process that was restored.
    pub pid: Option<i32>,
    /// Whether memory can be watched for changes.
    pub tracks_memory: bool,
    /// Whether memory can be fetched when it is used.
    pub lazy_pages: bool,
    /// Its version: 40 201 is 4.2.1.
    pub version: Option<i64>,
}

/// Reads an answer; `None` if it is none.
pub(super) fn answer(bytes: &[u8]) -> Option<Answer> {
    let all = fields(bytes)?;
    let kind = last(&all, 1)?.number()?;
    let success = last(&all, 2)?.number()? != 0;
    let message = |field| last(&all, field).and_then(Value::bytes).and_then(fields);
    if kind == NOTIFY && success {
        let notice = message(5)?;
        let pid = last(&notice, 2).and_then(Value::number).and_then(|pid| i32::try_from(pid).ok());
        return Some(Answer::Notice { point: last(&notice, 1)?.text()?.to_owned(), pid });
    }
    if !success {
        let number = last(&all, 7).and_then(Value::number).unwrap_or_default();
        return Some(Answer::Failed {
            errno: i32::try_from(number).unwrap_or_default(),
            message: last(&all, 9).and_then(Value::text).map(ToOwned::to_owned),
        });
    }
    let mut outcome = Outcome::default();
    if let Some(restored) = message(4) {
        outcome.pid =
            last(&restored, 1).and_then(Value::number).and_then(|p| i32::try_from(p).ok());
    }
    if let Some(features) = message(8) {
        let has = |field| last(&features, field).and_then(Value::number) == Some(1);
        (outcome.tracks_memory, outcome.lazy_pages) = (has(1), has(2));
    }
    if let Some(version) = message(10) {
        let part = |field| last(&version, field).and_then(Value::number).unwrap_or_default();
        outcome.version = Some(part(1) * 10_000 + part(2) * 100 + part(4));
    }
    Some(Answer::Done(outcome))
}

/// Of a field that is given twice, the last one counts.
fn last<'a>(all: &[(u64, Value<'a>)], field: u64) -> Option<Value<'a>> {
    all.iter().rev().find(|(number, _)| *number == field).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_what_was_asked() {
        let options = Options {
            images: 5,
            log: "dump.log",
            pid: Some(77),
            root: "/r".to_owned(),
            external: vec!["mnt[/a]:/a".to_owned()],
            inherited: vec![("pipe:[1]".to_owned(), 0)],
            flags: Flags { leave_running: true, ..Flags::default() },
            ..Options::default()
        };

        let bytes = request(Kind::Dump, Some(&options));

        let all = fields(&bytes).unwrap();
        assert_eq!(last(&all, 1).unwrap().number(), Some(1));
        let inner = fields(last(&all, 2).unwrap().bytes().unwrap()).unwrap();
        for (field, number) in [(1, 5), (2, 77), (3, 1), (34, 0)] {
            assert_eq!(last(&inner, field).unwrap().number(), Some(number), "{field}");
        }
        assert_eq!(last(&inner, 4), None);
        assert_eq!(last(&inner, 37).unwrap().text(), Some("mnt[/a]:/a"));
        let inherited = fields(last(&inner, 27).unwrap().bytes().unwrap()).unwrap();
        assert_eq!(inherited[0].1.text(), Some("pipe:[1]"));
        assert_eq!(inherited[1].1.number(), Some(0));
    }

    #[test]
    fn answers_are_told_apart() {
        let mut notice = Writer::default();
        notice.number(1, NOTIFY);
        notice.number(2, 1);
        notice.message(5, |to| {
            to.text(1, "pre-resume");
            to.number(2, 12);
        });
        let mut failed = Writer::default();
        failed.number(1, 1);
        failed.number(2, 0);
        failed.number(7, 1);
        let mut restored = Writer::default();
        restored.number(1, 2);
        restored.number(2, 1);
        restored.message(4, |to| to.number(1, 99));

        let point = "pre-resume".to_owned();
        assert_eq!(answer(&notice.finish()), Some(Answer::Notice { point, pid: Some(12) }));
        assert_eq!(answer(&failed.finish()), Some(Answer::Failed { errno: 1, message: None }));
        let outcome = Outcome { pid: Some(99), ..Outcome::default() };
        assert_eq!(answer(&restored.finish()), Some(Answer::Done(outcome)));
        assert_eq!(answer(b""), None);
        assert_eq!(answer(b"\x08"), None);
    }
}
