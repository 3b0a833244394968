//! Every property that the runtime specification names (1.0 to 1.3), and what we do with it.
//!
//! `oci-spec`'s types drop what they do not know, and hold much that this version does not carry
//! out. This table stands between: what is not in it is unknown, what is marked
//! [`Status::NotApplied`] is refused by name. A property may be marked [`Status::Applied`] only
//! when a later stage carries it out or refuses it.
//!
//! Reference: runtime-spec, `config.md` and `config-linux.md`.

mod engine_profile;

pub use engine_profile::ENGINE_PROFILE;

/// What becomes of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Carried out, or refused with its own reason by the stage that would carry it out.
    Applied,
    /// Not carried out. A config that asks for it is refused.
    NotApplied {
        /// The rest of the sentence that begins with the address.
        reason: &'static str,
    },
    /// For another operating system, or for virtual machines: the specification has us ignore it.
    OtherPlatform,
}

/// What may stand below a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A string, a number or a boolean.
    Scalar,
    /// An object with these members.
    Object(&'static [Property]),
    /// An object whose member names the caller chooses.
    Map(&'static Shape),
    /// An array.
    List(&'static Shape),
    /// Anything at all: nobody will look at it.
    Opaque,
}

/// One property: a member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// The member's name.
    pub name: &'static str,
    /// What becomes of it.
    pub status: Status,
    /// What may stand below it.
    pub shape: Shape,
    /// Whether the object must have it; `null` is not having it.
    pub required: bool,
}

impl Property {
    const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

const fn applied(name: &'static str, shape: Shape) -> Property {
    Property { name, status: Status::Applied, shape, required: false }
}

const fn scalar(name: &'static str) -> Property {
    applied(name, Shape::Scalar)
}

const fn scalars(name: &'static str) -> Property {
    applied(name, Shape::List(&Shape::Scalar))
}

const fn not_applied(name: &'static str, shape: Shape, reason: &'static str) -> Property {
    Property { name, status: Status::NotApplied { reason }, shape, required: false }
}

const fn other_platform(name: &'static str) -> Property {
    Property { name, status: Status::OtherPlatform, shape: Shape::Opaque, required: false }
}

/// The members of config.json itself.
pub const CONFIG: Shape = Shape::Object(&[
    scalar("ociVersion"),
    applied("process", PROCESS),
    applied("root", Shape::Object(&[scalar("path").required(), scalar("readonly")])),
    scalar("hostname"),
    scalar("domainname"),
    applied("mounts", Shape::List(&MOUNT)),
    applied("hooks", HOOKS),
    applied("annotations", Shape::Map(&Shape::Scalar)),
    applied("linux", LINUX),
    other_platform("solaris"),
    other_platform("windows"),
    other_platform("vm"),
    other_platform("zos"),
    other_platform("freebsd"),
]);

/// The members of `/process`, which is also the document that `exec --process` reads.
pub const PROCESS: Shape = Shape::Object(&[
    scalar("terminal"),
    applied(
        "consoleSize",
        Shape::Object(&[scalar("height").required(), scalar("width").required()]),
    ),
    applied("user", USER).required(),
    scalars("args"),
    other_platform("commandLine"),
    scalars("env"),
    scalar("cwd").required(),
    applied("capabilities", CAPABILITIES),
    applied("rlimits", Shape::List(&RLIMIT)),
    scalar("noNewPrivileges"),
    scalar("oomScoreAdj"),
    scalar("apparmorProfile"),
    scalar("selinuxLabel"),
    applied("scheduler", SCHEDULER),
    applied("ioPriority", IO_PRIORITY),
    applied("execCPUAffinity", Shape::Object(&[scalar("initial"), scalar("final")])),
]);

const USER: Shape = Shape::Object(&[
    scalar("uid").required(),
    // Required, too; but other runtimes have always taken none for 0.
    scalar("gid"),
    scalar("umask"),
    scalars("additionalGids"),
    other_platform("username"),
]);

const CAPABILITIES: Shape = Shape::Object(&[
    scalars("bounding"),
    scalars("effective"),
    scalars("inheritable"),
    scalars("permitted"),
    scalars("ambient"),
]);

const RLIMIT: Shape = Shape::Object(&[
    scalar("type").required(),
    scalar("soft").required(),
    scalar("hard").required(),
]);

const SCHEDULER: Shape = Shape::Object(&[
    scalar("policy").required(),
    scalar("nice"),
    scalar("priority"),
    scalars("flags"),
    scalar("runtime"),
    scalar("deadline"),
    scalar("period"),
]);

// The idle class has no priorities.
const IO_PRIORITY: Shape = Shape::Object(&[scalar("class").required(), scalar("priority")]);

const MOUNT: Shape = Shape::Object(&[
    scalar("destination").required(),
    scalar("type"),
    scalar("source"),
    scalars("options"),
    applied("uidMappings", ID_MAPPINGS),
    applied("gidMappings", ID_MAPPINGS),
]);

const ID_MAPPINGS: Shape = Shape::List(&Shape::Object(&[
    scalar("containerID").required(),
    scalar("hostID").required(),
    scalar("size").required(),
]));

const HOOKS: Shape = Shape::Object(&[
    applied("prestart", HOOK_LIST),
    applied("createRuntime", HOOK_LIST),
    applied("createContainer", HOOK_LIST),
    applied("startContainer", HOOK_LIST),
    applied("poststart", HOOK_LIST),
    applied("poststop", HOOK_LIST),
]);

const HOOK_LIST: Shape = Shape::List(&Shape::Object(&[
    scalar("path").required(),
    scalars("args"),
    scalars("env"),
    scalar("timeout"),
]));

const LINUX: Shape = Shape::Object(&[
    applied("namespaces", Shape::List(&NAMESPACE)),
    applied("uidMappings", ID_MAPPINGS),
    applied("gidMappings", ID_MAPPINGS),
    applied("timeOffsets", TIME_OFFSETS),
    applied("devices", Shape::List(&DEVICE)),
    applied("netDevices", NET_DEVICES),
    scalar("cgroupsPath"),
    applied("resources", RESOURCES),
    applied("intelRdt", INTEL_RDT),
    applied("memoryPolicy", MEMORY_POLICY),
    applied("sysctl", Shape::Map(&Shape::Scalar)),
    applied("seccomp", SECCOMP),
    scalar("rootfsPropagation"),
    scalars("maskedPaths"),
    scalars("readonlyPaths"),
    scalar("mountLabel"),
    applied("personality", PERSONALITY),
]);

const NAMESPACE: Shape = Shape::Object(&[scalar("type").required(), scalar("path")]);

const TIME_OFFSETS: Shape = Shape::Map(&Shape::Object(&[scalar("secs"), scalar("nanosecs")]));

const DEVICE: Shape = Shape::Object(&[
    scalar("type").required(),
    scalar("path").required(),
    scalar("major"),
    scalar("minor"),
    scalar("fileMode"),
    scalar("uid"),
    scalar("gid"),
]);

const NET_DEVICES: Shape = Shape::Map(&Shape::Object(&[scalar("name")]));

const INSTEAD: &str = "casemate has `enableMonitoring`, which the specification put in its place";

const INTEL_RDT: Shape = Shape::Object(&[
    scalar("closID"),
    scalars("schemata"),
    scalar("l3CacheSchema"),
    scalar("memBwSchema"),
    not_applied("enableCMT", Shape::Scalar, INSTEAD),
    not_applied("enableMBM", Shape::Scalar, INSTEAD),
    scalar("enableMonitoring"),
]);

const MEMORY_POLICY: Shape =
    Shape::Object(&[scalar("mode").required(), scalar("nodes"), scalars("flags")]);

const PERSONALITY: Shape = Shape::Object(&[scalar("domain").required(), scalars("flags")]);

/// The members of `/linux/resources`, which is also the document that `update` reads.
pub const RESOURCES: Shape = Shape::Object(&[
    applied("devices", Shape::List(&DEVICE_RULE)),
    applied("memory", MEMORY),
    applied("cpu", CPU),
    applied("pids", Shape::Object(&[scalar("limit").required()])),
    applied("blockIO", BLOCK_IO),
    applied("hugepageLimits", Shape::List(&HUGEPAGE_LIMIT)),
    applied("network", NETWORK),
    applied("rdma", Shape::Map(&Shape::Object(&[scalar("hcaHandles"), scalar("hcaObjects")]))),
    applied("unified", Shape::Map(&Shape::Scalar)),
]);

const DEVICE_RULE: Shape = Shape::Object(&[
    scalar("allow").required(),
    scalar("type"),
    scalar("major"),
    scalar("minor"),
    scalar("access"),
]);

const MEMORY: Shape = Shape::Object(&[
    scalar("limit"),
    scalar("reservation"),
    scalar("swap"),
    scalar("kernel"),
    scalar("kernelTCP"),
    scalar("swappiness"),
    scalar("disableOOMKiller"),
    scalar("useHierarchy"),
    scalar("checkBeforeUpdate"),
]);

const CPU: Shape = Shape::Object(&[
    scalar("shares"),
    scalar("quota"),
    scalar("burst"),
    scalar("period"),
    scalar("realtimeRuntime"),
    scalar("realtimePeriod"),
    scalar("cpus"),
    scalar("mems"),
    scalar("idle"),
]);

const BLOCK_IO: Shape = Shape::Object(&[
    scalar("weight"),
    scalar("leafWeight"),
    applied("weightDevice", Shape::List(&WEIGHT_DEVICE)),
    applied("throttleReadBpsDevice", Shape::List(&THROTTLE_DEVICE)),
    applied("throttleWriteBpsDevice", Shape::List(&THROTTLE_DEVICE)),
    applied("throttleReadIOPSDevice", Shape::List(&THROTTLE_DEVICE)),
    applied("throttleWriteIOPSDevice", Shape::List(&THROTTLE_DEVICE)),
]);

const WEIGHT_DEVICE: Shape = Shape::Object(&[
    scalar("major").required(),
    scalar("minor").required(),
    scalar("weight"),
    scalar("leafWeight"),
]);

const THROTTLE_DEVICE: Shape = Shape::Object(&[
    scalar("major").required(),
    scalar("minor").required(),
    scalar("rate").required(),
]);

const HUGEPAGE_LIMIT: Shape =
    Shape::Object(&[scalar("pageSize").required(), scalar("limit").required()]);

const NETWORK: Shape =
    Shape::Object(&[scalar("classID"), applied("priorities", Shape::List(&INTERFACE_PRIORITY))]);

const INTERFACE_PRIORITY: Shape =
    Shape::Object(&[scalar("name").required(), scalar("priority").required()]);

const SECCOMP: Shape = Shape::Object(&[
    scalar("defaultAction").required(),
    scalar("defaultErrnoRet"),
    scalars("architectures"),
    scalars("flags"),
    scalar("listenerPath"),
    scalar("listenerMetadata"),
    applied("syscalls", Shape::List(&SYSCALL)),
]);

const SYSCALL: Shape = Shape::Object(&[
    scalars("names").required(),
    scalar("action").required(),
    scalar("errnoRet"),
    applied("args", Shape::List(&SYSCALL_ARG)),
    // No property of the specification, but of the engines' own profiles, and nothing to apply.
    scalar("comment"),
]);

const SYSCALL_ARG: Shape = Shape::Object(&[
    scalar("index").required(),
    scalar("value").required(),
    scalar("valueTwo"),
    scalar("op").required(),
]);

/// Every property below `shape`, each with the pattern of its address (`/mounts/*/options`).
#[must_use]
pub fn list(shape: &Shape) -> Vec<(String, Property)> {
    let mut all = Vec::new();
    collect(shape, "", &mut all);
    all
}

fn collect(shape: &Shape, at: &str, all: &mut Vec<(String, Property)>) {
    match shape {
        Shape::Scalar | Shape::Opaque => {}
        Shape::List(inner) | Shape::Map(inner) => collect(inner, &format!("{at}/*"), all),
        Shape::Object(members) => {
            for member in *members {
                let here = format!("{at}/{}", member.name);
                all.push((here.clone(), *member));
                collect(&member.shape, &here, all);
            }
        }
    }
}

#[cfg(test)]
mod tests;
