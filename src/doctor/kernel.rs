//! The kernel, and what this process may do.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::Finding;
use crate::plan::facts::CallerFacts;
use crate::sys::flags::mount_attr;
use crate::sys::mount::{self, Attributes, NewFilesystem};
use crate::sys::{Errno, errno, seccomp};

const AREA: &str = "kernel";

/// Since which release the kernel has what casemate uses, and what is lost without it.
const USEFUL: [((u32, u32), &str); 2] = [
    ((6, 7), "an overlay may have some eighty layers, no more"),
    ((6, 8), "the whole table of mounts is read to find an overlay's layers"),
];

pub(super) fn look(caller: Option<&CallerFacts>) -> Vec<Finding> {
    let (who, limits, id_mapping) = match caller {
        None => (root(), limits(), id_mapping()),
        Some(caller) => of_a_user(caller),
    };
    vec![release(), who, limits, namespaces(), id_mapping, overlay(), filters(), lsm()]
}

/// What a user without root has, and has not.
fn of_a_user(caller: &CallerFacts) -> (Finding, Finding, Finding) {
    let uid = caller.uid().map_or_else(|| "nobody".to_owned(), |uid| format!("uid {uid}"));
    let who = format!("this is root of a user namespace, and {uid} outside");
    let limits = "without root, hard limits cannot be raised, nor oom scores lowered";
    let mapping =
        "without root, mounts of the host cannot translate ids: the engine's own are kept";
    (Finding::well(AREA, who), Finding::note(AREA, limits), Finding::note(AREA, mapping))
}

fn release() -> Finding {
    let name = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = name.split(['.', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Finding::poor(AREA, format!("`{name}` is no release that can be read"))
            .remedy("see that it is Linux 5.19 or later");
    };
    if (major, minor) < (5, 19) {
        return Finding::ill(AREA, format!("Linux {name} cannot id-map the layers of an overlay"))
            .remedy("use Linux 5.19 or later");
    }
    match USEFUL.iter().find(|(since, _)| (major, minor) < *since) {
        None => Finding::well(AREA, format!("Linux {name} has everything")),
        Some(((since, point), lost)) => {
            Finding::note(AREA, format!("Linux {name} is older than {since}.{point}: {lost}"))
        }
    }
}

fn root() -> Finding {
    if rustix::process::geteuid().is_root() {
        Finding::well(AREA, "this is root")
    } else {
        Finding::ill(AREA, "this is not root").remedy(
            "run it as root; or where your engine is root of a user namespace: \
             `podman unshare casemate doctor`",
        )
    }
}

fn limits() -> Finding {
    let wanted = rustix::thread::CapabilitySet::SYS_RESOURCE;
    let has = rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted));
    if has {
        return Finding::well(AREA, "limits may be raised");
    }
    Finding::poor(AREA, "hard limits cannot be raised, nor oom scores lowered: no CAP_SYS_RESOURCE")
        .remedy(
            "let engines ask for less: `default_ulimits` in containers.conf, \
             `restrict_oom_score_adj = true` for containerd",
        )
}

fn namespaces() -> Finding {
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/user/max_{name}_namespaces"));
        text.ok().and_then(|text| text.trim().parse::<u64>().ok())
    };
    let kinds = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];
    let none: Vec<_> = kinds.into_iter().filter(|kind| read(kind) == Some(0)).collect();
    match (none.as_slice(), read("user")) {
        (_, None) => Finding::ill(AREA, "there are no user namespaces")
            .remedy("use a kernel with CONFIG_USER_NS"),
        ([], Some(_)) => Finding::well(AREA, "namespaces of every kind can be made"),
        (none, _) => {
            Finding::ill(AREA, format!("no namespaces of the kinds {}", none.join(", "))).remedy(
                format!("sysctl user.max_{}_namespaces=65536", none.first().unwrap_or(&"user")),
            )
        }
    }
}

/// Asks for ids to be translated by our own user namespace: a kernel that can do it says that this
/// one may not be used.
fn id_mapping() -> Finding {
    let ask = || -> Result<(), Errno> {
        let own: OwnedFd = rustix::fs::open(
            c"/proc/self/ns/user",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(errno)?;
        let memory = NewFilesystem::open(c"tmpfs")?.mount(0)?;
        let change = Attributes {
            set: mount_attr::IDMAP,
            mapping: Some(own.as_fd()),
            ..Attributes::default()
        };
        mount::set_attributes(memory.as_fd(), false, &change)
    };
    match ask() {
        Err(Errno::EPERM) | Ok(()) => Finding::well(AREA, "mounts can translate ids"),
        Err(error) => Finding::ill(AREA, format!("mounts cannot translate ids: {error:?}"))
            .remedy("run it as root of the host, on Linux 5.19 or later"),
    }
}

fn overlay() -> Finding {
    match NewFilesystem::open(c"overlay") {
        Ok(_) => Finding::well(AREA, "there is overlayfs"),
        Err(error) => Finding::poor(AREA, format!("there is no overlayfs: {error:?}"))
            .remedy("modprobe overlay; without it, only images in plain directories run"),
    }
}

fn filters() -> Finding {
    const RET_ERRNO: u32 = 0x0005_0000;
    const RET_USER_NOTIF: u32 = 0x7fc0_0000;
    if seccomp::knows_action(RET_ERRNO).is_err() {
        return Finding::ill(AREA, "system calls cannot be filtered")
            .remedy("use a kernel with CONFIG_SECCOMP_FILTER");
    }
    if seccomp::knows_action(RET_USER_NOTIF).is_err() {
        return Finding::poor(AREA, "filters cannot ask an agent (SECCOMP_RET_USER_NOTIF)")
            .remedy("profiles with SCMP_ACT_NOTIFY, and recording, need Linux 5.0");
    }
    Finding::well(AREA, "system calls can be filtered, and agents asked")
}

fn lsm() -> Finding {
    let apparmor = std::fs::read("/sys/module/apparmor/parameters/enabled");
    let selinux = std::path::Path::new("/sys/fs/selinux/enforce").exists();
    let apparmor = apparmor.is_ok_and(|text| text.starts_with(b"Y"));
    match (apparmor, selinux) {
        (false, false) => Finding::note(AREA, "neither AppArmor nor SELinux is in force"),
        (true, _) => Finding::note(AREA, "AppArmor is in force: engines ask for a profile"),
        (_, true) => Finding::note(AREA, "SELinux is in force: engines ask for labels"),
    }
}
