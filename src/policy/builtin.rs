//! The controls of `profiles/policy/hardened.toml`, as the program has them.
//!
//! A table, so that no launch parses a file that never changes. A test compares it with the
//! file, line by line, and prints what must stand here when the two differ.

use super::Value::{Force, List, Number, Refuse};
use super::{Control, RuleId};

/// Every control of the level `hardened`, in the order of its file.
pub const CONTROLS: &[Control] = &[
    Control {
        id: RuleId("ids.own-range"),
        line: 11,
        value: Force,
        reason: "root inside is nobody outside: every container has 65536 host ids of its own",
    },
    Control {
        id: RuleId("ids.no-host-root"),
        line: 15,
        value: Refuse,
        reason: "a mapping that contains host id 0 makes root inside root outside",
    },
    Control {
        id: RuleId("ns.own-mount"),
        line: 19,
        value: Force,
        reason: "what is mounted inside is seen inside only",
    },
    Control {
        id: RuleId("ns.own-cgroup"),
        line: 23,
        value: Force,
        reason: "the host's control group paths are no business of the workload",
    },
    Control {
        id: RuleId("ns.no-host-pid"),
        line: 27,
        value: Refuse,
        reason: "the workload would see and signal the host's processes",
    },
    Control {
        id: RuleId("ns.no-host-network"),
        line: 31,
        value: Refuse,
        reason: "the workload would reach what listens on the host's loopback and abstract sockets",
    },
    Control {
        id: RuleId("ns.no-host-ipc"),
        line: 35,
        value: Refuse,
        reason: "the workload would share the host's memory segments and semaphores",
    },
    Control {
        id: RuleId("ns.no-host-uts"),
        line: 39,
        value: Refuse,
        reason: "the workload would share the host's name",
    },
    Control {
        id: RuleId("ns.no-foreign-user"),
        line: 43,
        value: Refuse,
        reason: "a user namespace made by someone else may map root inside to root outside",
    },
    Control {
        id: RuleId("ns.none-inside"),
        line: 47,
        value: Force,
        reason: "a new namespace inside gives back capabilities over it, and kernel code to attack",
    },
    Control {
        id: RuleId("rootfs.read-only"),
        line: 51,
        value: Force,
        reason: "what runs is what was built: nothing inside replaces a program or a library",
    },
    Control {
        id: RuleId("rootfs.scratch"),
        line: 55,
        value: List(&["/tmp", "/run", "/var/tmp"]),
        reason: "where programs expect to write although the image is read-only; gone with the container",
    },
    Control {
        id: RuleId("rootfs.private"),
        line: 59,
        value: Refuse,
        reason: "a mount made by the host in a shared tree appears inside, and the reverse",
    },
    Control {
        id: RuleId("mount.force-nosuid"),
        line: 63,
        value: Force,
        reason: "set-id files grant nothing on any mount",
    },
    Control {
        id: RuleId("mount.force-nodev"),
        line: 67,
        value: Force,
        reason: "device nodes open on no mount but /dev",
    },
    Control {
        id: RuleId("mount.force-noexec"),
        line: 71,
        value: Force,
        reason: "kernel file systems hold no programs",
    },
    Control {
        id: RuleId("mount.force-readonly"),
        line: 75,
        value: Force,
        reason: "sysfs and the control group tree are read, not written",
    },
    Control {
        id: RuleId("mount.no-host-kernel-files"),
        line: 79,
        value: Refuse,
        reason: "the host's /proc, /sys, /dev and / hold keys to the host",
    },
    Control {
        id: RuleId("mount.no-kernel-cover"),
        line: 83,
        value: Refuse,
        reason: "a mount over /proc, /sys or below hides what checks rely on, or uncovers what is masked",
    },
    Control {
        id: RuleId("mount.known-types"),
        line: 87,
        value: List(&["bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"]),
        reason: "any other file system makes the kernel parse data the workload may have written",
    },
    Control {
        id: RuleId("mount.no-shared-propagation"),
        line: 91,
        value: Refuse,
        reason: "a shared mount carries what happens inside to the outside",
    },
    Control {
        id: RuleId("dev.own"),
        line: 95,
        value: Force,
        reason: "/dev is made by the runtime, never the image's, and cannot be written",
    },
    Control {
        id: RuleId("dev.standard-only"),
        line: 99,
        value: List(&[
            "c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:1", "c 5:2", "c 136:*",
        ]),
        reason: "any other device is a way to the host: disks, memory, buses, drivers' ioctls",
    },
    Control {
        id: RuleId("caps.ceiling"),
        line: 103,
        value: List(&[
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_NET_BIND_SERVICE",
            "CAP_SETGID",
            "CAP_SETPCAP",
            "CAP_SETUID",
        ]),
        reason: "what images need to start as root and step down; the rest is for administrators",
    },
    Control {
        id: RuleId("caps.no-inheritance"),
        line: 107,
        value: Force,
        reason: "capabilities are never passed on to a program by file or by parent",
    },
    Control {
        id: RuleId("privs.no-new-privileges"),
        line: 111,
        value: Force,
        reason: "no program started inside gains what its caller did not have",
    },
    Control {
        id: RuleId("seccomp.baseline"),
        line: 115,
        value: Force,
        reason: "the calls that escapes are made of are denied, whatever the engine's profile allows",
    },
    Control {
        id: RuleId("seccomp.no-set-id-files"),
        line: 119,
        value: Force,
        reason: "a set-id file made on a shared volume would be one on the host, too",
    },
    Control {
        id: RuleId("proc.masked"),
        line: 123,
        value: List(&[
            "/proc/acpi",
            "/proc/asound",
            "/proc/interrupts",
            "/proc/kcore",
            "/proc/key-users",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/sched_debug",
            "/proc/scsi",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/sys/devices/virtual/powercap",
            "/sys/firmware",
        ]),
        reason: "they tell about the host, not about the container",
    },
    Control {
        id: RuleId("proc.read-only"),
        line: 127,
        value: List(&["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]),
        reason: "they change the host, not the container",
    },
    Control {
        id: RuleId("sysctl.own-namespaces"),
        line: 131,
        value: List(&[
            "fs.mqueue.*",
            "kernel.msgmax",
            "kernel.msgmnb",
            "kernel.msgmni",
            "kernel.sem",
            "kernel.shm_rmid_forced",
            "kernel.shmall",
            "kernel.shmmax",
            "kernel.shmmni",
            "net.*",
        ]),
        reason: "only parameters of a namespace the container has to itself",
    },
    Control {
        id: RuleId("cgroup.pids-limit"),
        line: 135,
        value: Number(4096),
        reason: "a fork bomb stops at its own container; the bundle's own limit goes before",
    },
    Control {
        id: RuleId("cgroup.devices"),
        line: 139,
        value: Force,
        reason: "device access is denied by the control group, too, where a node should ever appear",
    },
    Control {
        id: RuleId("cgroup.unit-properties"),
        line: 143,
        value: Refuse,
        reason: "a property of its unit makes the service manager act for the bundle, as root",
    },
    Control {
        id: RuleId("task.no-realtime"),
        line: 147,
        value: Refuse,
        reason: "what runs before everyone else takes processors and disks from the whole host",
    },
    Control {
        id: RuleId("seccomp.listener"),
        line: 151,
        value: Refuse,
        reason: "an agent answers for the kernel, with the rights of the host: the administrator names it",
    },
    Control {
        id: RuleId("ids.one-per-pod"),
        line: 155,
        value: Force,
        reason: "containers that share memory, names or processes share their ids, and nobody else's",
    },
    Control {
        id: RuleId("mount.no-remount"),
        line: 159,
        value: Refuse,
        reason: "what is mounted is decided once: a later change would undo what was forced on it",
    },
    Control {
        id: RuleId("exec.same-box"),
        line: 163,
        value: Force,
        reason: "what enters a running container gets nothing that its first process was not given",
    },
    Control {
        id: RuleId("net.no-host-devices"),
        line: 167,
        value: Refuse,
        reason: "a network device that a container takes is gone from the host, with all that used it",
    },
    Control {
        id: RuleId("hooks.trusted-only"),
        line: 171,
        value: Refuse,
        reason: "who can change a hook's program decides what is run with the rights of root outside",
    },
    Control {
        id: RuleId("hooks.allowed-only"),
        line: 175,
        value: Refuse,
        reason: "a hook is run with the rights of root outside, with arguments of the bundle's",
    },
    Control {
        id: RuleId("seccomp.record"),
        line: 179,
        value: Refuse,
        reason: "a profile is a file of the host, and a recorded container is watched: the administrator allows both",
    },
    Control {
        id: RuleId("task.no-resctrl"),
        line: 183,
        value: Refuse,
        reason: "the processor has a handful of these groups, and a share of a cache is taken from others",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../profiles/policy/hardened.toml");

    fn line_of(id: &str) -> u32 {
        let header = format!("[control.\"{id}\"]");
        let at = FILE.lines().position(|line| line == header).unwrap();
        u32::try_from(at).unwrap() + 1
    }

    fn same(table: super::super::Value, file: &toml::Value) -> bool {
        match table {
            Force => file.as_str() == Some("force"),
            Refuse => file.as_str() == Some("refuse"),
            Number(number) => file.as_integer() == Some(number),
            List(list) => file.as_array().is_some_and(|array| {
                array.iter().map(|word| word.as_str().unwrap()).eq(list.iter().copied())
            }),
        }
    }

    #[test]
    fn the_table_is_what_the_file_says() {
        let file: toml::Table = toml::from_str(FILE).unwrap();
        let controls = file["control"].as_table().unwrap();

        assert_eq!(controls.len(), CONTROLS.len());
        for control in CONTROLS {
            let written = &controls[control.id.0];
            assert!(same(control.value, &written["value"]), "{} has another value", control.id);
            assert_eq!(written["reason"].as_str(), Some(control.reason), "{}", control.id);
            assert_eq!(line_of(control.id.0), control.line, "{} is on another line", control.id);
        }
    }
}
