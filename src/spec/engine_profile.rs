//! A seccomp profile as engines keep it on disk: `/linux/seccomp` of a config.json, and rules
//! that stand only for some processors, capabilities and kernels.
//!
//! An engine decides those before it writes a config.json, so a runtime never sees them; whoever
//! is given the file itself decides them with [`crate::seccomp::settle`].
//!
//! Reference: containers-common, `seccomp.json`; Moby, `default.json`.

use std::path::PathBuf;

use oci_spec::runtime::{
    Arch, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag as Flag,
};
use serde::Deserialize;

use super::properties::ENGINE_PROFILE;
use super::{Document, SpecErrors};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineProfile {
    /// What becomes of calls that no rule is about.
    pub default_action: LinuxSeccompAction,
    /// The error number of the default.
    pub default_errno_ret: Option<u32>,
    /// The same by name; it goes before the number.
    pub default_errno: Option<String>,
    /// Whose calls the rules are about.
    pub architectures: Option<Vec<Arch>>,
    /// The same for several kernels at once; not beside `architectures`.
    pub arch_map: Option<Vec<ArchMapping>>,
    /// Flags of seccomp(2).
    pub flags: Option<Vec<Flag>>,
    /// The socket of an agent.
    pub listener_path: Option<PathBuf>,
    /// What the agent is told.
    pub listener_metadata: Option<String>,
    /// The rules.
    pub syscalls: Option<Vec<EngineRule>>,
}

/// Which ABIs a kernel serves.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchMapping {
    /// The kernel's own.
    pub architecture: Arch,
    /// The others.
    pub sub_architectures: Option<Vec<Arch>>,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineRule {
    /// The call, as old files have it.
    pub name: Option<String>,
    /// The calls.
    pub names: Option<Vec<String>>,
    /// What becomes of them.
    pub action: LinuxSeccompAction,
    /// The error number.
    pub errno_ret: Option<u32>,
    /// The same by name; it goes before the number.
    pub errno: Option<String>,
    /// Comparisons of arguments.
    pub args: Option<Vec<LinuxSeccompArg>>,
    /// For people.
    pub comment: Option<String>,
    /// The rule stands only if all of this holds.
    pub includes: Option<Condition>,
    /// The rule does not stand if any of this holds.
    pub excludes: Option<Condition>,
}

/// What a rule may depend on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Capabilities, `CAP_…`, of the container's bounding set.
    pub caps: Option<Vec<String>>,
    /// Processors, by Go's or libseccomp's names.
    pub arches: Option<Vec<String>>,
    /// The oldest kernel, `MAJOR.MINOR`.
    pub min_kernel: Option<String>,
}

/// Reads such a file; a bare `/linux/seccomp` is one without conditions.
///
/// # Errors
/// As [`super::parse`].
pub fn parse(bytes: &[u8]) -> Result<Document<EngineProfile>, SpecErrors> {
    super::parse_as(bytes, &ENGINE_PROFILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> String {
        parse(json.as_bytes()).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_engines_add_is_read() {
        let file = parse(
            br#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS",
                "archMap": [{"architecture": "SCMP_ARCH_X86_64",
                             "subArchitectures": ["SCMP_ARCH_X86"]},
                            {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}],
                "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "args": null,
                    "comment": "", "includes": {"caps": ["CAP_SYS_CHROOT"], "minKernel": "4.8"},
                    "excludes": {}}]}"#,
        )
        .unwrap();

        assert!(file.unknown().is_empty());
        let rule = &file.value().syscalls.as_ref().unwrap()[0];
        assert_eq!(rule.includes.as_ref().unwrap().min_kernel.as_deref(), Some("4.8"));
        assert!(rule.excludes.as_ref().unwrap().caps.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_address() {
        assert_eq!(
            said(r#"{"syscalls": []}"#),
            "/defaultAction: missing; the specification requires it"
        );
        assert!(
            said(
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                    {"names": ["read"], "action": "SCMP_ACT_LET"}]}"#
            )
            .starts_with("/syscalls/0/action: unknown variant `SCMP_ACT_LET`")
        );
        assert!(
            said(r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_KILL"}"#)
                .starts_with("/defaultAction: stands twice")
        );
        let file = parse(
            br#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoret": 5}]}"#,
        )
        .unwrap();
        assert_eq!(
            file.unknown()[0].to_string(),
            "`/syscalls/0/errnoret` is not known to this version; `errnoRet` is"
        );
    }
}
