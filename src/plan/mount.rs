//! Mounts as the plan holds them.

use serde::{Deserialize, Serialize};

use super::text::{HostPath, RootedPath, Text};

/// Flags of a mount, and whether ids are translated on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountAttributes {
    /// `MOUNT_ATTR_*` bits that are set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits that are cleared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clear: u64,
    /// Bits set on this mount and on all mounts below it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recursive_set: u64,
    /// Bits cleared on this mount and on all mounts below it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recursive_clear: u64,
    /// `MS_PRIVATE` and the like, with `MS_REC` for all mounts below it, or 0 for what it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub propagation: u64,
    /// The same, after that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub then_propagation: u64,
    /// Whether ids are translated by the container's mapping.
    pub mapped: bool,
    /// Whether what the host's mount forbids may not be allowed again: whoever mounts inside the
    /// bundle's user namespace could not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
}

impl MountAttributes {
    /// These flags, and nothing else.
    #[must_use]
    pub const fn plain(set: u64) -> Self {
        Self {
            set,
            clear: 0,
            recursive_set: 0,
            recursive_clear: 0,
            propagation: 0,
            then_propagation: 0,
            mapped: false,
            locked: false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(bits: &u64) -> bool {
    *bits == 0
}

/// An option of a file system: a word, or a word with a value.
pub type FsOption = (Text, Option<Text>);

/// What a mount is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Filesystem {
    /// Processes of the pid namespace of the track that builds it.
    Proc {
        /// What stands for its source in the table of mounts.
        source: Text,
        /// As the bundle gave them.
        options: Vec<FsOption>,
    },
    /// Devices of the network namespace of the track that builds it.
    Sysfs {
        /// What stands for its source in the table of mounts.
        source: Text,
        /// As the bundle gave them.
        options: Vec<FsOption>,
    },
    /// Message queues of the IPC namespace of the track that builds it.
    Mqueue {
        /// What stands for its source in the table of mounts.
        source: Text,
        /// As the bundle gave them.
        options: Vec<FsOption>,
        /// What SELinux is to know its root directory by: the kernel has made the file system with
        /// the namespace, and takes no option for that any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<Text>,
    },
    /// The control group hierarchy, from the root of the cgroup namespace.
    Cgroup {
        /// What stands for its source in the table of mounts.
        source: Text,
        /// As the bundle gave them.
        options: Vec<FsOption>,
    },
    /// The place of the hierarchies of a host that has some of version 1: memory, with a directory
    /// for each.
    Groups(Box<GroupsTree>),
    /// The container's own group in one hierarchy, which is all that is seen of that.
    Group {
        /// The hierarchy, by the name of its directory.
        hierarchy: Text,
    },
    /// Pseudo-terminals of an instance of its own.
    Devpts {
        /// What stands for its source in the table of mounts.
        source: Text,
        /// As the bundle gave them, but `gid`.
        options: Vec<FsOption>,
        /// The group that owns new terminals, as an id inside.
        group: Option<u32>,
    },
    /// Memory.
    Tmpfs {
        /// What stands for its source in the table of mounts.
        source: Text,
        /// As the bundle gave them, but `uid` and `gid`.
        options: Vec<FsOption>,
        /// The owner of its root directory, as ids inside.
        owner: (u32, u32),
        /// The place in the image whose content is copied into it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy_up: Option<RootedPath>,
        /// The place whose mode it takes over, if that was there before: nobody said another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode_of: Option<RootedPath>,
    },
    /// `/dev`: a tmpfs with device nodes, links and mount points, then made read-only.
    Dev(Box<DevTree>),
    /// A directory or file of the host, or a tree of them.
    Bind {
        /// Where it is on the host.
        source: HostPath,
        /// Whether mounts below it come along.
        recursive: bool,
        /// Where it is inside the container's root, if it is in there: then it is what the mounts
        /// that come before have made of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inside: Option<RootedPath>,
        /// By what its ids are translated, if the bundle says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ids: Option<BindIds>,
    },
    /// The directory of the socket to which the program says that it is ready.
    Notify,
    /// What is mounted there already: only changed.
    Present {
        /// Options of the file system itself.
        options: Vec<FsOption>,
    },
    /// Any other file system type, as the bundle gave it. Only where nothing is held back.
    Other {
        /// Its type.
        kind: Text,
        /// Its source.
        source: Text,
        /// Its options.
        options: Vec<FsOption>,
    },
}

impl Filesystem {
    /// Whether it binds to the network or IPC namespace of the process that opens it.
    #[must_use]
    pub fn is_of_network_or_ipc(&self) -> bool {
        matches!(self, Self::Sysfs { .. } | Self::Mqueue { .. })
    }
}

/// By what the ids on a bind mount are translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindIds {
    /// Whether those on the mounts below it are, too.
    pub recursive: bool,
    /// A mapping of its own; without one, the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<BindMapping>,
}

/// A mapping of one bind mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMapping {
    /// Of users.
    pub uids: Vec<BindMappingLine>,
    /// Of groups.
    pub gids: Vec<BindMappingLine>,
}

/// One line of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMappingLine {
    /// First id on the file system.
    pub on_disk: u32,
    /// First id that it is seen as.
    pub seen_as: u32,
    /// How many.
    pub size: u32,
    /// Whether `seen_as` is an id inside the container, rather than one of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inside: bool,
}

/// What stands at `/sys/fs/cgroup` where there are hierarchies of version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsTree {
    /// What stands for its source in the table of mounts.
    pub source: Text,
    /// Options of its tmpfs.
    pub options: Vec<FsOption>,
    /// A directory for each hierarchy.
    pub directories: Vec<Text>,
    /// Symbolic links for controllers that share a hierarchy: name and target.
    pub links: Vec<(Text, Text)>,
}

/// The content of `/dev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevTree {
    /// What stands for its source in the table of mounts.
    pub source: Text,
    /// Options of its tmpfs.
    pub options: Vec<FsOption>,
    /// Device nodes.
    pub nodes: Vec<DeviceNode>,
    /// Symbolic links: name and target.
    pub links: Vec<(Text, Text)>,
    /// Directories that mounts below it need.
    pub directories: Vec<Text>,
    /// Empty files that mounts below it need.
    pub files: Vec<Text>,
    /// Mount points that must be what the source is: a directory or an empty file.
    pub as_sources: Vec<(Text, HostPath)>,
}

/// A device node (or a named pipe) to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNode {
    /// Its path below `/dev`.
    pub name: Text,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, with the permission bits.
    pub mode: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Owner, as ids inside.
    pub owner: (u32, u32),
}
