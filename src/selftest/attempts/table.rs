//! The table of attempts. The order is the order in which they are made.

use super::Run::{Calls, Create, Here, Look, Undone, Write};
use super::{Attempt, Expect, probes};
use crate::selftest::Promise::{P1, P2, P3, P4, P5, Usable};
use crate::selftest::controls;
use crate::sys::Errno;
use crate::sys::attempt::calls as c;

pub(super) const DENIED: Expect = Expect::Refused(&[Errno::EPERM, Errno::EACCES, Errno::ENOSYS]);
/// The kernel says `ENOSPC` where the count of namespaces is limited to none.
const NAMESPACE: Expect =
    Expect::Refused(&[Errno::EPERM, Errno::EACCES, Errno::ENOSYS, Errno::ENOSPC]);
const READ_ONLY: Expect = Expect::Refused(&[Errno::EROFS, Errno::EPERM, Errno::EACCES]);
const FAMILY: Expect =
    Expect::Refused(&[Errno::EAFNOSUPPORT, Errno::EPROTONOSUPPORT, Errno::EPERM, Errno::EACCES]);
const ABI: Expect = Expect::NoAbi(&[Errno::ENOSYS, Errno::EPERM, Errno::EACCES, Errno::ENOSPC]);
const HELD: Expect = Expect::Held;
const WORKS: Expect = Expect::Works;

/// Declares attempts. A raw call brings its own description.
macro_rules! table {
    ($($promise:ident $id:literal: $what:literal, $expect:expr, $run:expr;)+) => {
        pub(super) const TABLE: &[Attempt] = &[$(Attempt {
            promise: $promise, id: $id, what: $what, expect: $expect, run: $run,
        }),+];
    };
}

table! {
    // First, before anything is opened.
    P1 "outside.descriptors": "find an open descriptor of the runtime", HELD,
        Here(probes::descriptors);
    P1 "outside.directory": "stand in a directory of the host", HELD, Look(probes::directory);
    P1 "ids.users": "be the host's root", HELD, Look(probes::users);
    P1 "ids.groups": "be in the host's root group", HELD, Look(probes::groups);
    P1 "ids.files": "find root's files owned by somebody else", HELD, Look(probes::owners);
    P1 "outside.processes": "see other processes than its own", HELD, Look(probes::processes);
    P1 "outside.root": "reach another root by /proc/1/root", HELD, Look(probes::proc_root);
    P1 "outside.sockets": "see abstract sockets of the host", HELD, Look(probes::abstract_sockets);
    P1 "outside.handle": "", DENIED, Calls(&[c::OPEN_BY_HANDLE]);

    P2 "mount.tmpfs": "", DENIED, Undone(&[c::MOUNT_TMPFS, c::UMOUNT_TMP]);
    P2 "mount.proc": "", DENIED, Undone(&[c::MOUNT_PROC, c::UMOUNT_TMP]);
    P2 "mount.sysfs": "", DENIED, Undone(&[c::MOUNT_SYSFS, c::UMOUNT_TMP]);
    P2 "mount.cgroup": "", DENIED, Undone(&[c::MOUNT_CGROUP, c::UMOUNT_TMP]);
    P2 "mount.overlay": "", DENIED, Undone(&[c::MOUNT_OVERLAY, c::UMOUNT_TMP]);
    P2 "mount.bind": "", DENIED, Undone(&[c::MOUNT_BIND, c::UMOUNT_TMP]);
    P2 "mount.move": "", DENIED, Undone(&[c::MOUNT_MOVE, c::MOUNT_MOVE_BACK]);
    P2 "mount.remount-root": "", DENIED, Calls(&[c::REMOUNT_ROOT]);
    P2 "mount.remount-proc-sys": "", DENIED, Calls(&[c::REMOUNT_PROC_SYS]);
    P2 "mount.share-root": "", DENIED, Calls(&[c::SHARE_ROOT]);
    P2 "mount.umount-mask": "", DENIED, Calls(&[c::EXPIRE_MASK]);
    P2 "mount.umount-cover": "", DENIED, Calls(&[c::EXPIRE_PROC_SYS]);
    P2 "mount.umount-proc": "", DENIED, Calls(&[c::EXPIRE_PROC]);
    P2 "mount.pivot-root": "", DENIED, Calls(&[c::PIVOT_ROOT]);
    P2 "mount.fsopen": "", DENIED, Calls(&[c::FSOPEN]);
    P2 "mount.fspick": "", DENIED, Calls(&[c::FSPICK]);
    P2 "mount.fsmount": "", DENIED, Calls(&[c::FSMOUNT]);
    P2 "mount.new-calls": "mount a tmpfs by fsopen, fsmount and move_mount", DENIED,
        Look(probes::mount_by_new_calls);
    P2 "mount.open-tree": "", DENIED, Calls(&[c::OPEN_TREE]);
    P2 "mount.open-tree-attr": "", DENIED, Calls(&[c::OPEN_TREE_ATTR]);
    P2 "mount.move-mount": "", DENIED, Calls(&[c::MOVE_MOUNT]);
    P2 "mount.clear-root": "", DENIED, Calls(&[c::CLEAR_ROOT]);
    P2 "mount.clear-proc-sys": "", DENIED, Calls(&[c::CLEAR_PROC_SYS]);
    P2 "ns.unshare-user": "", NAMESPACE, Calls(&[c::UNSHARE_USER]);
    P2 "ns.unshare-mount": "", NAMESPACE, Calls(&[c::UNSHARE_MOUNT]);
    P2 "ns.unshare-user-and-mount": "", NAMESPACE, Calls(&[c::UNSHARE_BOTH]);
    P2 "ns.unshare-pid": "", NAMESPACE, Calls(&[c::UNSHARE_PID]);
    P2 "ns.unshare-net": "", NAMESPACE, Calls(&[c::UNSHARE_NET]);
    P2 "ns.unshare-ipc": "", NAMESPACE, Calls(&[c::UNSHARE_IPC]);
    P2 "ns.unshare-uts": "", NAMESPACE, Calls(&[c::UNSHARE_UTS]);
    P2 "ns.unshare-cgroup": "", NAMESPACE, Calls(&[c::UNSHARE_CGROUP]);
    P2 "ns.unshare-time": "", NAMESPACE, Calls(&[c::UNSHARE_TIME]);
    P2 "ns.clone-user": "make a user namespace, by clone", NAMESPACE, Look(probes::clone_user);
    P2 "ns.clone-mount": "make a mount namespace, by clone", NAMESPACE, Look(probes::clone_mount);
    P2 "ns.clone3-user": "make a user namespace, by clone3", NAMESPACE, Look(probes::clone3_user);
    P2 "ns.join-mount": "join the mount namespace of init", DENIED, Look(|| probes::join("mnt"));
    P2 "ns.join-pid": "join the pid namespace of init", DENIED, Look(|| probes::join("pid"));
    P2 "ns.join-net": "join the network namespace of init", DENIED, Look(|| probes::join("net"));
    P2 "ns.join-cgroup": "join the cgroup namespace of init", DENIED,
        Look(|| probes::join("cgroup"));
    P2 "ns.raise-limit": "raise the number of namespaces allowed", READ_ONLY,
        Write(&["/proc/sys/user/max_user_namespaces", "/proc/sys/user/max_mnt_namespaces"]);

    P3 "root.create": "make a file in the root", READ_ONLY, Create(&["/"]);
    P3 "root.create-etc": "make a file in /etc", READ_ONLY, Create(&["/etc"]);
    P3 "root.create-bin": "make a program in /bin", READ_ONLY, Create(&["/bin"]);
    P3 "root.create-dev": "make a file in /dev", READ_ONLY, Create(&["/dev"]);
    P3 "root.overwrite": "overwrite a program", READ_ONLY, Write(&["/bin/setuid", "/etc/passwd"]);
    P3 "root.chmod": "", READ_ONLY, Calls(&[c::CHMOD_ROOT]);
    P3 "root.chown": "", READ_ONLY, Calls(&[c::CHOWN_ROOT]);
    P3 "root.writable-mounts": "find a writable mount that is not nosuid,nodev", HELD,
        Look(probes::writable_mounts);
    P3 "kernel.core-pattern": "choose what the host runs when a program crashes", READ_ONLY,
        Write(&["/proc/sys/kernel/core_pattern"]);
    P3 "kernel.helpers": "choose what the kernel runs for itself", READ_ONLY,
        Write(&["/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug",
            "/sys/kernel/uevent_helper", "/proc/sys/fs/binfmt_misc/register"]);
    P3 "kernel.sysrq": "press the system request key", READ_ONLY, Write(&["/proc/sysrq-trigger"]);
    P3 "kernel.sysctl": "change a kernel setting", READ_ONLY,
        Write(&["/proc/sys/vm/overcommit_memory", "/proc/sys/vm/drop_caches",
            "/proc/sys/kernel/pid_max", "/proc/sys/kernel/randomize_va_space"]);
    P3 "kernel.net-sysctl": "change a network setting", READ_ONLY,
        Write(&["/proc/sys/net/ipv4/ip_forward"]);
    P3 "kernel.irq": "move an interrupt", READ_ONLY, Write(&["/proc/irq/default_smp_affinity"]);
    P3 "kernel.sys": "write to files of /sys", READ_ONLY,
        Write(&["/sys/power/state", "/sys/kernel/mm/ksm/run", "/sys/kernel/profiling",
            "/sys/module/kernel/parameters/panic", "/sys/kernel/mm/transparent_hugepage/enabled"]);
    P3 "kernel.cgroup": "change its own limits", READ_ONLY,
        Write(&["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/cgroup.subtree_control", "/sys/fs/cgroup/cgroup.procs",
            "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/memory/release_agent",
            "/sys/fs/cgroup/unified/cgroup.procs"]);
    P3 "kernel.masks": "read what should be masked", HELD, Look(probes::masks);
    P3 "kernel.devices": "find a device that a container does not need", HELD,
        Look(probes::devices);

    P4 "priv.no-new-privs": "run without no_new_privs", HELD, Look(probes::no_new_privs);
    P4 "priv.capabilities": "hold a capability beyond the level's", HELD,
        Look(probes::capabilities);
    P4 "priv.capset": "", DENIED, Calls(&[c::CAPSET]);
    P4 "priv.ambient": "", DENIED, Calls(&[c::CAPSET_INHERITABLE, c::AMBIENT]);
    P4 "priv.set-uid": "become root by a set-uid program", HELD, Look(probes::set_uid);
    P4 "priv.file-capabilities": "gain capabilities by a program's", HELD,
        Look(probes::file_capabilities);
    P4 "priv.oom-score": "be the last to be killed for memory", DENIED,
        Look(probes::lower_oom_score);
    P4 "priv.rlimit": "raise a hard limit", DENIED, Look(probes::raise_limit);
    P4 "priv.nice": "", DENIED, Calls(&[c::RAISE_PRIORITY]);
    P4 "priv.real-time": "", DENIED, Calls(&[c::REAL_TIME]);
    P4 "priv.chroot": "", DENIED, Calls(&[c::CHROOT]);
    P4 "priv.hostname": "", DENIED, Calls(&[c::SET_HOSTNAME]);
    P4 "priv.domainname": "", DENIED, Calls(&[c::SET_DOMAINNAME]);
    P4 "priv.clock": "", DENIED, Calls(&[c::SET_CLOCK]);
    P4 "priv.adjtimex": "", DENIED, Calls(&[c::ADJUST_CLOCK]);
    P4 "priv.raw-socket": "", FAMILY, Calls(&[c::RAW_SOCKET]);
    P4 "priv.block-device": "make and open the node of a disk", DENIED, Look(probes::block_device);
    P4 "priv.memory-device": "make the node of the machine's memory", DENIED,
        Look(probes::memory_device);

    P5 "filter.mode": "run without a filter", HELD, Look(probes::filter);
    P5 "filter.i386": "make a user namespace by the 32-bit entry", ABI, Look(probes::i386);
    P5 "filter.x32": "", ABI, Calls(&[c::X32_IO_URING]);
    P5 "filter.x32-unshare": "", ABI, Calls(&[c::X32_UNSHARE]);
    P5 "sys.io-uring-setup": "", DENIED, Calls(&[c::IO_URING_SETUP]);
    P5 "sys.io-uring-enter": "", DENIED, Calls(&[c::IO_URING_ENTER]);
    P5 "sys.io-uring-register": "", DENIED, Calls(&[c::IO_URING_REGISTER]);
    P5 "sys.keyctl": "", DENIED, Calls(&[c::KEYCTL]);
    P5 "sys.add-key": "", DENIED, Calls(&[c::ADD_KEY]);
    P5 "sys.request-key": "", DENIED, Calls(&[c::REQUEST_KEY]);
    P5 "sys.bpf": "", DENIED, Calls(&[c::BPF]);
    P5 "sys.perf-event-open": "", DENIED, Calls(&[c::PERF_EVENT]);
    P5 "sys.userfaultfd": "", DENIED, Calls(&[c::USERFAULTFD]);
    P5 "sys.fanotify-init": "", DENIED, Calls(&[c::FANOTIFY]);
    P5 "sys.ptrace": "", DENIED, Calls(&[c::PTRACE]);
    P5 "sys.process-vm-readv": "", DENIED, Calls(&[c::READ_MEMORY]);
    P5 "sys.process-vm-writev": "", DENIED, Calls(&[c::WRITE_MEMORY]);
    P5 "sys.pidfd-getfd": "", DENIED, Calls(&[c::PIDFD_GETFD]);
    P5 "sys.kcmp": "", DENIED, Calls(&[c::KCMP]);
    P5 "sys.process-madvise": "", DENIED, Calls(&[c::PROCESS_MADVISE]);
    P5 "sys.name-to-handle-at": "", DENIED, Calls(&[c::NAME_TO_HANDLE]);
    P5 "sys.listmount": "", DENIED, Calls(&[c::LISTMOUNT]);
    P5 "sys.init-module": "", DENIED, Calls(&[c::INIT_MODULE]);
    P5 "sys.finit-module": "", DENIED, Calls(&[c::FINIT_MODULE]);
    P5 "sys.delete-module": "", DENIED, Calls(&[c::DELETE_MODULE]);
    P5 "sys.kexec-load": "", DENIED, Calls(&[c::KEXEC]);
    P5 "sys.reboot": "", DENIED, Calls(&[c::REBOOT]);
    P5 "sys.swapon": "", DENIED, Calls(&[c::SWAPON]);
    P5 "sys.acct": "", DENIED, Calls(&[c::ACCT]);
    P5 "sys.quotactl": "", DENIED, Calls(&[c::QUOTACTL]);
    P5 "sys.syslog": "", DENIED, Calls(&[c::SYSLOG]);
    P5 "sys.personality": "", DENIED, Calls(&[c::PERSONALITY]);
    P5 "sys.set-mempolicy": "", DENIED, Calls(&[c::SET_MEMPOLICY]);
    P5 "sys.vmsplice": "", DENIED, Calls(&[c::VMSPLICE]);
    P5 "sys.tiocsti": "", DENIED, Calls(&[c::TIOCSTI]);
    P5 "sys.tiocsti-high-bits": "", DENIED, Calls(&[c::TIOCSTI_HIGH]);
    P5 "sys.tioclinux": "", DENIED, Calls(&[c::TIOCLINUX]);
    P5 "socket.packet": "", FAMILY, Calls(&[c::SOCKET_PACKET]);
    P5 "socket.alg": "", FAMILY, Calls(&[c::SOCKET_ALG]);
    P5 "socket.vsock": "", FAMILY, Calls(&[c::SOCKET_VSOCK]);
    P5 "socket.netfilter": "", FAMILY, Calls(&[c::SOCKET_NETFILTER]);

    Usable "works.scratch": "write to /tmp", WORKS, Look(controls::scratch);
    Usable "works.shared-memory": "write to /dev/shm", WORKS, Look(controls::shared_memory);
    Usable "works.program": "run a program", WORKS, Look(controls::program);
    Usable "works.proc": "read its own entry in /proc", WORKS, Look(controls::proc);
    Usable "works.devices": "use /dev/null, /dev/zero and /dev/urandom", WORKS,
        Look(controls::plain_devices);
    Usable "works.terminal": "open a terminal", WORKS, Look(controls::terminal);
    Usable "works.loopback": "talk to itself on 127.0.0.1", WORKS, Look(controls::loopback);
}
