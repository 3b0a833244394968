//! Steps of init that make and furnish its namespaces. Nothing here allocates.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;

use crate::engine::init::{Init, Peer};
use crate::engine::prepare::InitPlan;
use crate::plan::mount::{Filesystem, FsOption, MountAttributes};
use crate::plan::text::Text;
use crate::plan::{Namespace, Slot};
use crate::sys::mount::NewFilesystem;
use crate::sys::{Errno, Result, errno, fd, mount, ns};

/// Makes every inherited mount private, and stands at its root: a process whose directory is
/// the root is taken along by `pivot_root`.
pub(in crate::engine) fn make_mounts_private() -> Result<()> {
    rustix::process::chdir(c"/").map_err(errno)?;
    mount::make_all_private()
}

/// Makes new namespaces of these kinds, all in one call.
pub(in crate::engine) fn leave(kinds: &[Namespace]) -> Result<()> {
    ns::leave(kinds.iter().fold(0, |flags, kind| flags | kind.flag()))
}

/// Enters a namespace that the supervisor opened; after `start` has come from another command,
/// the one that was kept.
pub(in crate::engine) fn join(init: &Init<'_>, kind: Namespace) -> Result<()> {
    let plan = init.plan;
    if kind == Namespace::User && matches!(init.peer, Peer::Starter(_)) {
        return ns::enter(fd::borrowed(plan.pod_number()), kind.flag());
    }
    let found = plan.namespaces.iter().find(|(of, _)| *of == kind);
    let (_, namespace) = found.ok_or(Errno::EBADF)?;
    ns::enter(namespace.as_fd(), kind.flag())
}

/// Enters the mount namespace that was opened, and takes the root along: as a copy, for what is
/// mounted in a namespace ends with it. The copy belongs to none, so nobody else sees it, and
/// nothing can be mounted in it, unless the supervisor, which finds it at the number of the first
/// slot, attaches it somewhere.
pub(in crate::engine) fn take_root_along(plan: &InitPlan<'_>) -> Result<()> {
    let root = mount::copy_tree(rustix::fs::CWD, c"/", true)?;
    let found = plan.namespaces.iter().find(|(of, _)| *of == Namespace::Mount);
    let (_, namespace) = found.ok_or(Errno::EBADF)?;
    ns::enter(namespace.as_fd(), Namespace::Mount.flag())?;
    rustix::process::fchdir(&root).map_err(errno)?;
    rustix::process::chroot(c".").map_err(errno)?;
    fd::place_at(&root, plan.slot_number(Slot(0)))
}

/// Builds one of the two file systems that bind to the namespaces of the process that opens
/// them, and leaves it where the supervisor will fetch it.
pub(in crate::engine) fn build_own_mount(
    plan: &InitPlan<'_>,
    slot: Slot,
    filesystem: &Filesystem,
    attributes: MountAttributes,
) -> Result<()> {
    let built = match filesystem {
        Filesystem::Proc { source, options } => {
            let proc = open(c"proc", source, options, attributes)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let sysctl = fd::open_beneath(proc.as_fd(), c"sys", flags)?;
            fd::place_at(&sysctl, plan.sysctl_number())?;
            if let Some(number) = plan.proc_number() {
                fd::place_at(&proc, number)?;
            }
            proc
        }
        Filesystem::Cgroup { source, options } => open(c"cgroup2", source, options, attributes)?,
        Filesystem::Sysfs { .. }
        | Filesystem::Mqueue { .. }
        | Filesystem::Devpts { .. }
        | Filesystem::Tmpfs { .. }
        | Filesystem::Dev(_)
        | Filesystem::Groups(_)
        | Filesystem::Group { .. }
        | Filesystem::Bind { .. }
        | Filesystem::Notify
        | Filesystem::Present { .. }
        | Filesystem::Other { .. } => return Err(Errno::EOPNOTSUPP),
    };
    fd::place_at(&built, plan.slot_number(slot))
}

fn open(
    kind: &std::ffi::CStr,
    source: &Text,
    options: &[FsOption],
    attributes: MountAttributes,
) -> Result<OwnedFd> {
    let filesystem = NewFilesystem::open(kind)?;
    filesystem.set(c"source", source.as_c_str())?;
    for (key, value) in options {
        match value {
            Some(value) => filesystem.set(key.as_c_str(), value.as_c_str())?,
            None => filesystem.set_flag(key.as_c_str())?,
        }
    }
    let made = filesystem.mount(attributes.set)?;
    mount::propagate(made.as_fd(), attributes.propagation)?;
    mount::propagate(made.as_fd(), attributes.then_propagation)?;
    Ok(made)
}

/// The limits of `/proc/sys/user` that count namespaces.
const LIMITS: [&std::ffi::CStr; 8] = [
    c"user/max_user_namespaces",
    c"user/max_mnt_namespaces",
    c"user/max_pid_namespaces",
    c"user/max_net_namespaces",
    c"user/max_ipc_namespaces",
    c"user/max_uts_namespaces",
    c"user/max_cgroup_namespaces",
    c"user/max_time_namespaces",
];

/// Sets the number of further namespaces of each kind to zero, for this user namespace.
pub(in crate::engine) fn forbid_further(plan: &InitPlan<'_>) -> Result<()> {
    LIMITS.into_iter().try_for_each(|limit| write(plan.sysctl(), limit, b"0"))
}

/// Sets a kernel parameter of the IPC namespace, through the container's own procfs.
pub(in crate::engine) fn set_sysctl(plan: &InitPlan<'_>, name: &Text, value: &Text) -> Result<()> {
    write(plan.sysctl(), name.as_c_str(), value.as_c_str().to_bytes())
}

fn write(dir: BorrowedFd<'_>, name: &std::ffi::CStr, value: &[u8]) -> Result<()> {
    let file = fd::open_beneath(dir, name, OFlags::WRONLY)?;
    rustix::io::write(&file, value).map(drop).map_err(errno)
}

/// Sets the host name of the UTS namespace.
pub(in crate::engine) fn set_hostname(name: &Text) -> Result<()> {
    rustix::system::sethostname(name.as_c_str().to_bytes()).map_err(errno)
}

/// Sets the NIS domain name of the UTS namespace.
pub(in crate::engine) fn set_domainname(name: &Text) -> Result<()> {
    rustix::system::setdomainname(name.as_c_str().to_bytes()).map_err(errno)
}
