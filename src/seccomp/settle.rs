//! A profile as an engine keeps it on disk, decided for one container on one kernel: what the
//! engine does before it writes `/linux/seccomp`.

use std::collections::BTreeSet;
use std::str::FromStr;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSyscall};

use super::Abi;
use super::errno;
use super::table::Version;
use crate::spec::engine_profile::{Condition, EngineProfile, EngineRule};

/// What an engine knows of a container when it decides which rules stand.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The kernel's own ABI.
    pub native: Abi,
    /// The container's bounding set, as `CAP_…`.
    pub capabilities: BTreeSet<String>,
    /// The kernel's version.
    pub kernel: Version,
}

/// A profile whose conditions are decided.
#[derive(Debug, Clone)]
pub struct Settled {
    /// What the engine would send.
    pub profile: LinuxSeccomp,
    /// Of each rule, its place in the file.
    pub places: Vec<usize>,
    /// Of each rule, what its author says of it.
    pub comments: Vec<Option<String>>,
    /// Rules that do not stand: place in the file, and why not.
    pub left_out: Vec<(usize, String)>,
}

/// Why the conditions of a file cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct SettleError {
    /// A JSON pointer into the file.
    pub at: String,
    /// What is wrong there.
    pub what: String,
}

type Result<T> = std::result::Result<T, SettleError>;

/// Decides which rules stand.
///
/// # Errors
/// The first thing in the file that engines refuse, or that can be taken in two ways.
pub fn settle(file: EngineProfile, given: &Circumstances) -> Result<Settled> {
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(file.default_action)
        .set_default_errno_ret(number(
            file.default_errno.as_deref(),
            file.default_errno_ret,
            "/defaultErrno",
        )?)
        .set_flags(file.flags)
        .set_listener_path(file.listener_path)
        .set_listener_metadata(file.listener_metadata);
    let mapped = file.arch_map.unwrap_or_default();
    let listed = file.architectures.unwrap_or_default();
    if !mapped.is_empty() && !listed.is_empty() {
        return Err(fault("/archMap", "stands beside `architectures`; which one is meant?"));
    }
    let map = mapped.into_iter().find(|map| map.architecture == own(given.native));
    let from_map = map.map(|map| {
        std::iter::once(map.architecture).chain(map.sub_architectures.unwrap_or_default()).collect()
    });
    profile.set_architectures(Some(from_map.unwrap_or(listed)));
    let mut settled =
        Settled { profile, places: Vec::new(), comments: Vec::new(), left_out: Vec::new() };
    let mut rules = Vec::new();
    for (place, rule) in file.syscalls.unwrap_or_default().into_iter().enumerate() {
        let at = format!("/syscalls/{place}");
        if let Some(why) = reason_against(&rule, given, &at)? {
            settled.left_out.push((place, why));
            continue;
        }
        settled.places.push(place);
        settled.comments.push(rule.comment.clone().filter(|comment| !comment.is_empty()));
        rules.push(oci(rule, &at)?);
    }
    settled.profile.set_syscalls(Some(rules));
    Ok(settled)
}

fn oci(rule: EngineRule, at: &str) -> Result<LinuxSyscall> {
    let name = rule.name.filter(|name| !name.is_empty());
    let names = match (name, rule.names.filter(|names| !names.is_empty())) {
        (Some(_), Some(_)) => {
            return Err(fault(format!("{at}/name"), "stands beside `names`; which one is meant?"));
        }
        (Some(name), None) => vec![name],
        (None, Some(names)) => names,
        (None, None) => return Err(fault(format!("{at}/names"), "names no system call")),
    };
    let errno = number(rule.errno.as_deref(), rule.errno_ret, &format!("{at}/errno"))?;
    let mut call = LinuxSyscall::default();
    call.set_names(names).set_action(rule.action).set_errno_ret(errno).set_args(rule.args);
    Ok(call)
}

/// An error number that may be given by name, by number, or both.
fn number(name: Option<&str>, number: Option<u32>, at: &str) -> Result<Option<u32>> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(number) };
    let Some(named) = errno::number(name).map(u32::from) else {
        return Err(fault(at, format!("`{name}` is no error")));
    };
    match number {
        Some(number) if number != named => {
            Err(fault(at, format!("{name} is {named}, but the number beside it is {number}")))
        }
        Some(_) | None => Ok(Some(named)),
    }
}

/// Why a rule does not stand; `None`: it does.
fn reason_against(rule: &EngineRule, given: &Circumstances, at: &str) -> Result<Option<String>> {
    if let Some(condition) = &rule.excludes {
        let facts = facts(condition, given, &format!("{at}/excludes"))?;
        if let Some((what, _)) = facts.into_iter().find(|(_, holds)| *holds) {
            return Ok(Some(format!("not with {what}")));
        }
    }
    if let Some(condition) = &rule.includes {
        let facts = facts(condition, given, &format!("{at}/includes"))?;
        if let Some((what, _)) = facts.into_iter().find(|(_, holds)| !*holds) {
            return Ok(Some(format!("only with {what}")));
        }
    }
    Ok(None)
}

/// Every fact that a condition names, and whether it is one.
fn facts(condition: &Condition, given: &Circumstances, at: &str) -> Result<Vec<(String, bool)>> {
    let mut facts = Vec::new();
    let arches = condition.arches.as_deref().unwrap_or_default();
    if !arches.is_empty() {
        let own = go_name(given.native);
        facts.push((arches.join(", "), arches.iter().any(|arch| arch == own)));
    }
    for (i, name) in condition.caps.iter().flatten().enumerate() {
        if caps::Capability::from_str(name).is_err() {
            let what = format!("`{name}` is no capability; they are written as `CAP_CHOWN` is");
            return Err(fault(format!("{at}/caps/{i}"), what));
        }
        facts.push((name.clone(), given.capabilities.contains(name)));
    }
    if let Some(text) = &condition.min_kernel {
        let Some(oldest) = Version::parse(text) else {
            let what = format!("`{text}` is no version of a kernel, as `4.8` is");
            return Err(fault(format!("{at}/minKernel"), what));
        };
        facts.push((format!("Linux {oldest} or later"), given.kernel >= oldest));
    }
    Ok(facts)
}

fn fault(at: impl Into<String>, what: impl Into<String>) -> SettleError {
    SettleError { at: at.into(), what: what.into() }
}

/// A kernel's own ABI as profiles name it.
fn own(native: Abi) -> Arch {
    match native {
        Abi::X86_64 => Arch::ScmpArchX86_64,
        Abi::X86 => Arch::ScmpArchX86,
        Abi::X32 => Arch::ScmpArchX32,
        Abi::Aarch64 => Arch::ScmpArchAarch64,
        Abi::Arm => Arch::ScmpArchArm,
        Abi::Riscv64 => Arch::ScmpArchRiscv64,
    }
}

/// The same as Go and libseccomp name it, in conditions.
fn go_name(native: Abi) -> &'static str {
    match native {
        Abi::X86_64 => "amd64",
        Abi::X86 => "x86",
        Abi::X32 => "x32",
        Abi::Aarch64 => "arm64",
        Abi::Arm => "arm",
        Abi::Riscv64 => "riscv64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::engine_profile::parse;

    const FILE: &str = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS",
        "defaultErrnoRet": 38,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64",
                     "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                    {"architecture": "SCMP_ARCH_AARCH64",
                     "subArchitectures": ["SCMP_ARCH_ARM"]}],
        "syscalls": [
            {"name": "read", "action": "SCMP_ACT_ALLOW", "comment": "seen 3 times"},
            {"names": ["chroot"], "action": "SCMP_ACT_ALLOW",
             "includes": {"caps": ["CAP_SYS_CHROOT"]}},
            {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errno": "EACCES",
             "excludes": {"caps": ["CAP_SYS_CHROOT", "CAP_SYS_ADMIN"]}},
            {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW",
             "includes": {"arches": ["amd64", "x32"]}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}]}"#;

    fn settled(file: &str, native: Abi, caps: &[&str], kernel: &str) -> Result<Settled> {
        let given = Circumstances {
            native,
            capabilities: caps.iter().map(|cap| (*cap).to_owned()).collect(),
            kernel: Version::parse(kernel).unwrap(),
        };
        settle(parse(file.as_bytes()).unwrap().into_value(), &given)
    }

    #[test]
    fn rules_stand_by_capability_processor_and_kernel() {
        let places =
            |native, caps: &[&str], kernel| settled(FILE, native, caps, kernel).unwrap().places;

        assert_eq!(places(Abi::X86_64, &[], "6.18"), [0, 2, 3, 4]);
        assert_eq!(places(Abi::X86_64, &["CAP_SYS_CHROOT"], "4.7"), [0, 1, 3]);
        assert_eq!(places(Abi::Aarch64, &["CAP_SYS_ADMIN"], "4.8"), [0, 4]);
    }

    #[test]
    fn what_stands_is_what_an_engine_would_send() {
        let settled = settled(FILE, Abi::Aarch64, &[], "4.7").unwrap();

        let sent = serde_json::to_value(&settled.profile).unwrap();
        assert_eq!(
            sent,
            serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
                "architectures": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                    {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]})
        );
        assert_eq!(settled.comments, [Some("seen 3 times".to_owned()), None]);
        let why: Vec<_> = settled.left_out.iter().map(|(_, why)| why.as_str()).collect();
        assert_eq!(
            why,
            ["only with CAP_SYS_CHROOT", "only with amd64, x32", "only with Linux 4.8 or later"]
        );
    }

    #[test]
    fn what_can_be_taken_in_two_ways_is_refused() {
        let said = |rest: &str| {
            let file = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", {rest}}}"#);
            settled(&file, Abi::X86_64, &[], "6.1").unwrap_err().to_string()
        };
        let rule =
            |rest: &str| said(&format!(r#""syscalls": [{{"action": "SCMP_ACT_ERRNO", {rest}}}]"#));

        assert_eq!(
            said(
                r#""architectures": ["SCMP_ARCH_X86"],
                   "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]"#
            ),
            "/archMap: stands beside `architectures`; which one is meant?"
        );
        assert_eq!(
            said(r#""defaultErrno": "EPERM", "defaultErrnoRet": 38"#),
            "/defaultErrno: EPERM is 1, but the number beside it is 38"
        );
        assert_eq!(
            rule(r#""name": "read", "names": ["write"]"#),
            "/syscalls/0/name: stands beside `names`; which one is meant?"
        );
        assert_eq!(rule(r#""errno": "EPERM""#), "/syscalls/0/names: names no system call");
        assert_eq!(
            rule(r#""name": "read", "errno": "EBOGUS""#),
            "/syscalls/0/errno: `EBOGUS` is no error"
        );
        assert_eq!(
            rule(r#""name": "read", "includes": {"caps": ["SYS_ADMIN"]}"#),
            "/syscalls/0/includes/caps/0: `SYS_ADMIN` is no capability; they are written as \
             `CAP_CHOWN` is"
        );
        assert_eq!(
            rule(r#""name": "read", "excludes": {"minKernel": "new"}"#),
            "/syscalls/0/excludes/minKernel: `new` is no version of a kernel, as `4.8` is"
        );
    }
}
