//! The terms that steps are made of: tracks, gates, slots, namespaces, maps, limits.

use serde::{Deserialize, Serialize};

use super::text::{HostPath, RootedPath};

/// Which thread of the launch a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// The caller, before the new process exists.
    Prepare,
    /// The caller, beside the new process.
    Supervisor,
    /// The new process.
    Init,
    /// The caller, once the new process lacks nothing but a listener for its filter.
    Creator,
    /// Whoever lets the new process go on: the caller itself, or the `start` command.
    Starter,
    /// The command that started it, once the program runs.
    AfterStart,
    /// The command that ends it, once it is gone.
    AfterEnd,
}

/// A point that one track waits at until the other has reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Init is in every control group that it belongs to.
    Cgroups,
    /// Init is in its new user namespace; `proc` and `cgroup2` are built.
    UserNamespace,
    /// The id maps are written, and what init built was fetched.
    IdMaps,
    /// Network, IPC and UTS namespaces exist.
    Namespaces,
    /// Init has nothing left to do before `start`.
    Ready,
    /// Everything is mounted, and the supervisor has left the mount namespace.
    Mounts,
    /// Init has gone to the mount namespace that it is to be in, with its root.
    Placed,
    /// The supervisor has nothing left to do.
    Made,
    /// Init has nothing left to do but to load its filter.
    Filter,
    /// The filter's listener will be seen.
    Watched,
}

/// A place for something that cannot be known beforehand: filled by one step, read by a later
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u16);

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Process ids.
    Pid,
    /// Network devices, addresses, ports.
    Network,
    /// System V and POSIX message objects.
    Ipc,
    /// Host and domain name.
    Uts,
    /// Mounts.
    Mount,
    /// Ids and capabilities.
    User,
    /// The root of the control groups seen.
    Cgroup,
    /// Offsets of the monotonic and boot-time clocks.
    Time,
}

impl Namespace {
    /// Every kind, in the order of the specification.
    pub const ALL: [Self; 8] = [
        Self::Pid,
        Self::Network,
        Self::Mount,
        Self::Ipc,
        Self::Uts,
        Self::User,
        Self::Cgroup,
        Self::Time,
    ];

    /// The `CLONE_NEW*` flag.
    #[must_use]
    pub fn flag(self) -> i32 {
        use crate::sys::flags::ns;
        match self {
            Self::Pid => ns::PID,
            Self::Network => ns::NET,
            Self::Ipc => ns::IPC,
            Self::Uts => ns::UTS,
            Self::Mount => ns::MOUNT,
            Self::User => ns::USER,
            Self::Cgroup => ns::CGROUP,
            Self::Time => ns::TIME,
        }
    }

    /// The word that config.json uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Mount => "mount",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The name of its link in `/proc/PID/ns`.
    #[must_use]
    pub fn link(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Network => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Mount => "mnt",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

/// How far the clocks of a time namespace are from the host's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffsets {
    /// Of `CLOCK_MONOTONIC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotonic: Option<ClockOffset>,
    /// Of `CLOCK_BOOTTIME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boottime: Option<ClockOffset>,
}

/// How far one clock is from the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// Whole seconds; negative ones turn it back.
    pub secs: i64,
    /// And so many nanoseconds more, less than a second.
    pub nanosecs: u32,
}

/// How the place of a mount is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Links of the image are followed inside the root; the place must exist.
    Existing,
    /// As [`Self::Existing`], but without the place nothing is mounted.
    Optional,
    /// It lies in memory that was mounted before, and is made there as a directory.
    Made,
    /// As [`Self::Made`], but as what the source is: a directory or an empty file.
    MadeAsSource,
    /// It must be a real directory: no link of the image may stand anywhere in the path.
    Real,
}

/// What a mount point must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountPoint {
    /// A directory.
    Directory,
    /// A directory or a file, as the source of the bind mount is.
    AsSource {
        /// Where that is on the host.
        source: HostPath,
    },
}

/// How ids inside relate to ids outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdMap {
    /// Ids 0 to 65535 are the range that [`Action::TakeIds`](super::Action::TakeIds) took.
    OwnRange,
    /// What the bundle says, checked.
    Given {
        /// Of users.
        uids: Vec<IdMapping>,
        /// Of groups.
        gids: Vec<IdMapping>,
    },
}

/// One line of an id map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// An overlay mount, as the kernel described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Layer directories, topmost first; the engine's upper directory is the first.
    pub layers: Vec<HostPath>,
    /// Layers that hold only data, if any.
    pub data_layers: Vec<HostPath>,
    /// The root file system's path inside the overlay; `/` for its root.
    pub subdirectory: RootedPath,
    /// Whether the layers hold metadata-only copies.
    pub metacopy: bool,
    /// Whether the layers mark themselves in the user's extended attributes.
    pub userxattr: bool,
}

/// A control group below the container's own, which exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupBelow {
    /// In which hierarchies, with commas between: controllers of cgroup v1, or
    /// [`GroupBelow::V2`]; everywhere if not said.
    pub hierarchy: Option<String>,
    /// Where, from the container's own group on; empty for that group itself.
    pub path: String,
}

impl GroupBelow {
    /// The word for the hierarchy of cgroup v2.
    pub const V2: &'static str = "unified";

    /// Reads `PATH` or `CONTROLLER[,CONTROLLER]:PATH`.
    ///
    /// # Errors
    /// A clause that says why this is no group of the container.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (hierarchy, path) = match text.split_once(':') {
            Some(("", _)) => return Err("there is no controller before the colon"),
            Some((controller, path)) => (Some(controller.to_owned()), path),
            None => (None, text),
        };
        let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return Err("bad sub cgroup path: `..` would lead out of the container's own group");
        }
        if path.contains('\0') {
            return Err("holds a NUL");
        }
        Ok(Self { hierarchy, path: parts.join("/") })
    }
}

impl std::fmt::Display for GroupBelow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.hierarchy {
            Some(hierarchy) => write!(f, "{hierarchy}:/{}", self.path),
            None => write!(f, "/{}", self.path),
        }
    }
}

/// A resource limit of setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// What is in force; in the resource's own unit.
    pub soft: u64,
    /// How far the process may raise it itself.
    pub hard: u64,
}

/// Capability sets as bit masks: bit n is capability n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilitySets {
    /// What any program started could ever have.
    pub bounding: u64,
    /// What is in force.
    pub effective: u64,
    /// What may be put in force.
    pub permitted: u64,
    /// What files with inheritable capabilities may keep.
    pub inheritable: u64,
    /// What a program without file capabilities keeps.
    pub ambient: u64,
}
