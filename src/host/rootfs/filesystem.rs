//! File systems by their magic numbers, and whether the kernel can translate their ids.
//!
//! Reference: statfs(2); `linux/magic.h`; `FS_ALLOW_IDMAP` in each file system's driver.

/// How the ids of a file system can be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// On its mount. Also said of what is not known here: the kernel will decide.
    Mappable,
    /// On the mounts of its layers.
    Overlay,
    /// Not at all.
    Unmappable,
}

/// A file system's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filesystem {
    /// The name that mount(8) knows, or the number.
    pub(super) name: String,
    /// How its ids can be translated.
    pub(super) class: Class,
}

const KNOWN: &[(u32, &str, Class)] = &[
    (0xef53, "ext4", Class::Mappable),
    (0x794c_7630, "overlay", Class::Overlay),
    (0x0102_1994, "tmpfs", Class::Mappable),
    (0x5846_5342, "xfs", Class::Mappable),
    (0x9123_683e, "btrfs", Class::Mappable),
    (0x7371_7368, "squashfs", Class::Mappable),
    (0xe0f5_e1e2, "erofs", Class::Mappable),
    (0xf2f5_2010, "f2fs", Class::Mappable),
    (0x4d44, "vfat", Class::Mappable),
    (0x2011_bab0, "exfat", Class::Mappable),
    (0x2fc1_2fc1, "zfs", Class::Mappable),
    (0xca45_1a4e, "bcachefs", Class::Mappable),
    (0x00c3_6400, "ceph", Class::Mappable),
    (0x8584_58f6, "ramfs", Class::Unmappable),
    (0x6573_5546, "fuse", Class::Unmappable),
    (0x6969, "nfs", Class::Unmappable),
    (0x0102_1997, "9p", Class::Unmappable),
    (0xff53_4d42, "cifs", Class::Unmappable),
    (0xfe53_4d42, "smb2", Class::Unmappable),
    (0x9fa0, "proc", Class::Unmappable),
    (0x6265_6572, "sysfs", Class::Unmappable),
    (0x1cd1, "devpts", Class::Unmappable),
    (0x0027_e0eb, "cgroup", Class::Unmappable),
    (0x6367_7270, "cgroup2", Class::Unmappable),
    (0x1980_0202, "mqueue", Class::Unmappable),
];

impl Filesystem {
    /// The type with this magic number, of whichever width statfs(2) has here.
    pub(super) fn of(magic: impl TryInto<u32>) -> Self {
        let Ok(magic) = magic.try_into() else {
            return Self { name: "unknown".to_owned(), class: Class::Mappable };
        };
        let known = KNOWN.iter().find(|(number, _, _)| *number == magic);
        let (name, class) = known.map_or_else(
            || (format!("{magic:#x}"), Class::Mappable),
            |(_, name, class)| ((*name).to_owned(), *class),
        );
        Self { name, class }
    }

    /// A clause about something that is on it.
    pub(super) fn why_unmappable(&self) -> String {
        format!(
            "is on {}, whose owners the kernel cannot translate for a user namespace; put it on \
             ext4, xfs, btrfs, squashfs, erofs or tmpfs",
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_number_stands_for_one_file_system() {
        let mut numbers: Vec<_> = KNOWN.iter().map(|(number, _, _)| number).collect();
        numbers.sort_unstable();
        numbers.dedup();

        assert_eq!(numbers.len(), KNOWN.len());
    }

    #[test]
    fn a_file_system_that_is_not_known_is_left_to_the_kernel() {
        let unknown = Filesystem::of(0x1234_i64);

        assert_eq!(unknown, Filesystem { name: "0x1234".to_owned(), class: Class::Mappable });
    }

    #[test]
    fn what_cannot_be_mapped_says_its_type_and_what_to_do() {
        let text = Filesystem::of(0x8584_58f6_i64).why_unmappable();

        assert_eq!(
            text,
            "is on ramfs, whose owners the kernel cannot translate for a user namespace; put it \
             on ext4, xfs, btrfs, squashfs, erofs or tmpfs"
        );
    }
}
