//! The list of raw calls, each with what it would do.
//!
//! To add one: its pointers must be to static text or to a [`Struct`], the kernel must write no
//! more than 256 bytes to any of them, and it must do no harm where it is granted.

use libc::{c_int, c_long, c_ulong};

use super::Arg::{Int, Long, Struct, Text};
use super::Call;

/// Declares calls. The first line of an entry's documentation is also what reports say.
macro_rules! calls {
    ($($(#[doc = $what:literal])+ $name:ident = $number:expr, [$($arg:expr),* $(,)?];)+) => {
        $(
            $(#[doc = $what])+
            pub const $name: Call =
                Call { what: concat!($($what),+), number: $number, args: &[$($arg),*] };
        )+
    };
}

/// A zeroed structure that the kernel may fill.
const OUT: super::Arg = Struct(&[]);
const NULL: super::Arg = Int(0);
const HERE: super::Arg = Int(libc::AT_FDCWD);
const NO_FD: super::Arg = Int(-1);

const X32: c_long = 0x4000_0000;
const SYS_OPEN_TREE_ATTR: c_long = 467;
const SYS_LISTMOUNT: c_long = 458;
const CLOEXEC: c_int = libc::O_CLOEXEC;
const REBIND: c_ulong = libc::MS_REMOUNT | libc::MS_BIND;
/// struct mount_attr that clears the read-only attribute.
const CLEAR_READ_ONLY: &[u64] = &[0, 1, 0, 0];
const MOUNT_ATTR_BYTES: c_int = 32;
/// struct `__user_cap_data_struct` twice, asking for CAP_SYS_ADMIN (21) alone.
const SYS_ADMIN: u64 = 1 << 21;
const CAPABILITY_VERSION_3: u64 = 0x2008_0522;

calls! {
    /// mount a tmpfs over /tmp
    MOUNT_TMPFS = libc::SYS_mount, [Text(c"none"), Text(c"/tmp"), Text(c"tmpfs")];
    /// mount a second proc
    MOUNT_PROC = libc::SYS_mount, [Text(c"none"), Text(c"/tmp"), Text(c"proc")];
    /// mount a second sysfs
    MOUNT_SYSFS = libc::SYS_mount, [Text(c"none"), Text(c"/tmp"), Text(c"sysfs")];
    /// mount the cgroup file system
    MOUNT_CGROUP = libc::SYS_mount, [Text(c"none"), Text(c"/tmp"), Text(c"cgroup2")];
    /// mount an overlay of /bin and /etc
    MOUNT_OVERLAY = libc::SYS_mount,
        [Text(c"none"), Text(c"/tmp"), Text(c"overlay"), NULL, Text(c"lowerdir=/bin:/etc")];
    /// bind /bin over /tmp
    MOUNT_BIND = libc::SYS_mount, [Text(c"/bin"), Text(c"/tmp"), NULL, Long(libc::MS_BIND)];
    /// move the mount at /dev/shm
    MOUNT_MOVE = libc::SYS_mount, [Text(c"/dev/shm"), Text(c"/tmp"), NULL, Long(libc::MS_MOVE)];
    /// move the mount at /tmp back to /dev/shm
    MOUNT_MOVE_BACK = libc::SYS_mount,
        [Text(c"/tmp"), Text(c"/dev/shm"), NULL, Long(libc::MS_MOVE)];
    /// remount / without its flags
    REMOUNT_ROOT = libc::SYS_mount, [NULL, Text(c"/"), NULL, Long(REBIND)];
    /// remount /proc/sys writable
    REMOUNT_PROC_SYS = libc::SYS_mount, [NULL, Text(c"/proc/sys"), NULL, Long(REBIND)];
    /// let mounts under / propagate
    SHARE_ROOT = libc::SYS_mount,
        [NULL, Text(c"/"), NULL, Long(libc::MS_SHARED | libc::MS_REC)];
    /// take a mount off /tmp
    UMOUNT_TMP = libc::SYS_umount2, [Text(c"/tmp"), Int(libc::MNT_DETACH)];
    /// unmount the mask over /sys/firmware
    EXPIRE_MASK = libc::SYS_umount2, [Text(c"/sys/firmware"), Int(libc::MNT_EXPIRE)];
    /// unmount the read-only cover of /proc/sys
    EXPIRE_PROC_SYS = libc::SYS_umount2, [Text(c"/proc/sys"), Int(libc::MNT_EXPIRE)];
    /// unmount /proc
    EXPIRE_PROC = libc::SYS_umount2, [Text(c"/proc"), Int(libc::MNT_EXPIRE)];
    /// make another directory the root, by pivot_root
    PIVOT_ROOT = libc::SYS_pivot_root, [Text(c"/"), Text(c"/")];
    /// open a new tmpfs, by fsopen
    FSOPEN = libc::SYS_fsopen, [Text(c"tmpfs"), Int(1)];
    /// reconfigure the root file system, by fspick
    FSPICK = libc::SYS_fspick, [HERE, Text(c"/"), Int(1)];
    /// make a mount of a configured file system, by fsmount
    FSMOUNT = libc::SYS_fsmount, [NO_FD, NULL, NULL];
    /// clone the mount tree at /, by open_tree
    OPEN_TREE = libc::SYS_open_tree, [HERE, Text(c"/"), Int(1 | CLOEXEC | libc::AT_RECURSIVE)];
    /// clone the tree at / with other attributes, by open_tree_attr
    OPEN_TREE_ATTR = SYS_OPEN_TREE_ATTR, [
        HERE, Text(c"/"), Int(1 | CLOEXEC), Struct(CLEAR_READ_ONLY), Int(MOUNT_ATTR_BYTES)];
    /// attach a detached mount, by move_mount
    MOVE_MOUNT = libc::SYS_move_mount, [NO_FD, Text(c""), NO_FD, Text(c""), Int(0x44)];
    /// clear the read-only attribute of /
    CLEAR_ROOT = libc::SYS_mount_setattr,
        [HERE, Text(c"/"), NULL, Struct(CLEAR_READ_ONLY), Int(MOUNT_ATTR_BYTES)];
    /// clear the read-only attribute of /proc/sys
    CLEAR_PROC_SYS = libc::SYS_mount_setattr,
        [HERE, Text(c"/proc/sys"), NULL, Struct(CLEAR_READ_ONLY), Int(MOUNT_ATTR_BYTES)];
    /// list the mounts, by listmount
    LISTMOUNT = SYS_LISTMOUNT, [NULL, NULL, NULL, NULL];

    /// make a user namespace
    UNSHARE_USER = libc::SYS_unshare, [Int(libc::CLONE_NEWUSER)];
    /// make a mount namespace
    UNSHARE_MOUNT = libc::SYS_unshare, [Int(libc::CLONE_NEWNS)];
    /// make a user and a mount namespace together
    UNSHARE_BOTH = libc::SYS_unshare, [Int(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)];
    /// make a pid namespace
    UNSHARE_PID = libc::SYS_unshare, [Int(libc::CLONE_NEWPID)];
    /// make a network namespace
    UNSHARE_NET = libc::SYS_unshare, [Int(libc::CLONE_NEWNET)];
    /// make an IPC namespace
    UNSHARE_IPC = libc::SYS_unshare, [Int(libc::CLONE_NEWIPC)];
    /// make a UTS namespace
    UNSHARE_UTS = libc::SYS_unshare, [Int(libc::CLONE_NEWUTS)];
    /// make a cgroup namespace
    UNSHARE_CGROUP = libc::SYS_unshare, [Int(libc::CLONE_NEWCGROUP)];
    /// make a time namespace
    UNSHARE_TIME = libc::SYS_unshare, [Int(0x80)];

    /// change the root directory, by chroot
    CHROOT = libc::SYS_chroot, [Text(c"/tmp")];
    /// change a file's mode in the root file system
    CHMOD_ROOT = libc::SYS_fchmodat, [HERE, Text(c"/bin/casemate"), Int(0o755)];
    /// change a file's owner in the root file system
    CHOWN_ROOT = libc::SYS_fchownat, [HERE, Text(c"/bin/casemate"), NULL, NULL, NULL];
    /// take CAP_SYS_ADMIN, by capset
    CAPSET = libc::SYS_capset,
        [Struct(&[CAPABILITY_VERSION_3]), Struct(&[SYS_ADMIN | SYS_ADMIN << 32, 0, 0])];
    /// make CAP_SYS_ADMIN inheritable, by capset
    CAPSET_INHERITABLE = libc::SYS_capset,
        [Struct(&[CAPABILITY_VERSION_3]), Struct(&[SYS_ADMIN | SYS_ADMIN << 32, SYS_ADMIN, 0])];
    /// pass CAP_SYS_ADMIN on to every program
    AMBIENT = libc::SYS_prctl, [Int(libc::PR_CAP_AMBIENT), Int(2), Int(21), NULL, NULL];
    /// set the clock, without a value
    SET_CLOCK = libc::SYS_settimeofday, [NULL, NULL];
    /// set the clock's tick to nothing, by adjtimex
    ADJUST_CLOCK = libc::SYS_adjtimex, [Struct(&[0x4000])];
    /// set the host name, to one of impossible length
    SET_HOSTNAME = libc::SYS_sethostname, [Text(c""), NO_FD];
    /// set the domain name, to one of impossible length
    SET_DOMAINNAME = libc::SYS_setdomainname, [Text(c""), NO_FD];
    /// raise its own priority
    RAISE_PRIORITY = libc::SYS_setpriority, [NULL, NULL, Int(-5)];
    /// run with real-time priority
    REAL_TIME = libc::SYS_sched_setscheduler, [NULL, Int(libc::SCHED_FIFO), Struct(&[1])];
    /// open a raw socket
    RAW_SOCKET = libc::SYS_socket, [Int(libc::AF_INET), Int(libc::SOCK_RAW), Int(1)];
    /// restart the machine, with a wrong magic number
    REBOOT = libc::SYS_reboot, [Int(1), Int(2), Int(3), NULL];
    /// load a kernel module of no bytes
    INIT_MODULE = libc::SYS_init_module, [OUT, NULL, Text(c"")];
    /// load a kernel module from no descriptor
    FINIT_MODULE = libc::SYS_finit_module, [NO_FD, Text(c""), NULL];
    /// unload a kernel module that is not there
    DELETE_MODULE = libc::SYS_delete_module, [Text(c"casemate_try"), Int(libc::O_NONBLOCK)];
    /// load a kernel of impossibly many parts, by kexec_load
    KEXEC = libc::SYS_kexec_load, [NULL, Int(999_999), NULL, NULL];
    /// swap to a file that is not there
    SWAPON = libc::SYS_swapon, [Text(c"/casemate-try"), NULL];
    /// write process accounts to a directory that is not there
    ACCT = libc::SYS_acct, [Text(c"/casemate-try/file")];
    /// turn a quota on for a device that is not there
    QUOTACTL = libc::SYS_quotactl, [Int(0x80_0002 << 8), Text(c"/casemate-try"), NULL, NULL];
    /// read the kernel log
    SYSLOG = libc::SYS_syslog, [Int(3), OUT, Int(16)];

    /// set up io_uring
    IO_URING_SETUP = libc::SYS_io_uring_setup, [Int(2), OUT];
    /// submit to io_uring
    IO_URING_ENTER = libc::SYS_io_uring_enter, [NO_FD, NULL, NULL, NULL, NULL, NULL];
    /// register with io_uring
    IO_URING_REGISTER = libc::SYS_io_uring_register, [NO_FD, NULL, NULL, NULL];
    /// look up the session keyring
    KEYCTL = libc::SYS_keyctl, [NULL, Int(-3), NULL];
    /// add a key to its own keyring
    ADD_KEY = libc::SYS_add_key,
        [Text(c"user"), Text(c"casemate-try"), Text(c"x"), Int(1), Int(-2)];
    /// ask for a key
    REQUEST_KEY = libc::SYS_request_key, [Text(c"user"), Text(c"casemate-try"), NULL, NULL];
    /// make a BPF map
    BPF = libc::SYS_bpf, [NULL, Struct(&[2 | 4 << 32, 4 | 1 << 32]), Int(72)];
    /// open a performance counter of its own
    PERF_EVENT = libc::SYS_perf_event_open,
        [Struct(&[1 | 64 << 32, 0, 0, 0, 0, 1 | 1 << 5 | 1 << 6]), NULL, NO_FD, NO_FD, NULL];
    /// handle page faults in user space
    USERFAULTFD = libc::SYS_userfaultfd, [Int(1 | CLOEXEC)];
    /// watch files, by fanotify
    FANOTIFY = libc::SYS_fanotify_init, [Int(0x200), NULL];
    /// trace init
    PTRACE = libc::SYS_ptrace, [Int(0x4206), Int(1), NULL, NULL];
    /// read another process's memory
    READ_MEMORY = libc::SYS_process_vm_readv, [Int(1), NULL, NULL, NULL, NULL, NULL];
    /// write another process's memory
    WRITE_MEMORY = libc::SYS_process_vm_writev, [Int(1), NULL, NULL, NULL, NULL, NULL];
    /// take a descriptor out of another process
    PIDFD_GETFD = libc::SYS_pidfd_getfd, [NO_FD, NULL, NULL];
    /// compare kernel objects of two processes
    KCMP = libc::SYS_kcmp, [Int(1), Int(1), Int(1), NULL, NULL];
    /// advise on another process's memory
    PROCESS_MADVISE = libc::SYS_process_madvise, [NO_FD, NULL, NULL, NULL, NULL];
    /// get a file handle
    NAME_TO_HANDLE = libc::SYS_name_to_handle_at, [HERE, Text(c"/"), Struct(&[128]), OUT, NULL];
    /// open a file by its handle
    OPEN_BY_HANDLE = libc::SYS_open_by_handle_at, [HERE, Struct(&[8 | 1 << 32, 2]), NULL];
    /// turn address randomisation off
    PERSONALITY = libc::SYS_personality, [Int(0x4_0000)];
    /// choose memory nodes
    SET_MEMPOLICY = libc::SYS_set_mempolicy, [NULL, NULL, NULL];
    /// give pages to a pipe
    VMSPLICE = libc::SYS_vmsplice, [NO_FD, NULL, NULL, NULL];
    /// type into a terminal, by TIOCSTI
    TIOCSTI = libc::SYS_ioctl, [NO_FD, Long(0x5412), OUT];
    /// do the same with a high bit that the kernel ignores
    TIOCSTI_HIGH = libc::SYS_ioctl, [NO_FD, Long(0x1_0000_5412), OUT];
    /// paste into a console, by TIOCLINUX
    TIOCLINUX = libc::SYS_ioctl, [NO_FD, Long(0x541c), OUT];
    /// open a packet socket
    SOCKET_PACKET = libc::SYS_socket, [Int(libc::AF_PACKET), Int(libc::SOCK_RAW), NULL];
    /// open a socket of the kernel's ciphers
    SOCKET_ALG = libc::SYS_socket, [Int(libc::AF_ALG), Int(libc::SOCK_SEQPACKET), NULL];
    /// open a socket to the hypervisor
    SOCKET_VSOCK = libc::SYS_socket, [Int(libc::AF_VSOCK), Int(libc::SOCK_STREAM), NULL];
    /// open a socket to the packet filter
    SOCKET_NETFILTER = libc::SYS_socket, [Int(libc::AF_NETLINK), Int(libc::SOCK_RAW), Int(12)];
    /// set up io_uring by the x32 ABI
    X32_IO_URING = libc::SYS_io_uring_setup | X32, [Int(2), OUT];
    /// make a user namespace by the x32 ABI
    X32_UNSHARE = libc::SYS_unshare | X32, [Int(libc::CLONE_NEWUSER)];
}

/// Calls of one architecture only.
#[cfg(target_arch = "x86_64")]
pub const OF_THIS_MACHINE: &[(&str, Call)] =
    &[("sys.iopl", IOPL), ("sys.ioperm", IOPERM), ("sys.modify-ldt", MODIFY_LDT)];

/// Calls of one architecture only: there are none here.
#[cfg(not(target_arch = "x86_64"))]
pub const OF_THIS_MACHINE: &[(&str, Call)] = &[];

#[cfg(target_arch = "x86_64")]
calls! {
    /// reach all I/O ports
    IOPL = libc::SYS_iopl, [Int(3)];
    /// reach one I/O port
    IOPERM = libc::SYS_ioperm, [Int(0x80), Int(1), Int(1)];
    /// read its descriptor table
    MODIFY_LDT = libc::SYS_modify_ldt, [NULL, OUT, Int(64)];
}
