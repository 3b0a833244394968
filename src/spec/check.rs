//! Every demand of the specification that a config does not meet: all of them, not the first.
//!
//! What the types and the table of [`super::properties`] cannot say: ranges, forms, and how
//! properties go together. Left to the stages that know more: `/linux/resources` to the control
//! group writer, `/linux/seccomp` to the compiler, what the host has to the shell, and what is
//! allowed to the policy.

mod linux;
mod mounts;
mod network;
mod process;
mod task;

use std::fmt;

use oci_spec::runtime::{Hook, Hooks, LinuxNamespaceType, Process, Spec};

use super::pointer::Pointer;
use super::words::Quoted;

/// Most violations that are listed; one more entry then says how many there are.
const MAX_VIOLATIONS: usize = 64;

/// Longest host name or domain name that the kernel takes, in bytes. Reference: uname(2).
const UTS_NAME_BYTES: usize = 64;

/// One demand that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The value that does not meet it, or would have to be there.
    pub at: Pointer,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// Lists what the specification demands of a config.json to create a container from it, and does
/// not find. In the order of the specification; empty if all is well.
#[must_use]
pub fn check(spec: &Spec) -> Vec<Violation> {
    let mut report = Report::default();
    version(&mut report, spec.version());
    match spec.process() {
        Some(process) => process::check(&mut report, &Pointer::of("/process"), process),
        None => report.say(Pointer::of("/process"), "missing; there is nothing to start"),
    }
    root(&mut report, spec);
    uts_name(&mut report, "/hostname", spec.hostname().as_deref());
    uts_name(&mut report, "/domainname", spec.domainname().as_deref());
    mounts::check(&mut report, spec.mounts().as_deref().unwrap_or_default());
    if let Some(hooks) = spec.hooks() {
        check_hooks(&mut report, hooks);
    }
    if spec.annotations().iter().flatten().any(|(key, _)| key.is_empty()) {
        report.say(Pointer::of("/annotations"), "has an entry without a name");
    }
    if let Some(linux) = spec.linux() {
        linux::check(&mut report, linux);
    }
    report.finish()
}

/// The same for the document that `exec --process` reads.
#[must_use]
pub fn check_process(process: &Process) -> Vec<Violation> {
    let mut report = Report::default();
    process::check(&mut report, &Pointer::root(), process);
    report.finish()
}

/// Collects violations, up to a bound.
#[derive(Debug, Default)]
struct Report {
    violations: Vec<Violation>,
    dropped: usize,
}

impl Report {
    fn say(&mut self, at: Pointer, what: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { at, what: what.into() });
        } else {
            self.dropped += 1;
        }
    }

    fn finish(mut self) -> Vec<Violation> {
        if self.dropped > 0 {
            let what = format!("{} more faults", self.dropped);
            self.violations.push(Violation { at: Pointer::root(), what });
        }
        self.violations
    }
}

/// Semantic versioning; of one major version, every minor version is compatible.
fn version(report: &mut Report, version: &str) {
    let at = || Pointer::of("/ociVersion");
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').map(str::parse::<u32>).collect();
    match numbers.as_slice() {
        _ if version.is_empty() => report.say(at(), "missing; the specification requires it"),
        [Ok(1), Ok(_), Ok(_)] => {}
        [Ok(_), Ok(_), Ok(_)] => {
            report.say(at(), format!("not a version 1.x: {}", Quoted(version)));
        }
        _ => report.say(at(), format!("not a semantic version: {}", Quoted(version))),
    }
}

fn root(report: &mut Report, spec: &Spec) {
    match spec.root() {
        None => report.say(Pointer::of("/root"), "missing; there is no file system to start from"),
        Some(root) if root.path().as_os_str().is_empty() => {
            report.say(Pointer::of("/root/path"), "empty");
        }
        Some(_) => {}
    }
}

/// Whether the namespace is a new one is for the policy to say; here, only the form.
fn uts_name(report: &mut Report, at: &'static str, name: Option<&str>) {
    let Some(name) = name else { return };
    if name.len() > UTS_NAME_BYTES {
        report.say(Pointer::of(at), format!("{} bytes long; the kernel takes 64", name.len()));
    }
    if name.chars().any(char::is_control) {
        report.say(Pointer::of(at), format!("has a control character: {}", Quoted(name)));
    }
}

fn check_hooks(report: &mut Report, hooks: &Hooks) {
    let prestart = hooks.prestart();
    let lists = [
        ("/hooks/prestart", prestart),
        ("/hooks/createRuntime", hooks.create_runtime()),
        ("/hooks/createContainer", hooks.create_container()),
        ("/hooks/startContainer", hooks.start_container()),
        ("/hooks/poststart", hooks.poststart()),
        ("/hooks/poststop", hooks.poststop()),
    ];
    for (at, list) in lists {
        for (i, hook) in list.iter().flatten().enumerate() {
            check_hook(report, &Pointer::of(at).index(i), hook);
        }
    }
}

fn check_hook(report: &mut Report, at: &Pointer, hook: &Hook) {
    if !hook.path().is_absolute() {
        let path = hook.path().to_string_lossy();
        report.say(at.clone().key("path"), format!("not absolute: {}", Quoted(&path)));
    }
    if let Some(seconds @ ..=0) = hook.timeout() {
        report.say(at.clone().key("timeout"), format!("not above zero: {seconds}"));
    }
    process::environment(report, at, hook.env().as_deref().unwrap_or_default());
}

/// The name that config.json has for a kind of namespace.
const fn namespace_word(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mount",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "network",
        LinuxNamespaceType::Time => "time",
    }
}

#[cfg(test)]
mod tests;
