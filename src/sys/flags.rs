//! Flag and constant types only: the part of `sys` that pure modules may import.

/// Attributes of a mount, as `mount_setattr(2)` and `fsmount(2)` take them (`linux/mount.h`).
pub mod mount_attr {
    /// Nothing on this mount can be written to.
    pub const RDONLY: u64 = 0x0000_0001;
    /// Set-user-id, set-group-id and file capabilities have no effect.
    pub const NOSUID: u64 = 0x0000_0002;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 0x0000_0004;
    /// Files cannot be executed.
    pub const NOEXEC: u64 = 0x0000_0008;
    /// The bits of the access time mode: exactly one mode, and it must be cleared to be set.
    pub const ATIME_MASK: u64 = 0x0000_0070;
    /// Access times are updated when they are older than the change, or than a day.
    pub const RELATIME: u64 = 0x0000_0000;
    /// Access times are never updated.
    pub const NOATIME: u64 = 0x0000_0010;
    /// Access times are updated at every access.
    pub const STRICTATIME: u64 = 0x0000_0020;
    /// Access times of directories are never updated.
    pub const NODIRATIME: u64 = 0x0000_0080;
    /// Ids are translated by a user namespace.
    pub const IDMAP: u64 = 0x0010_0000;
    /// Symbolic links on this mount are not followed.
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
    /// With a propagation: for the mounts below, too (`MS_REC`).
    pub const MS_REC: u64 = 1 << 14;
    /// Propagation: nothing in, nothing out (`MS_PRIVATE`).
    pub const MS_PRIVATE: u64 = 1 << 18;
    /// Propagation: only in (`MS_SLAVE`).
    pub const MS_SLAVE: u64 = 1 << 19;
    /// Propagation: both ways (`MS_SHARED`).
    pub const MS_SHARED: u64 = 1 << 20;
    /// Propagation: none, and no source of a bind mount (`MS_UNBINDABLE`).
    pub const MS_UNBINDABLE: u64 = 1 << 17;
}

/// Namespace kinds, as `clone3(2)`, `unshare(2)` and `setns(2)` take them (`CLONE_NEW*`).
pub mod ns {
    /// Mounts.
    pub const MOUNT: i32 = libc::CLONE_NEWNS;
    /// Process ids.
    pub const PID: i32 = libc::CLONE_NEWPID;
    /// Network devices, addresses, ports.
    pub const NET: i32 = libc::CLONE_NEWNET;
    /// System V and POSIX message objects.
    pub const IPC: i32 = libc::CLONE_NEWIPC;
    /// Host and domain name.
    pub const UTS: i32 = libc::CLONE_NEWUTS;
    /// User and group ids, capabilities.
    pub const USER: i32 = libc::CLONE_NEWUSER;
    /// The root of the control groups seen.
    pub const CGROUP: i32 = libc::CLONE_NEWCGROUP;
    /// Offsets of the monotonic and boot-time clocks; for `unshare(2)` and `setns(2)`.
    pub const TIME: i32 = libc::CLONE_NEWTIME;
}
