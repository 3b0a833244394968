//! Flag and constant types only: the part of `sys` that pure modules may import.

/// Attributes of a mount, as `mount_setattr(2)` and `fsmount(2)` take them (`MOUNT_ATTR_*`).
pub mod mount_attr {
    /// No writing through this mount.
    pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    /// Set-id bits and file capabilities have no effect.
    pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
    /// Programs cannot be executed.
    pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
    /// The bits that hold the access-time mode.
    pub const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
    /// Access times are updated when older than the modification time.
    pub const RELATIME: u64 = libc::MOUNT_ATTR_RELATIME;
    /// Access times are never updated.
    pub const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
    /// Access times are always updated.
    pub const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
    /// Access times of directories are never updated.
    pub const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
    /// Ids are translated by the mapping of a user namespace.
    pub const IDMAP: u64 = libc::MOUNT_ATTR_IDMAP;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;
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
}
