//! What `casemate features` prints: what this program can apply, decided when it was compiled.
//!
//! Only what is true: an engine that is told "yes" relies on it, and falls into a refusal.
//! Nothing here is probed; a kernel that lacks something is told apart when a container is made.
//!
//! Reference: runtime-spec, features.md and features-linux.md.

use serde_json::{Value, json};

use super::mount_options;
use super::properties::{self, Status};

/// Oldest version of the specification whose configs are understood.
pub const OCI_VERSION_MIN: &str = "1.0.0";

/// Newest version of the specification whose every property is in [`super::properties`].
pub const OCI_VERSION_MAX: &str = "1.3.0";

/// Every capability up to Linux 6.18, by number. Reference: linux/capability.h.
pub const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Kinds of namespaces that a container can have of its own, in the order of the alphabet.
pub const NAMESPACES: &[&str] =
    &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// Actions of a seccomp profile that are compiled.
pub const SECCOMP_ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// Comparisons of a seccomp profile that are compiled.
pub const SECCOMP_OPERATORS: &[&str] = &[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Architectures of a seccomp profile whose calls the compiler has tables of.
pub const SECCOMP_ARCHS: &[&str] =
    &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];

/// Flags of a seccomp profile that are recognised, and applied. Waiting is for notifications alone.
pub const SECCOMP_FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// Points of a container's life at which hooks are run.
pub const HOOKS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Modes of a memory policy that are set. Reference: set_mempolicy(2).
pub const MEMORY_POLICIES: &[&str] = &[
    "MPOL_DEFAULT",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

/// Flags of a memory policy that are set.
pub const MEMORY_POLICY_FLAGS: &[&str] =
    &["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

/// Annotations that may do more than describe, for whoever lets others write them. Under the level
/// `hardened` each of these is refused unless the policy names it.
pub const UNSAFE_ANNOTATIONS: &[&str] = &["org.casemate.seccomp.record", "org.systemd.property."];

/// The document.
#[must_use]
pub fn document() -> Value {
    json!({
        "ociVersionMin": OCI_VERSION_MIN,
        "ociVersionMax": OCI_VERSION_MAX,
        "hooks": HOOKS,
        "mountOptions": mount_options::words().collect::<Vec<_>>(),
        "linux": {
            "namespaces": NAMESPACES,
            "capabilities": CAPABILITIES,
            "cgroup": {
                "v1": true,
                "v2": true,
                "systemd": true,
                "systemdUser": false,
                "rdma": true,
            },
            "seccomp": {
                "enabled": true,
                "actions": SECCOMP_ACTIONS,
                "operators": SECCOMP_OPERATORS,
                "archs": SECCOMP_ARCHS,
                "knownFlags": SECCOMP_FLAGS,
                "supportedFlags": SECCOMP_FLAGS,
            },
            "apparmor": { "enabled": is_applied("/process/apparmorProfile") },
            "selinux": { "enabled": is_applied("/process/selinuxLabel") },
            "intelRdt": {
                "enabled": is_applied("/linux/intelRdt"),
                "schemata": is_applied("/linux/intelRdt/schemata"),
                "monitoring": is_applied("/linux/intelRdt/enableMonitoring"),
            },
            "memoryPolicy": { "modes": MEMORY_POLICIES, "flags": MEMORY_POLICY_FLAGS },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": is_applied("/linux/netDevices") },
        },
        "annotations": { "casemate.version": env!("CARGO_PKG_VERSION") },
        "potentiallyUnsafeConfigAnnotations": UNSAFE_ANNOTATIONS,
    })
}

/// Whether a property, and everything above it, is carried out.
fn is_applied(address: &str) -> bool {
    let all = properties::list(&properties::CONFIG);
    let is_at_or_above = |at: &str| {
        address.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut on_the_way = all.iter().filter(|(at, _)| is_at_or_above(at));
    all.iter().any(|(at, _)| at == address)
        && on_the_way.all(|(_, property)| !matches!(property.status, Status::NotApplied { .. }))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{Capability, Features, LinuxSeccompOperator};

    use super::*;

    #[test]
    fn the_document_is_one_by_the_types_of_the_specification() {
        let features: Features = serde_json::from_value(document()).unwrap();

        assert_eq!(features.oci_version_max(), OCI_VERSION_MAX);
        let linux = features.linux().as_ref().unwrap();
        assert_eq!(linux.namespaces().as_ref().unwrap().len(), NAMESPACES.len());
    }

    /// What Kubernetes asks for before it offers user namespaces and recursive read-only mounts.
    #[test]
    fn the_document_has_what_engines_look_for() {
        let document = document();

        assert!(document["mountOptions"].as_array().unwrap().contains(&json!("rro")));
        assert!(document["linux"]["namespaces"].as_array().unwrap().contains(&json!("user")));
        assert_eq!(document["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    }

    #[test]
    fn what_is_enabled_is_what_is_applied() {
        assert!(is_applied("/linux/sysctl") && is_applied("/process/args"));
        assert!(!is_applied("/linux/nonesuch"));
        for (address, property) in properties::list(&properties::CONFIG) {
            if matches!(property.status, Status::NotApplied { .. }) {
                assert!(!is_applied(&address), "{address}");
            }
        }
    }

    #[test]
    fn capabilities_and_operators_are_those_of_the_types() {
        assert_eq!(CAPABILITIES.len(), 41);
        for name in CAPABILITIES {
            serde_json::from_value::<Capability>(json!(name)).unwrap();
        }
        for name in SECCOMP_OPERATORS {
            serde_json::from_value::<LinuxSeccompOperator>(json!(name)).unwrap();
        }
    }
}
