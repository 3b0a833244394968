//! The core set: calls that every program makes, whose arguments a filter need not see.

/// Calls that go straight through while a profile is recorded, and are in every recorded profile.
///
/// A call is in it if ordinary programs make it so often that to look at each would slow them
/// down, or only in rare moments that a recording may miss (an abort, a child that has to be
/// ended, a signal that interrupts a sleep), and if to permit it gives nothing that a process has not by existing: its own memory,
/// its own descriptors, its own threads and children's ends, files by the permissions of files.
/// Never `execve`, which must be seen, and nothing whose arguments decide what it is.
///
/// In the order of their use, not of the alphabet: reading and writing, files, memory, waiting,
/// signals, clocks, identity, start and end.
pub(crate) const CORE: [&str; 93] = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "close",
    "lseek",
    "_llseek",
    "fcntl",
    "fcntl64",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "open",
    "openat",
    "stat",
    "stat64",
    "lstat",
    "lstat64",
    "fstat",
    "fstat64",
    "newfstatat",
    "fstatat64",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    "mmap",
    "mmap2",
    "mprotect",
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "poll",
    "ppoll",
    "select",
    "_newselect",
    "pselect6",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "futex",
    "futex_time64",
    "nanosleep",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "sched_yield",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigreturn",
    "sigaltstack",
    "kill",
    "tgkill",
    "restart_syscall",
    "clock_gettime",
    "clock_gettime64",
    "clock_getres",
    "gettimeofday",
    "time",
    "getpid",
    "getppid",
    "gettid",
    "getuid",
    "getuid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getegid",
    "getegid32",
    "uname",
    "getrandom",
    "prlimit64",
    "arch_prctl",
    "set_thread_area",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "wait4",
    "waitid",
    "exit",
    "exit_group",
    "riscv_flush_icache",
];

/// Commands of ioctl(2) that belong to the core set, with their names: a C library makes the
/// first for every file it opens as text, and none does more than ask about a descriptor or
/// choose how it is read.
pub(crate) const CORE_COMMANDS: [(u32, &str); 6] = [
    (0x5401, "TCGETS"),
    (0x5413, "TIOCGWINSZ"),
    (0x541b, "FIONREAD"),
    (0x5421, "FIONBIO"),
    (0x5450, "FIONCLEX"),
    (0x5451, "FIOCLEX"),
];

/// See [`CORE`].
#[must_use]
pub fn core_set() -> &'static [&'static str] {
    &CORE
}

/// See [`CORE_COMMANDS`].
#[must_use]
pub fn core_commands() -> &'static [(u32, &'static str)] {
    &CORE_COMMANDS
}
