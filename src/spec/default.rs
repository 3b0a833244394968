//! The config.json that `casemate spec` prints: a place to start from.
//!
//! It says what the default policy would have anyway where the policy has a say, so that what a
//! person reads is what a person gets.

use serde_json::{Value, json};

/// What control groups the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// Version 2 alone.
    Unified,
    /// Version 1, or both.
    Other,
}

/// A config that starts a shell in a root file system beside it.
///
/// It names no user namespace: the policy gives each container ids of its own. A cgroup
/// namespace it names where control groups are of version 2 alone, as runc does.
#[must_use]
pub fn config(groups: Groups) -> Value {
    json!({
        "ociVersion": super::features::OCI_VERSION_MAX,
        "process": process(),
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "casemate",
        "mounts": mounts(),
        "linux": linux(groups),
    })
}

fn process() -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "terminal": true,
        "user": { "uid": 0, "gid": 0 },
        "args": ["sh"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ],
        "cwd": "/",
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
        "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
        "noNewPrivileges": true,
    })
}

fn mounts() -> Value {
    let plain = ["nosuid", "noexec", "nodev"];
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": [
                "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5",
            ],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": plain },
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        },
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
        },
    ])
}

fn linux(groups: Groups) -> Value {
    let mut linux = json!({
        "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
        "namespaces": [
            { "type": "pid" },
            { "type": "network" },
            { "type": "ipc" },
            { "type": "uts" },
            { "type": "mount" },
        ],
        "maskedPaths": [
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ],
        "readonlyPaths": [
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
        ],
    });
    if groups == Groups::Unified
        && let Some(list) = linux.pointer_mut("/namespaces").and_then(Value::as_array_mut)
    {
        list.push(json!({ "type": "cgroup" }));
    }
    linux
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{check, parse};

    #[test]
    fn the_default_config_is_without_fault_and_wholly_applied() {
        for groups in [Groups::Unified, Groups::Other] {
            let text = serde_json::to_vec_pretty(&config(groups)).unwrap();

            let parsed = parse(&text).unwrap();

            assert_eq!(check(parsed.spec()), []);
            assert_eq!(parsed.unknown(), []);
            assert_eq!(parsed.not_applied(), []);
        }
    }
}
