//! The mount table of the process itself, as far as the self-test asks.

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount<'a> {
    /// Where it is, with the kernel's octal escapes.
    pub(super) point: &'a str,
    /// The mount's own options; the file system's are not among them.
    pub(super) options: &'a str,
    /// The file system's type.
    pub(super) kind: &'a str,
}

impl Mount<'_> {
    /// Whether one of the mount's own options is this one.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|it| it == option)
    }
}

/// Reads lines of mountinfo; those that make no sense are left out.
///
/// Reference: proc_pid_mountinfo(5).
pub(super) fn parse(table: &str) -> impl Iterator<Item = Mount<'_>> {
    table.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(4);
        Some(Mount { point: left.next()?, options: left.next()?, kind: right.split(' ').next()? })
    })
}

/// What is writable without being `nosuid,nodev`, and what is writable at all.
///
/// A devpts cannot be `nodev`: its devices are the terminals that it makes. Nor can a mount that
/// is a single device, and nothing can be made there.
pub(super) fn writable(
    table: &str,
    is_device: impl Fn(&str) -> bool,
) -> (Vec<String>, Vec<String>) {
    let (mut loose, mut all) = (Vec::new(), Vec::new());
    for mount in parse(table).filter(|mount| mount.has("rw") && !is_device(mount.point)) {
        let missing: Vec<_> = ["nosuid", "nodev"]
            .into_iter()
            .filter(|option| !mount.has(option))
            .filter(|option| (mount.kind, *option) != ("devpts", "nodev"))
            .collect();
        if !missing.is_empty() {
            loose.push(format!("{} lacks {}", mount.point, missing.join(",")));
        }
        all.push(mount.point.to_owned());
    }
    (loose, all)
}
