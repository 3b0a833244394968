//! Ids that somebody else uses or may use: read rarely, kept, and asked for one by one.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Uid;
use serde::{Deserialize, Serialize};

use super::super::dir;
use super::Range;

/// Where the list is kept, in the registry.
const CACHE: &str = ".foreign";
const TEMPORARY: &str = ".foreign.new";
const CACHE_LIMIT_BYTES: usize = 4 << 20;
/// How long a list of what processes map is believed.
const BELIEVED_SEC: i64 = 600;
/// How much the time of boot may seem to move before it is another boot.
const BOOT_SLACK_SEC: i64 = 5;
/// User databases: which field of a line is the first id, and which the number of ids.
const FILES: [(&str, usize, Option<usize>); 4] = [
    ("/etc/subuid", 1, Some(2)),
    ("/etc/subgid", 1, Some(2)),
    ("/etc/passwd", 2, None),
    ("/etc/group", 2, None),
];
/// Inside ids that something in nearly every container runs as: root, what distributions number
/// below 128 (daemon, www-data, postgres, …), the first of a system's own and of people, nobody.
const USUAL_IDS: [std::ops::RangeInclusive<u32>; 3] = [0..=127, 997..=1001, 65_532..=65_535];

/// First id and number of ids.
type Extent = (u64, u64);
/// Inode, size, and time of the last change, by which an edit of a file shows.
type Mark = (u64, i64, i64, i64);

/// All ids of the window that others use or may use.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Foreign {
    /// Seconds from the epoch to boot, and from boot to the reading: a list of another boot
    /// says nothing.
    boot_sec: i64,
    read_sec: i64,
    marks: [Mark; FILES.len()],
    extents: Vec<Extent>,
}

impl Foreign {
    /// The kept list if it still holds, else a new one, which is kept.
    ///
    /// The registry's lock must be held: so only one of many reads `/proc`.
    pub(super) fn load(registry: &OwnedFd, maps: &mut Maps) -> Self {
        let kept = dir::read_file(registry, CACHE, CACHE_LIMIT_BYTES).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        match kept {
            Some(kept) if kept.holds() => kept,
            Some(_) | None => Self::refresh(registry, maps),
        }
    }

    /// Reads everything anew and keeps it. The registry's lock must be held.
    pub(super) fn refresh(registry: &OwnedFd, maps: &mut Maps) -> Self {
        let (boot_sec, read_sec) = clocks();
        let marks = FILES.map(|(path, ..)| mark(path));
        let ours = |extent: &Extent| {
            let range = u32::try_from(extent.0).ok().and_then(Range::from_base);
            range.is_some_and(|range| {
                extent.1 <= u64::from(Range::LENGTH)
                    && matches!(dir::stat_at(registry, &range.file_name()), Ok(Some(_)))
            })
        };
        let mut extents: Vec<_> = maps.extents().iter().copied().filter(|e| !ours(e)).collect();
        for (path, first, length) in FILES {
            extents.extend(listed(path, first, length));
        }
        extents.retain(reaches_window);
        extents.sort_unstable();
        extents.dedup();
        let list = Self { boot_sec, read_sec, marks, extents };
        list.keep(registry);
        list
    }

    /// A list that cannot be kept is read again next time.
    fn keep(&self, registry: &OwnedFd) {
        let Ok(bytes) = serde_json::to_vec(self) else { return };
        let _ = dir::replace_file(registry, CACHE, TEMPORARY, &bytes);
    }

    fn holds(&self) -> bool {
        let (boot_sec, now_sec) = clocks();
        (self.boot_sec - boot_sec).abs() <= BOOT_SLACK_SEC
            && (self.read_sec..=self.read_sec + BELIEVED_SEC).contains(&now_sec)
            && self.marks == FILES.map(|(path, ..)| mark(path))
    }

    /// Whether any id of the range is on the list.
    pub(super) fn has(&self, range: Range) -> bool {
        self.extents.iter().any(|&(first, length)| range.overlaps(first, length))
    }
}

/// Whether a process runs as one of the ids that containers usually run as, in this range.
///
/// getpriority(2) looks the user up in a hash table and walks the processes only if it is there.
pub(super) fn has_live_user(range: Range) -> bool {
    USUAL_IDS.into_iter().flatten().any(|id| {
        let uid = Uid::from_raw(range.base() + id);
        rustix::process::getpriority_user(uid).is_ok()
    })
}

/// What processes map right now; read when first asked for, and once.
#[derive(Debug, Default)]
pub(super) struct Maps(Option<Vec<Extent>>);

impl Maps {
    pub(super) fn overlap(&mut self, range: Range) -> bool {
        self.extents().iter().any(|&(first, length)| range.overlaps(first, length))
    }

    /// If `/proc` cannot be read, everything counts as mapped.
    fn extents(&mut self) -> &[Extent] {
        self.0.get_or_insert_with(|| read_maps().unwrap_or_else(|_| vec![(0, u64::from(u32::MAX))]))
    }
}

/// Reads the maps of every user namespace that has a process we can see.
fn read_maps() -> crate::sys::Result<Vec<Extent>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).map_err(crate::sys::errno)?;
    let mut seen = BTreeSet::new();
    let mut extents = Vec::new();
    for (name, _) in dir::names(&proc)? {
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A map is set once and for all, and many processes share one: the inode tells them
        // apart cheaply. It may be hidden from us, the map never is.
        let namespace =
            rustix::fs::statat(&proc, format!("{name}/ns/user"), rustix::fs::AtFlags::empty());
        if let Ok(stat) = namespace
            && !seen.insert(stat.st_ino)
        {
            continue;
        }
        for map in ["uid_map", "gid_map"] {
            extents.extend(read_map(&proc, &format!("{name}/{map}")));
        }
    }
    extents.retain(reaches_window);
    extents.sort_unstable();
    extents.dedup();
    Ok(extents)
}

/// The outside extents of one map; none if the process is gone.
fn read_map(proc: &OwnedFd, name: &str) -> Vec<Extent> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(proc.as_fd(), name, flags, Mode::empty()) else {
        return Vec::new();
    };
    let mut text = String::new();
    // The kernel bounds it: 340 lines at most, user_namespaces(7).
    let read = std::io::Read::read_to_string(&mut std::fs::File::from(file), &mut text);
    if read.is_err() {
        return Vec::new();
    }
    text.lines().filter_map(|line| extent(line.split_ascii_whitespace(), 1, Some(2))).collect()
}

/// The ids that a user database lists. One that is missing lists none.
fn listed(path: &str, first: usize, length: Option<usize>) -> Vec<Extent> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().filter_map(|line| extent(line.split(':'), first, length)).collect()
}

fn extent<'a>(
    fields: impl Iterator<Item = &'a str> + Clone,
    first: usize,
    length: Option<usize>,
) -> Option<Extent> {
    let number = |field: usize| fields.clone().nth(field)?.trim().parse::<u64>().ok();
    Some((number(first)?, length.map_or(Some(1), number)?))
}

/// An extent of nearly all ids (the host's own map, or a copy of it) claims no block.
fn reaches_window(extent: &Extent) -> bool {
    let (window, end) = (u64::from(Range::FIRST), u64::from(Range::END));
    let (first, last) = (extent.0, extent.0.saturating_add(extent.1));
    let claims_all = first <= window && last >= end;
    first < end && last > window && !claims_all
}

/// Time of boot and time since, in seconds.
fn clocks() -> (i64, i64) {
    let uptime = rustix::system::sysinfo().uptime;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(now.as_secs()).unwrap_or_default() - uptime, uptime)
}

fn mark(path: &str) -> Mark {
    rustix::fs::stat(path).map_or((0, 0, 0, 0), |stat| {
        let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
        (stat.st_ino, stat.st_size, stat.st_mtime, nanos)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Leaves `count` blocks from `first` on, as far as the registry knows.
    pub(in crate::store::ranges) fn narrow(registry: &OwnedFd, first: Range, count: u32) {
        let (first, end) =
            (u64::from(first.base()), u64::from(first.base() + count * Range::LENGTH));
        let _ = Foreign::refresh(registry, &mut Maps(Some(vec![(0, first), (end, u64::MAX)])));
    }

    #[test]
    fn lines_of_each_file_are_understood() {
        assert_eq!(extent("me:524288:65536".split(':'), 1, Some(2)), Some((524_288, 65_536)));
        assert_eq!(extent("u:x:600000:7::/:".split(':'), 2, None), Some((600_000, 1)));
        assert_eq!(extent("0 700000 10".split_ascii_whitespace(), 1, Some(2)), Some((700_000, 10)));
        assert_eq!(extent("# a comment".split(':'), 1, Some(2)), None);
        assert_eq!(extent("me:x".split(':'), 1, Some(2)), None);
    }

    #[test]
    fn the_map_of_the_host_claims_no_block() {
        assert!(!reaches_window(&(0, 4_294_967_295)));
        assert!(!reaches_window(&(100_000, 65_536)));
        assert!(reaches_window(&(500_000, 65_536)));
        assert!(reaches_window(&(1_878_982_655, 65_536)));
    }

    #[test]
    fn a_kept_list_is_dropped_when_it_is_old_of_another_boot_or_a_file_changed() {
        let dir = tempfile::tempdir().unwrap();
        let registry = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        let fresh = || Foreign::refresh(&registry, &mut Maps(Some(Vec::new())));
        assert!(fresh().holds());

        for change in [
            |list: &mut Foreign| list.read_sec -= BELIEVED_SEC + 1,
            |list: &mut Foreign| list.read_sec += 60,
            |list: &mut Foreign| list.boot_sec -= 3600,
            |list: &mut Foreign| list.marks[2].2 += 1,
        ] {
            let mut list = fresh();
            change(&mut list);
            assert!(!list.holds());
        }
    }

    #[test]
    fn broken_lists_are_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let registry = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());

        for broken in ["", "{", "[]", r#"{"boot_sec":1}"#] {
            std::fs::write(dir.path().join(CACHE), broken).unwrap();
            assert!(Foreign::load(&registry, &mut Maps(Some(Vec::new()))).holds());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }
}
