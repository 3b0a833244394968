//! `seccomp log`: what the filter of a container refused.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::{Context, OpsError, Refusal, Report, Result};
use crate::ops::{attend, find, stored};
use crate::plan::listener::Listener;
use crate::plan::{Action, IdMap, LaunchPlan};
use crate::record::kernel_log::{self, Logged};
use crate::seccomp::{flag, identify};
use crate::spec::id::ContainerId;
use crate::store::{Record, Status, Store, rfc3339};

/// How often a log that is followed is looked at.
const PAUSE: Duration = Duration::from_millis(300);

/// Files in which audit records may be, beside the kernel's own log.
const AUDIT_FILE: &str = "/var/log/audit/audit.log";
/// How much of it is read, from its end.
const AUDIT_TAIL_BYTES: u64 = 4 << 20;

/// Which refusals the kernel logs at all.
const ACTIONS_LOGGED: &str = "/proc/sys/kernel/seccomp/actions_logged";

/// A container's refusals, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalLog {
    /// What was refused.
    pub report: Report,
    /// What must be known to read it.
    pub notes: Vec<String>,
}

/// A container, and how its refusals are told of.
struct Source {
    store: Store,
    id: ContainerId,
    record: Record,
    plan: LaunchPlan,
}

/// Tells what the filter of a container has refused so far.
///
/// # Errors
/// There is no such container, or nobody notes what its filter refuses.
pub fn log(context: &Context, id: &str) -> Result<RefusalLog> {
    Source::find(context, id)?.read()
}

/// Calls `show` with every refusal, and again whenever it happened again, until the container
/// has ended.
///
/// # Errors
/// As [`log`]; and what `show` says ends it.
pub fn follow_log(
    context: &Context,
    id: &str,
    show: &mut dyn FnMut(&Refusal) -> Result<()>,
) -> Result<()> {
    let source = Source::find(context, id)?;
    let mut shown: Vec<Refusal> = Vec::new();
    loop {
        // In this order: what happened before its end is seen.
        let lives = source.lives();
        if !lives {
            source.await_notes();
        }
        // With its directory goes what was kept there, and the container is gone.
        let Ok(log) = source.read() else { return Ok(()) };
        for refusal in &log.report.refusals {
            if !shown.contains(refusal) {
                show(refusal)?;
            }
        }
        if !lives {
            return Ok(());
        }
        shown = log.report.refusals;
        std::thread::sleep(PAUSE);
    }
}

impl Source {
    fn find(context: &Context, id: &str) -> Result<Self> {
        let doing = doing(id);
        let (id, store) = find(context, &doing, id)?;
        let plan = store.read_plan(&id).map_err(|error| stored(&doing, &error))?;
        let plan =
            LaunchPlan::from_json(&plan).map_err(|error| OpsError::because(&doing, &error))?;
        let record = store.read(&id).map_err(|error| stored(&doing, &error))?.record;
        let record =
            record.ok_or_else(|| OpsError::failed(doing, "the container is not complete yet"))?;
        Ok(Self { store, id, record, plan })
    }

    fn lives(&self) -> bool {
        let status = self.store.read(&self.id).map(|stored| stored.status);
        matches!(status, Ok(Status::Creating | Status::Created | Status::Running))
    }

    /// Waits until the last that happened is noted, now that the container has ended.
    fn await_notes(&self) {
        let record = self.store.read(&self.id).ok().and_then(|stored| stored.record);
        if let Some(record) = record {
            attend::await_notes(&record);
        }
    }

    fn read(&self) -> Result<RefusalLog> {
        let doing = doing(self.id.as_str());
        match attend::listener(&self.plan) {
            Some(Listener::Watch(_)) => {
                let bytes =
                    self.store.read_refusals(&self.id).map_err(|error| stored(&doing, &error))?;
                let report = match bytes {
                    None => Report::none(self.id.as_str()),
                    Some(bytes) => {
                        Report::parse(&bytes).map_err(|error| OpsError::because(doing, &error))?
                    }
                };
                Ok(RefusalLog { report, notes: Vec::new() })
            }
            Some(Listener::Agent { .. }) | None if self.is_logged() => self.read_kernel_log(),
            Some(Listener::Agent { path, .. }) => Err(OpsError::failed(
                doing,
                format!("what is refused is not noted: the filter asks the agent at {path}"),
            )
            .hint("set `report = \"kernel-log\"` in [seccomp] of the policy file")),
            None => Err(OpsError::failed(doing, "nobody notes what the filter refuses").hint(
                "set `report = \"notify\"` in [seccomp] of the policy file, or use \
                 `run --seccomp-report`; `casemate seccomp explain` says what is refused",
            )),
        }
    }

    /// Whether the kernel was asked to log what the filter refuses.
    fn is_logged(&self) -> bool {
        self.plan.steps.iter().any(|step| {
            let Action::LoadFilter { program } = &step.action else { return false };
            program.flags & flag::LOG != 0
        })
    }

    fn read_kernel_log(&self) -> Result<RefusalLog> {
        let mut notes = Vec::new();
        let logged = std::fs::read_to_string(ACTIONS_LOGGED).unwrap_or_default();
        if !logged.split_whitespace().any(|action| action == "errno") {
            notes.push(format!("the kernel logs no errors of filters: {ACTIONS_LOGGED}"));
        }
        let texts = [kernel_messages(), audit_file()];
        let texts: Vec<_> = texts.into_iter().flatten().collect();
        if texts.is_empty() {
            return Err(OpsError::failed(
                doing(self.id.as_str()),
                "the kernel's log is not readable",
            )
            .hint("read it as root"));
        }
        if !self.ids_are_known() {
            notes.push(
                "the container has no ids of its own: only what live processes were refused is \
                 known to be its"
                    .to_owned(),
            );
        }
        notes.push(
            "the kernel logs no arguments, and not every refusal when there are many".to_owned(),
        );
        let text = texts.join("\n");
        let ours = text.lines().filter_map(kernel_log::parse).filter(|logged| self.is_ours(logged));
        Ok(RefusalLog { report: collect(self.id.as_str(), ours), notes })
    }

    fn ids_are_known(&self) -> bool {
        self.record.range.is_some() || !self.given_ids().is_empty()
    }

    /// Ranges of host ids that the bundle gave.
    fn given_ids(&self) -> Vec<(u32, u32)> {
        let lines = self.plan.steps.iter().find_map(|step| {
            let Action::WriteIdMaps { ids } = &step.action else { return None };
            let IdMap::Given { uids, .. } = ids else { return None };
            Some(uids)
        });
        let lines = lines.into_iter().flatten();
        lines.map(|line| (line.outside, line.outside.saturating_add(line.size))).collect()
    }

    /// Whether the kernel speaks of this container: by its ids, which no other one has, or by its
    /// control group while the process lives.
    fn is_ours(&self, logged: &Logged) -> bool {
        if rfc3339(logged.time) < self.record.created {
            return false;
        }
        if let Some(range) = self.record.range {
            return logged.uid.checked_sub(range.base()).is_some_and(|at| at < 65_536);
        }
        let given = self.given_ids();
        if !given.is_empty() {
            return given.iter().any(|(first, end)| (*first..*end).contains(&logged.uid));
        }
        let group = |pid: String| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok();
        let init = self.record.process.map(|process| process.pid().to_string());
        let (ours, theirs) = (init.and_then(group), group(logged.pid.to_string()));
        ours.is_some() && ours == theirs
    }
}

fn doing(id: &str) -> String {
    format!("seccomp log `{id}`")
}

/// The kernel's own log, as far back as it goes.
fn kernel_messages() -> Option<String> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .ok()?;
    let mut text = Vec::new();
    let mut record = [0; 8192];
    loop {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(length) => text.extend_from_slice(record.get(..length).unwrap_or_default()),
            // Overwritten while it was read.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => break,
        }
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Where auditd runs, the kernel leaves it to that.
fn audit_file() -> Option<String> {
    use std::io::{Seek, SeekFrom};
    let mut file = std::fs::File::open(AUDIT_FILE).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(AUDIT_TAIL_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(AUDIT_TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// One refusal for each kind.
fn collect(id: &str, all: impl Iterator<Item = Logged>) -> Report {
    let mut kinds: BTreeMap<(u32, u32, &str, String, String), Refusal> = BTreeMap::new();
    for logged in all {
        let Some(outcome) = logged.outcome() else { continue };
        let time = rfc3339(logged.time);
        let key = (logged.arch, logged.nr, outcome, logged.name.clone(), logged.file.clone());
        let (abi, name) = identify(logged.arch, logged.nr);
        let refusal = kinds.entry(key).or_insert_with(|| Refusal {
            call: name.map(str::to_owned),
            abi: abi.map(|abi| abi.to_string()),
            number: logged.nr,
            error: outcome.to_owned(),
            program: logged.name,
            file: logged.file,
            first: time.clone(),
            hint: Some(format!(
                "`casemate seccomp explain {id} {}` says who decided",
                name.map_or_else(|| logged.nr.to_string(), str::to_owned)
            )),
            ..Refusal::default()
        });
        refusal.count = refusal.count.saturating_add(1);
        (refusal.pid, refusal.last) = (logged.pid, time);
    }
    let mut report = Report::none(id);
    report.refusals = kinds.into_values().collect();
    report.refusals.sort_by(|one, other| one.last.cmp(&other.last));
    report
}
