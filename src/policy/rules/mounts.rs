//! Mounts and the root: what may be seen inside, and that none of it is changed.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Root};

use crate::policy::case::list_of;
use crate::policy::{Case, Ids, RuleId};
use crate::spec::mount_options::MountOptions;

const ROOTFS_READ_ONLY: RuleId = RuleId("rootfs.read-only");
const SCRATCH: RuleId = RuleId("rootfs.scratch");
const NOSUID: RuleId = RuleId("mount.force-nosuid");
const NODEV: RuleId = RuleId("mount.force-nodev");
const NOEXEC: RuleId = RuleId("mount.force-noexec");
const READONLY: RuleId = RuleId("mount.force-readonly");
const NO_HOST_KERNEL_FILES: RuleId = RuleId("mount.no-host-kernel-files");
const NO_KERNEL_COVER: RuleId = RuleId("mount.no-kernel-cover");
const KNOWN_TYPES: RuleId = RuleId("mount.known-types");
const NO_SHARED: RuleId = RuleId("mount.no-shared-propagation");
const OWN_RANGE: RuleId = RuleId("ids.own-range");
const NO_REMOUNT: RuleId = RuleId("mount.no-remount");
const DEV_OWN: RuleId = RuleId("dev.own");

pub(super) fn apply(case: &mut Case<'_>) {
    let mounts = case.spec.mounts().clone().unwrap_or_default();
    let mut kept = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.into_iter().enumerate() {
        kept.push(one(case, index, mount));
    }
    own_dev(case, &mut kept);
    root(case, &kept);
    case.spec.set_mounts(Some(kept));
}

/// The destination as a process inside would walk it: absolute, without `.` and `..`.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => drop(clean.pop()),
            std::path::Component::RootDir
            | std::path::Component::CurDir
            | std::path::Component::Prefix(_) => {}
        }
    }
    clean
}

fn options(mount: &Mount) -> Vec<String> {
    mount.options().clone().unwrap_or_default()
}

fn is_bind(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("bind")
        || options(mount).iter().any(|word| word == "bind" || word == "rbind")
}

/// Where a kernel file system belongs; anywhere else its masks would be missing.
const HOMES: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devpts", "/dev/pts"),
    ("mqueue", "/dev/mqueue"),
    ("cgroup", "/sys/fs/cgroup"),
    ("cgroup2", "/sys/fs/cgroup"),
];

fn one(case: &mut Case<'_>, index: usize, mut mount: Mount) -> Mount {
    let at = format!("/mounts/{index}");
    let to = cleaned(mount.destination());
    let bind = is_bind(&mount);
    if options(&mount).iter().any(|word| word == "remount") {
        let hint = "give the mount itself the options that it shall have";
        case.refuse(NO_REMOUNT, format!("{at}/options"), "changes an earlier mount", hint);
        return mount;
    }
    let typ = if bind { "bind".to_owned() } else { mount.typ().clone().unwrap_or_default() };
    if !list_of(KNOWN_TYPES).contains(&typ.as_str()) {
        let hint = "mount it on the host and bind it";
        case.refuse(KNOWN_TYPES, format!("{at}/type"), format!("is `{typ}`"), hint);
        return mount;
    }
    place(case, &at, &typ, &to);
    if bind {
        source(case, index, &mount);
    }
    propagation(case, &at, &mount);
    own_ids(case, &at, &mount);
    flags(case, &at, &typ, &to, &mut mount);
    mount
}

/// Refuses a mount at a place where the kernel's own file systems are, or such a file system
/// anywhere else.
fn place(case: &mut Case<'_>, at: &str, typ: &str, to: &Path) {
    let at = format!("{at}/destination");
    let home = HOMES.iter().find(|(of, _)| *of == typ).map(|(_, home)| *home);
    if let Some(home) = home {
        if to != Path::new(home) {
            let why = format!("puts {typ} at {}", to.display());
            let hint = format!("mount {typ} at {home} or nowhere");
            case.refuse_always(NO_KERNEL_COVER, at, why, hint);
        }
        return;
    }
    let covered = ["/proc", "/sys"].into_iter().find(|kernel| to.starts_with(kernel));
    if let Some(kernel) = covered {
        let why = format!("is {}, in {kernel}", to.display());
        case.refuse(NO_KERNEL_COVER, at, why, "mount it anywhere else");
    } else if to == Path::new("/") {
        case.refuse_always(
            NO_KERNEL_COVER,
            at,
            "is the root",
            "name the root file system in /root/path",
        );
    } else if to == Path::new("/dev") && typ != "tmpfs" {
        let hint = "make it a tmpfs: the standard nodes are put there anyway";
        case.refuse(DEV_OWN, at, format!("puts {typ} at /dev"), hint);
    }
}

/// Refuses the host's own kernel files as the source of a bind mount, and what decides about
/// containers. The path was followed to its end before.
fn source(case: &mut Case<'_>, index: usize, mount: &Mount) {
    let Some(source) = mount.source() else { return };
    let from = cleaned(source);
    let at = format!("/mounts/{index}/source");
    let kernel = ["/proc", "/sys", "/dev"].into_iter().find(|kernel| from.starts_with(kernel));
    let shared_memory = from.starts_with("/dev/shm") && from != Path::new("/dev/shm");
    let why = match kernel {
        Some(_) if !shared_memory => Some(format!("is the host's {}", from.display())),
        _ if from == Path::new("/") => Some("is the host's root".to_owned()),
        _ if case.host.kernel_sources.contains(&index) => {
            Some(format!("is a kernel file system, or has one below it: {}", from.display()))
        }
        _ => None,
    };
    if let Some(why) = why {
        let hint = "leave the mount out, or bind only the directory that the workload needs";
        case.refuse(NO_HOST_KERNEL_FILES, at, why, hint);
        return;
    }
    let writable = !options(mount).iter().any(|word| word == "ro" || word == "rro")
        || options(mount).iter().any(|word| word == "rw" || word == "rrw");
    if is_protected(case, &from, writable) {
        let why = format!("holds what decides about containers: {}", from.display());
        let hint = "bind a directory that does not contain casemate's own files";
        case.refuse_always(NO_HOST_KERNEL_FILES, at, why, hint);
    }
}

/// Whether a path lies in one of our own directories, or is writable and contains one.
fn is_protected(case: &Case<'_>, path: &Path, writable: bool) -> bool {
    case.host
        .protected
        .iter()
        .any(|ours| path.starts_with(ours) || writable && ours.starts_with(path))
}

fn propagation(case: &mut Case<'_>, at: &str, mount: &Mount) {
    let shared = options(mount).iter().any(|word| word == "shared" || word == "rshared");
    if shared {
        case.refuse(
            NO_SHARED,
            format!("{at}/options"),
            "asks for shared propagation",
            "use `rprivate`, or `rslave` to see what the host mounts later",
        );
    }
}

/// A mapping of a mount's own is to ids of the host, and which ones the container will have is
/// not known beforehand. It may be to ids inside.
fn own_ids(case: &mut Case<'_>, at: &str, mount: &Mount) {
    if case.ids != Ids::OwnRange {
        return;
    }
    let gives = |lines: &Option<Vec<_>>| lines.as_ref().is_some_and(|lines| !lines.is_empty());
    let words = options(mount);
    let parsed = MountOptions::parse(mount.typ().as_deref(), &words).ok();
    let in_word = parsed
        .and_then(|options| options.mapping)
        .is_some_and(|mapping| mapping.uids.iter().chain(&mapping.gids).any(|line| !line.inside));
    let place = if gives(mount.uid_mappings()) || gives(mount.gid_mappings()) {
        "uidMappings"
    } else if in_word {
        "options"
    } else {
        return;
    };
    case.refuse(
        OWN_RANGE,
        format!("{at}/{place}"),
        "maps to ids of the host, of which the container has its own, taken at its creation",
        "leave the mapping out, and the mount has the container's; or name ids inside, with `@`",
    );
}

/// Forces flags on; a word that says the opposite is taken out.
fn flags(case: &mut Case<'_>, at: &str, typ: &str, to: &Path, mount: &mut Mount) {
    let kernel = HOMES.iter().any(|(of, _)| *of == typ);
    let dev = to == Path::new("/dev");
    let mut words = options(mount);
    let before = words.clone();
    force(&mut words, "nosuid", &["suid", "rsuid"]);
    if words != before {
        record(case, NOSUID, at, "nosuid");
    }
    if !dev && typ != "devpts" {
        forced(case, NODEV, at, &mut words, ("nodev", &["dev", "rdev"]));
    }
    if kernel || dev {
        forced(case, NOEXEC, at, &mut words, ("noexec", &["exec", "rexec"]));
    }
    if matches!(typ, "sysfs" | "cgroup" | "cgroup2") {
        forced(case, READONLY, at, &mut words, ("ro", &["rw", "rrw"]));
    }
    if dev {
        forced(case, DEV_OWN, at, &mut words, ("ro", &["rw", "rrw"]));
    }
    mount.set_options(Some(words));
}

fn forced(
    case: &mut Case<'_>,
    rule: RuleId,
    at: &str,
    words: &mut Vec<String>,
    (word, opposites): (&str, &[&str]),
) {
    let before = words.len();
    let had = words.iter().any(|there| there == word);
    force(words, word, opposites);
    if !had || words.len() != before {
        record(case, rule, at, word);
    }
}

fn force(words: &mut Vec<String>, word: &str, opposites: &[&str]) {
    words.retain(|there| !opposites.contains(&there.as_str()));
    if !words.iter().any(|there| there == word) {
        words.push(word.to_owned());
    }
}

fn record(case: &mut Case<'_>, rule: RuleId, at: &str, word: &str) {
    case.change(rule, format!("{at}/options"), format!("without {word}"), word);
}

/// A `/dev` of our own where the bundle has none: never the image's.
fn own_dev(case: &mut Case<'_>, mounts: &mut Vec<Mount>) {
    let has = |mounts: &[Mount], place: &str| {
        mounts.iter().any(|mount| cleaned(mount.destination()) == Path::new(place))
    };
    if has(mounts, "/dev") {
        return;
    }
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let mut dev = Mount::default();
    dev.set_destination(PathBuf::from("/dev"));
    dev.set_typ(Some("tmpfs".to_owned()));
    dev.set_source(Some(PathBuf::from("tmpfs")));
    dev.set_options(words(&["nosuid", "noexec", "ro", "mode=755", "size=65536k"]));
    let before_others = mounts
        .iter()
        .position(|mount| cleaned(mount.destination()).starts_with("/dev"))
        .unwrap_or(mounts.len());
    mounts.insert(before_others, dev);
    if !has(mounts, "/dev/pts") {
        let mut pts = Mount::default();
        pts.set_destination(PathBuf::from("/dev/pts"));
        pts.set_typ(Some("devpts".to_owned()));
        pts.set_source(Some(PathBuf::from("devpts")));
        let options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
        pts.set_options(words(&options));
        mounts.insert(before_others.saturating_add(1), pts);
    }
    case.change(DEV_OWN, "/mounts", "the image's /dev", "a /dev of the runtime's own");
}

/// The root is read-only; where the bundle wanted to write, there is scratch memory.
fn root(case: &mut Case<'_>, mounts: &[Mount]) {
    let Some(mut root) = case.spec.root().clone() else { return };
    root_path(case, root.path());
    if root.readonly() == Some(true) {
        return;
    }
    root.set_readonly(Some(true));
    set_root(case, root);
    case.change(ROOTFS_READ_ONLY, "/root/readonly", "false", "true");
    let taken = |place: &str| {
        mounts.iter().any(|mount| Path::new(place).starts_with(cleaned(mount.destination())))
    };
    let added = case.added(SCRATCH);
    let mut scratch: Vec<String> = Vec::new();
    for place in list_of(SCRATCH).iter().chain(&added).filter(|place| !taken(place)) {
        let below = |other: &String| Path::new(place).starts_with(other);
        if !scratch.iter().any(below) {
            scratch.push((*place).to_owned());
        }
        if added.contains(place) {
            case.used(SCRATCH, place, "/root", &format!("has memory on {place}"));
        }
    }
    if !scratch.is_empty() {
        let to = format!("memory on {}", scratch.join(" "));
        case.change(SCRATCH, "/root", "a writable root", to);
    }
    case.scratch = scratch;
}

/// Refuses the host's own root, its kernel files, and our own files as a root file system.
fn root_path(case: &mut Case<'_>, path: &Path) {
    let from = cleaned(path);
    let kernel = ["/proc", "/sys", "/dev"].into_iter().any(|kernel| from.starts_with(kernel));
    if kernel || from == Path::new("/") || is_protected(case, &from, false) {
        let why = format!("is the host's own {}", from.display());
        let hint = "unpack the image into a directory of its own";
        case.refuse_always(NO_HOST_KERNEL_FILES, "/root/path", why, hint);
    }
}

fn set_root(case: &mut Case<'_>, root: Root) {
    case.spec.set_root(Some(root));
}
