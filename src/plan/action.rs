//! What a step can be: a closed set, each value with all that is needed to carry it out.

use serde::{Deserialize, Serialize};

use super::mount::{DeviceNode, Filesystem, FsOption, MountAttributes};
use super::task::{IoPriority, MemoryPolicy, Scheduler};
pub use super::terms::{
    CapabilitySets, ClockOffset, ClockOffsets, Gate, GroupBelow, IdMap, IdMapping, Limit,
    MountPoint, Namespace, Overlay, Place, Slot, Track,
};
use super::text::{HostPath, RootedPath, Text};
use super::{cgroup::CgroupPlan, cpus::CpuSet, hooks::Hook, labels::Label, listener::Listener};
use crate::seccomp::Program;

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// Takes a range of host ids that no other container has.
    TakeIds,
    /// Takes part in the ids of a live container, and holds its user namespace.
    JoinPod {
        /// How they are mapped.
        ids: IdMap,
    },
    /// Goes where that container is, so that who sees the new process sees nothing of the host.
    EnterPod,
    /// Makes the control group, limits it, attaches the device rules.
    MakeCgroup {
        /// Its path, settings and device rules.
        cgroup: Box<CgroupPlan>,
    },
    /// Makes the container's group in resctrl, and gives it its schemata.
    MakeResctrl(Box<super::resctrl::Resctrl>),
    /// Puts the new process into its group in resctrl.
    JoinResctrl(Box<super::resctrl::Resctrl>),
    /// Opens the root file system as the engine prepared it.
    OpenRootfs {
        /// Where it is on the host.
        path: HostPath,
    },
    /// Makes a missing mount point in the root file system, through the engine's own mount.
    MakeMountPoint {
        /// Where, inside the root.
        at: RootedPath,
        /// What it must be able to carry.
        kind: MountPoint,
        /// The directory of the host that is meant instead: it will be bound there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within: Option<HostPath>,
    },
    /// Opens a namespace that the bundle names by path.
    OpenNamespace {
        /// Its kind.
        kind: Namespace,
        /// Where it is on the host.
        path: HostPath,
    },
    /// Gives the new process a time namespace whose clocks are shifted.
    ShiftClocks {
        /// How far.
        offsets: ClockOffsets,
    },
    /// Looks the program up inside the root, so that a missing one fails `create`.
    CheckProgram,
    /// Starts the new process.
    Spawn {
        /// The namespaces it gets at birth.
        namespaces: Vec<Namespace>,
    },
    /// Waits until the other track has opened this gate.
    Await {
        /// Which.
        gate: Gate,
    },
    /// Opens this gate for the other track.
    Open {
        /// Which.
        gate: Gate,
    },
    /// Writes the id maps of the new user namespace.
    WriteIdMaps {
        /// What is mapped to what.
        ids: IdMap,
    },
    /// Makes sure that the user namespace which init joined maps ids as the bundle says.
    CheckIdMaps {
        /// What is mapped to what.
        ids: IdMap,
    },
    /// Gives the control group to a user of the container, who may make groups below it.
    DelegateCgroup {
        /// The user inside.
        uid: u32,
    },
    /// Copies the root file system's mount, detached, with these attributes.
    CopyRootfs {
        /// Flags of the mount, and whether its ids are translated.
        attributes: MountAttributes,
    },
    /// Takes the engine's overlay apart and puts it together again, read-only.
    AssembleRootfs {
        /// Its layers, topmost first, and its options.
        overlay: Overlay,
        /// Flags of the mount, and whether the ids of its layers are translated.
        attributes: MountAttributes,
    },
    /// Gives the root file system to the container's ids file by file, in memory above it.
    ShiftRootfs {
        /// Flags of the mount.
        attributes: MountAttributes,
    },
    /// Builds a mount, detached.
    BuildMount {
        /// Where it is kept until it is attached.
        slot: Slot,
        /// What it is.
        filesystem: Filesystem,
        /// Flags of the mount, and whether its ids are translated.
        attributes: MountAttributes,
    },
    /// Takes a mount that the other track built.
    FetchMount {
        /// Where it is kept, on both sides.
        slot: Slot,
    },
    /// Enters the mount namespace of the new process.
    EnterMounts,
    /// Puts memory over the root, for hooks to write to: the image stays as it is.
    CoverRootfs,
    /// Makes read-only what hooks could write to.
    Seal {
        /// Where it is mounted, inside the root.
        at: RootedPath,
    },
    /// Attaches the new root over the old one.
    AttachRoot {
        /// Where on the host's tree: the top, or where hooks expect it.
        over: HostPath,
    },
    /// Runs a program of the host, or of the image, that the bundle names.
    RunHook(Box<Hook>),
    /// Attaches a mount inside the new root.
    Attach {
        /// Which mount.
        slot: Slot,
        /// Where, inside the root.
        at: RootedPath,
        /// How the place is looked up.
        place: Place,
    },
    /// Makes a missing directory in the finished root.
    MakeDirectory {
        /// Where, inside the root.
        at: RootedPath,
    },
    /// Changes the mount that is on top of a place.
    Remount {
        /// Where, inside the root.
        at: RootedPath,
        /// Options of the file system itself.
        options: Vec<FsOption>,
        /// Flags of the mount.
        attributes: MountAttributes,
    },
    /// Enters the network and IPC namespaces of the new process.
    EnterNetworkAndIpc,
    /// Has copies of this process do that instead: without root, no way leads back from there.
    VisitNetworkAndIpc,
    /// Keeps a descriptor of `/proc/sys` of the container while it is writable.
    KeepSysctl,
    /// Sets a kernel parameter of the container's network namespace.
    SetNetSysctl {
        /// Its name, with slashes: below `/proc/sys`.
        name: Text,
        /// Its value.
        value: Text,
    },
    /// Makes the pseudo-terminal and hands its master to the caller.
    MakeTerminal {
        /// Rows and columns, if the bundle says.
        size: Option<(u16, u16)>,
        /// Who owns it, as ids inside.
        owner: (u32, u32),
    },
    /// Covers a path with nothing.
    Mask {
        /// Where, inside the root.
        at: RootedPath,
        /// The option that labels what covers it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<FsOption>,
    },
    /// Makes a path and all below it read-only.
    MakeReadonly {
        /// Where, inside the root.
        at: RootedPath,
    },
    /// Makes a device node or a named pipe outside `/dev`.
    MakeDevice {
        /// Its whole path is its name.
        node: DeviceNode,
        /// Whether its owner is meant as it is on disk, where the mount translates it.
        on_disk: bool,
    },
    /// Says how the root passes mounts on.
    SetRootPropagation {
        /// `MS_SHARED` or `MS_UNBINDABLE`, with `MS_REC` for all mounts below it.
        propagation: u64,
    },
    /// Makes the new root the root, for every process of the mount namespace.
    Pivot,
    /// Makes the root of a container's first process the root, where that took it along.
    EnterRoot,
    /// Returns to the namespaces of the caller.
    ComeHome,
    /// Opens the first process of a container, and makes sure that it is the recorded one.
    OpenInit,
    /// Opens the control group of a container that exists.
    OpenGroup {
        /// Groups below its own to enter instead.
        below: Vec<GroupBelow>,
    },
    /// Runs on these processors only.
    SetAffinity {
        /// Which.
        cpus: CpuSet,
    },
    /// Enters namespaces of a container's first process, all in one call.
    EnterInit {
        /// Their kinds.
        kinds: Vec<Namespace>,
    },
    /// Makes this process's arguments unreadable while a copy of it is born, for all to see.
    CoverArguments,
    /// Makes a pseudo-terminal in a container that exists.
    OpenTerminal {
        /// Rows and columns, if they were asked for.
        size: Option<(u16, u16)>,
        /// Who owns it, as ids inside.
        owner: (u32, u32),
    },
    /// Puts the new process into the control groups of cgroup v1.
    JoinGroups,
    /// Hands the terminal to the caller and to the new process.
    HandOverTerminal,
    /// Moves a network device of the host into the container's network namespace.
    MoveNetDevice {
        /// Its name on the host.
        host: Text,
        /// Its name inside; the kernel puts a number in the place of `%d`.
        inside: Text,
    },
    /// Raises a hard limit, which the new process will not be able to.
    RaiseLimit {
        /// Which, and how far.
        limit: Limit,
    },
    /// Sets how readily the kernel kills the process when memory runs out.
    SetOomScore {
        /// -1000 to 1000.
        score: i32,
    },
    /// Sets how the process competes for processors.
    SetScheduler {
        /// Policy and parameters.
        scheduler: Scheduler,
    },
    /// Sets how the process competes for input and output.
    SetIoPriority {
        /// Class and level.
        priority: IoPriority,
    },
    /// Makes every inherited mount private.
    MakeMountsPrivate,
    /// Enters a namespace that was opened before.
    JoinNamespace {
        /// Its kind.
        kind: Namespace,
    },
    /// Makes new namespaces.
    NewNamespaces {
        /// Their kinds.
        kinds: Vec<Namespace>,
    },
    /// Becomes user and group 0 of the user namespace.
    BecomeRoot,
    /// Sets the number of further namespaces that may be made to zero.
    ForbidNamespaces,
    /// Brings the loopback device up.
    LoopbackUp,
    /// Sets a kernel parameter of the container's IPC namespace.
    SetIpcSysctl {
        /// Its name, with slashes: below `/proc/sys`.
        name: Text,
        /// Its value.
        value: Text,
    },
    /// Sets the host name.
    SetHostname {
        /// At most 64 bytes.
        name: Text,
    },
    /// Sets the NIS domain name.
    SetDomainname {
        /// At most 64 bytes.
        name: Text,
    },
    /// Waits for `start`.
    AwaitStart,
    /// Joins a new session keyring.
    NewKeyring,
    /// Starts a new session; with a terminal, takes it as the controlling one.
    NewSession {
        /// Whether a terminal was made.
        terminal: bool,
    },
    /// Sets a resource limit.
    SetLimit {
        /// Which, soft and hard.
        limit: Limit,
    },
    /// Sets the mask of file permissions.
    SetUmask {
        /// Permission bits, at most 0777.
        mask: u32,
    },
    /// Sets on which memory nodes memory is taken.
    SetMemoryPolicy {
        /// Mode and nodes.
        policy: MemoryPolicy,
    },
    /// Sets the execution domain.
    SetPersonality {
        /// `PER_*` of personality(2).
        persona: u32,
    },
    /// Has a security module know the program, or the keys that are made next, by a label.
    Label {
        /// Which module, and by what.
        label: Label,
    },
    /// Cuts the bounding set.
    LimitBounding {
        /// Bit n: capability n may be kept.
        keep: u64,
    },
    /// Sets supplementary groups, group and user.
    SetIds {
        /// User id inside.
        uid: u32,
        /// Group id inside.
        gid: u32,
        /// All supplementary groups.
        groups: Vec<u32>,
    },
    /// Sets the capability sets.
    SetCapabilities {
        /// As bit masks.
        sets: CapabilitySets,
    },
    /// Sets `no_new_privs`.
    ForbidNewPrivileges,
    /// Tries to change into the working directory before the user changes, as others do.
    ApproachDirectory {
        /// Where, inside the root.
        to: Text,
    },
    /// Changes into the working directory, and checks that it is inside the root.
    ChangeDirectory {
        /// Where, inside the root.
        to: Text,
    },
    /// Gives every signal its default action.
    ResetSignals,
    /// Finds the home of the user in the image's `/etc/passwd`.
    FindHome {
        /// User id inside.
        uid: u32,
    },
    /// Finds the program in the search path of its environment.
    FindProgram,
    /// Lets only standard input, output and error, and what was asked for, be inherited.
    CloseDescriptors,
    /// Loads the seccomp filter.
    LoadFilter {
        /// The program.
        program: Program,
    },
    /// Becomes the program.
    Execute,
    /// Watches init from outside, so that the filter's listener is seen.
    WatchInit,
    /// Takes the filter's listener from init, and gives it to who answers.
    HandOver {
        /// Who answers.
        to: Listener,
    },
}
