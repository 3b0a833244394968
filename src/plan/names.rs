//! What steps are called, and what they are done to, in the words that people read.

use super::action::{Action, ClockOffsets, Limit, Namespace, Place};
use super::labels::Label;
use super::mount::{Filesystem, MountAttributes};
use super::task;
use crate::sys::flags::mount_attr;

impl Action {
    /// Its name, `area.verb-object`: stable once released.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TakeIds => "ids.take-range",
            Self::JoinPod { .. } => "ids.join-pod",
            Self::EnterPod => "ns.enter-pod",
            Self::MakeCgroup { .. } => "cgroup.make",
            Self::DelegateCgroup { .. } => "cgroup.delegate",
            Self::OpenRootfs { .. } => "rootfs.open",
            Self::MakeMountPoint { .. } => "rootfs.make-mount-point",
            Self::OpenNamespace { .. } => "ns.open",
            Self::ShiftClocks { .. } => "ns.shift-clocks",
            Self::CheckProgram => "process.check-program",
            Self::Spawn { .. } => "process.spawn",
            Self::Await { .. } => "gate.await",
            Self::Open { .. } => "gate.open",
            Self::WriteIdMaps { .. } => "ids.write-maps",
            Self::CheckIdMaps { .. } => "ids.check-maps",
            Self::CopyRootfs { .. } => "rootfs.copy",
            Self::AssembleRootfs { .. } => "rootfs.assemble",
            Self::ShiftRootfs { .. } => "rootfs.shift",
            Self::BuildMount { .. } => "mount.build",
            Self::FetchMount { .. } => "mount.fetch",
            Self::EnterMounts => "ns.enter-mounts",
            Self::CoverRootfs => "rootfs.cover",
            Self::Seal { .. } => "mount.seal",
            Self::AttachRoot { .. } => "rootfs.attach",
            Self::RunHook(_) => "hook.run",
            Self::Attach { .. } => "mount.attach",
            Self::MakeResctrl(_) => "resctrl.make",
            Self::JoinResctrl(_) => "resctrl.join",
            Self::Label { label: Label::AppArmor(_) } => "label.set-apparmor",
            Self::Label { label: Label::Selinux(_) } => "label.set-selinux",
            Self::Label { label: Label::Keys(_) } => "label.set-keys",
            Self::MoveNetDevice { .. } => "net.move-device",
            Self::MakeDevice { .. } => "rootfs.make-device",
            Self::SetRootPropagation { .. } => "rootfs.set-propagation",
            Self::MakeDirectory { .. } => "rootfs.make-directory",
            Self::Remount { .. } => "mount.change",
            Self::EnterNetworkAndIpc => "ns.enter-network",
            Self::VisitNetworkAndIpc => "ns.visit-network",
            Self::KeepSysctl => "sysctl.keep",
            Self::SetNetSysctl { .. } => "sysctl.set-network",
            Self::MakeTerminal { .. } => "terminal.make",
            Self::Mask { .. } => "path.mask",
            Self::MakeReadonly { .. } => "path.make-read-only",
            Self::Pivot => "rootfs.pivot",
            Self::EnterRoot => "rootfs.enter",
            Self::ComeHome => "ns.come-home",
            Self::OpenInit => "exec.open-init",
            Self::OpenGroup { .. } => "cgroup.open",
            Self::SetAffinity { .. } => "process.set-affinity",
            Self::EnterInit { .. } => "ns.enter-init",
            Self::CoverArguments => "exec.cover-arguments",
            Self::OpenTerminal { .. } => "terminal.open",
            Self::JoinGroups => "cgroup.join-v1",
            Self::HandOverTerminal => "terminal.hand-over",
            Self::RaiseLimit { .. } => "limit.raise",
            Self::SetOomScore { .. } => "limit.set-oom-score",
            Self::MakeMountsPrivate => "mount.make-private",
            Self::JoinNamespace { .. } => "ns.join",
            Self::NewNamespaces { .. } => "ns.make",
            Self::BecomeRoot => "ids.become-root",
            Self::ForbidNamespaces => "ns.forbid-further",
            Self::LoopbackUp => "net.loopback-up",
            Self::SetIpcSysctl { .. } => "sysctl.set-ipc",
            Self::SetHostname { .. } => "name.set-host",
            Self::SetDomainname { .. } => "name.set-domain",
            Self::AwaitStart => "gate.await-start",
            Self::NewKeyring => "keys.new-session",
            Self::NewSession { .. } => "process.new-session",
            Self::SetLimit { .. } => "limit.set",
            Self::SetUmask { .. } => "process.set-umask",
            Self::SetScheduler { .. } => "process.set-scheduler",
            Self::SetIoPriority { .. } => "process.set-io-priority",
            Self::SetMemoryPolicy { .. } => "process.set-memory-policy",
            Self::SetPersonality { .. } => "process.set-personality",
            Self::LimitBounding { .. } => "caps.limit-bounding",
            Self::ApproachDirectory { .. } => "process.approach-directory",
            Self::SetIds { .. } => "process.set-ids",
            Self::SetCapabilities { .. } => "caps.set",
            Self::ForbidNewPrivileges => "privs.forbid-new",
            Self::ChangeDirectory { .. } => "process.change-directory",
            Self::ResetSignals => "process.reset-signals",
            Self::FindHome { .. } => "process.find-home",
            Self::FindProgram => "process.find-program",
            Self::CloseDescriptors => "process.close-descriptors",
            Self::LoadFilter { .. } => "seccomp.load",
            Self::Execute => "process.execute",
            Self::WatchInit => "seccomp.watch-init",
            Self::HandOver { .. } => "seccomp.hand-over",
        }
    }

    /// What it is done to, in a few words; empty when the name says it all.
    #[must_use]
    pub fn object(&self) -> String {
        match self {
            Self::MakeCgroup { cgroup } => match &cgroup.path {
                super::cgroup::CgroupPath::Given(path) => format!("/{}", path.as_str()),
                super::cgroup::CgroupPath::ById => "/casemate-ID.scope".to_owned(),
                super::cgroup::CgroupPath::Scope(scope) => {
                    let unit = scope.unit.as_deref().unwrap_or("casemate-ID.scope");
                    format!("{unit} in {}", scope.slice)
                }
            },
            Self::OpenRootfs { path } => path.to_string(),
            Self::MakeResctrl(resctrl) | Self::JoinResctrl(resctrl) => {
                format!("{}/{}", resctrl.root, resctrl.group.name("ID"))
            }
            Self::Label {
                label: Label::AppArmor(text) | Label::Selinux(text) | Label::Keys(text),
            } => text.to_string(),
            Self::MoveNetDevice { host, inside } if host == inside => host.to_string(),
            Self::MoveNetDevice { host, inside } => format!("{host} as {inside}"),
            Self::MakeDevice { node, .. } => {
                format!("{} {}:{}", node.name, node.major, node.minor)
            }
            Self::SetRootPropagation { propagation } => propagation_words(*propagation),
            Self::MakeMountPoint { at, within: Some(within), .. } => format!("{at} in {within}"),
            Self::MakeMountPoint { at, .. }
            | Self::MakeDirectory { at }
            | Self::Mask { at, .. }
            | Self::MakeReadonly { at } => at.to_string(),
            Self::AttachRoot { over } => format!("at {over}"),
            Self::RunHook(hook) => format!("{hook} {}", hook.path),
            Self::OpenNamespace { kind, path } => format!("{} at {path}", kind.word()),
            Self::Spawn { namespaces }
            | Self::NewNamespaces { kinds: namespaces }
            | Self::EnterInit { kinds: namespaces } => words(namespaces),
            Self::OpenGroup { below } => {
                below.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Self::SetAffinity { cpus } => cpus.to_string(),
            Self::Await { gate } | Self::Open { gate } => format!("{gate:?}").to_lowercase(),
            Self::ShiftClocks { offsets } => offset_words(offsets),
            Self::WriteIdMaps { ids } | Self::CheckIdMaps { ids } | Self::JoinPod { ids } => {
                match ids {
                    super::IdMap::OwnRange => "0-65535 to the range".to_owned(),
                    super::IdMap::Given { uids, gids } => {
                        format!("{} of users, {} of groups", uids.len(), gids.len())
                    }
                }
            }
            Self::Seal { at } => at.to_string(),
            Self::CopyRootfs { attributes } | Self::ShiftRootfs { attributes } => flags(attributes),
            Self::AssembleRootfs { overlay, attributes } => {
                format!("overlay of {} layers, {}", overlay.layers.len(), flags(attributes))
            }
            Self::BuildMount { slot, filesystem, attributes } => {
                format!("{} [{}] {}", filesystem_words(filesystem), slot.0, flags(attributes))
            }
            Self::Remount { at, attributes, .. } => format!("{at} {}", flags(attributes)),
            Self::FetchMount { slot } => format!("[{}]", slot.0),
            Self::Attach { slot, at, place } => format!("[{}] {at}{}", slot.0, place_words(*place)),
            Self::SetNetSysctl { name, value } | Self::SetIpcSysctl { name, value } => {
                format!("{name} = {value}")
            }
            Self::MakeTerminal { size, .. } | Self::OpenTerminal { size, .. } => {
                size.map_or_else(String::new, |(rows, columns)| format!("{rows}x{columns}"))
            }
            Self::RaiseLimit { limit } | Self::SetLimit { limit } => limit_words(*limit),
            Self::SetOomScore { score } => score.to_string(),
            Self::DelegateCgroup { uid } => format!("to user {uid} of the container"),
            Self::JoinNamespace { kind } => kind.word().to_owned(),
            Self::SetHostname { name } | Self::SetDomainname { name } => name.to_string(),
            Self::NewSession { terminal } => {
                if *terminal {
                    "with a terminal".to_owned()
                } else {
                    String::new()
                }
            }
            Self::SetUmask { mask } => format!("{mask:04o}"),
            Self::SetScheduler { scheduler } => word(&task::POLICIES, scheduler.policy),
            Self::SetIoPriority { priority } => {
                format!("{} {}", word(&task::CLASSES, priority.class.into()), priority.level)
            }
            Self::SetMemoryPolicy { policy } => word(&task::MODES, policy.mode & 0x1fff),
            Self::SetPersonality { persona } => {
                if *persona == 0 {
                    "LINUX".to_owned()
                } else {
                    "LINUX32".to_owned()
                }
            }
            Self::LimitBounding { keep } => capability_words(*keep),
            Self::SetIds { uid, gid, groups } => format!("{uid}:{gid} {groups:?}"),
            Self::SetCapabilities { sets } => capability_words(sets.permitted),
            Self::FindHome { uid } => format!("of user {uid}"),
            Self::ApproachDirectory { to } | Self::ChangeDirectory { to } => to.to_string(),
            Self::HandOver { to } => format!("to {to}"),
            Self::LoadFilter { program } => {
                format!("{} instructions", program.instructions.len())
            }
            Self::TakeIds
            | Self::CoverRootfs
            | Self::EnterPod
            | Self::CheckProgram
            | Self::OpenInit
            | Self::CoverArguments
            | Self::JoinGroups
            | Self::HandOverTerminal
            | Self::EnterMounts
            | Self::EnterNetworkAndIpc
            | Self::VisitNetworkAndIpc
            | Self::KeepSysctl
            | Self::Pivot
            | Self::EnterRoot
            | Self::ComeHome
            | Self::MakeMountsPrivate
            | Self::BecomeRoot
            | Self::ForbidNamespaces
            | Self::LoopbackUp
            | Self::AwaitStart
            | Self::NewKeyring
            | Self::ForbidNewPrivileges
            | Self::ResetSignals
            | Self::FindProgram
            | Self::CloseDescriptors
            | Self::Execute
            | Self::WatchInit => String::new(),
        }
    }
}

/// The word of a number; the number where there is none.
fn word(words: &[&str], number: u32) -> String {
    let index = usize::try_from(number).ok();
    let word = index.and_then(|index| words.get(index));
    word.map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

fn propagation_words(propagation: u64) -> String {
    let deep = if propagation & mount_attr::MS_REC != 0 { "r" } else { "" };
    let shared = propagation & mount_attr::MS_SHARED != 0;
    format!("{deep}{}", if shared { "shared" } else { "unbindable" })
}

fn offset_words(offsets: &ClockOffsets) -> String {
    [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)]
        .into_iter()
        .filter_map(|(clock, offset)| {
            offset.map(|offset| format!("{clock} {}.{:09} s", offset.secs, offset.nanosecs))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn words(namespaces: &[Namespace]) -> String {
    namespaces.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" ")
}

fn place_words(place: Place) -> &'static str {
    match place {
        Place::Optional => " if it is there",
        Place::Existing | Place::Real | Place::Made | Place::MadeAsSource => "",
    }
}

fn filesystem_words(filesystem: &Filesystem) -> String {
    match filesystem {
        Filesystem::Proc { .. } => "proc".to_owned(),
        Filesystem::Sysfs { .. } => "sysfs".to_owned(),
        Filesystem::Mqueue { .. } => "mqueue".to_owned(),
        Filesystem::Cgroup { .. } => "cgroup2".to_owned(),
        Filesystem::Groups(tree) => {
            format!("tmpfs for {} hierarchies of control groups", tree.directories.len())
        }
        Filesystem::Group { hierarchy } => format!("the container's own group of {hierarchy}"),
        Filesystem::Devpts { .. } => "devpts".to_owned(),
        Filesystem::Tmpfs { copy_up: None, .. } => "tmpfs".to_owned(),
        Filesystem::Tmpfs { copy_up: Some(from), .. } => format!("tmpfs with a copy of {from}"),
        Filesystem::Dev(tree) => format!("tmpfs with {} nodes", tree.nodes.len()),
        Filesystem::Bind { source, recursive, inside, ids } => {
            let all = if *recursive { "all of " } else { "" };
            let source = match inside {
                Some(inside) => format!("{inside} inside"),
                None => source.to_string(),
            };
            let own = ids.as_ref().and_then(|ids| ids.own.as_ref());
            let own = if own.is_some() { " by a mapping of its own" } else { "" };
            format!("bind of {all}{source}{own}")
        }
        Filesystem::Notify => "directory of the notification socket".to_owned(),
        Filesystem::Present { .. } => "change".to_owned(),
        Filesystem::Other { kind, source, .. } => format!("{kind} of {source}"),
    }
}

/// Flags of a mount that hold something back, and their words for mount(8).
pub const FLAG_WORDS: [(u64, &str); 5] = [
    (mount_attr::RDONLY, "ro"),
    (mount_attr::NOSUID, "nosuid"),
    (mount_attr::NODEV, "nodev"),
    (mount_attr::NOEXEC, "noexec"),
    (mount_attr::NOSYMFOLLOW, "nosymfollow"),
];

/// The flags of a mount, as mount(8) writes them.
#[must_use]
pub fn flags(attributes: &MountAttributes) -> String {
    let set = attributes.set | attributes.recursive_set;
    let mut words: Vec<_> =
        FLAG_WORDS.iter().filter(|(bit, _)| set & bit != 0).map(|(_, name)| *name).collect();
    if attributes.mapped {
        words.push("idmapped");
    }
    words.join(",")
}

/// Names of setrlimit(2), in the order of their numbers.
pub const LIMIT_NAMES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

fn limit_words(limit: Limit) -> String {
    let name = usize::try_from(limit.resource).ok().and_then(|index| LIMIT_NAMES.get(index));
    let name = name.copied().unwrap_or("limit");
    format!("{name} {} of at most {}", limit_number(limit.soft), limit_number(limit.hard))
}

fn limit_number(value: u64) -> String {
    if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() }
}

/// The names of a capability set.
#[must_use]
pub fn capability_words(set: u64) -> String {
    if set == 0 {
        return "none".to_owned();
    }
    let mut names: Vec<_> = caps::all()
        .into_iter()
        .filter(|capability| set & capability.bitmask() != 0)
        .map(|capability| capability.to_string())
        .collect();
    names.sort_unstable();
    names.join(" ")
}
