//! System call numbers by name and ABI, and the kernel in which each call appeared.

mod data;

use std::fmt;

use super::abi::{Abi, X32_BIT};
use data::{COUNT, ROWS};

/// In [`Row::numbers`]: the ABI has no such call.
const NO: u16 = u16::MAX;

/// Numbers from here on stand for the calls private to the ARM ABI.
const ARM_PRIVATE: u16 = 0xf000;

/// A kernel version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u8,
    minor: u8,
    patch: u8,
}

/// The text is no version of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no version of a kernel, as 6.1 is")]
pub struct NoVersion;

impl std::str::FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        Self::parse(text).ok_or(NoVersion)
    }
}

impl Version {
    /// Reads `MAJOR.MINOR`, with a patch level and anything that is no digit after it, as
    /// uname(2) has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text.get(..end)?.split('.');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let (major, minor) = (part()?.parse().ok()?, part()?.parse().ok()?);
        // Stable kernels have had patch levels above 255: all that matters here is which is newer.
        let patch = part().and_then(|part| part.parse::<u32>().ok()).unwrap_or_default();
        Some(Self { major, minor, patch: u8::try_from(patch).unwrap_or(u8::MAX) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch != 0 {
            write!(f, ".{}", self.patch)?;
        }
        Ok(())
    }
}

/// One system call.
#[derive(Debug)]
pub(crate) struct Row {
    /// As the kernel's headers have it, without `__NR_`.
    pub(crate) name: &'static str,
    /// The first kernel that had it, on any architecture.
    pub(crate) since: Version,
    numbers: [u16; 6],
}

const fn row(name: &'static str, [major, minor, patch]: [u8; 3], numbers: [u16; 6]) -> Row {
    Row { name, since: Version { major, minor, patch }, numbers }
}

impl Row {
    /// The number as the kernel reports it to a filter; `None` where the ABI has no such call.
    pub(crate) fn number(&self, abi: Abi) -> Option<u32> {
        let [x86_64, x86, x32, aarch64, arm, riscv64] = self.numbers;
        let small = match abi {
            Abi::X86_64 => x86_64,
            Abi::X86 => x86,
            Abi::X32 => x32,
            Abi::Aarch64 => aarch64,
            Abi::Arm => arm,
            Abi::Riscv64 => riscv64,
        };
        match (small, abi) {
            (NO, _) => None,
            (_, Abi::X32) => Some(u32::from(small) | X32_BIT),
            (ARM_PRIVATE.., _) => Some(0x000f_0000 + u32::from(small - ARM_PRIVATE)),
            (_, _) => Some(u32::from(small)),
        }
    }
}

/// One more than the largest ordinary number of each ABI, in the order of [`Abi::ALL`].
const LIMITS: [u16; 6] = limits();

/// Where the calls of an ABI may have their numbers: first number and count of each range.
pub(crate) fn ranges(abi: Abi) -> impl Iterator<Item = (u32, usize)> {
    let [x86_64, x86, x32, aarch64, arm, riscv64] = LIMITS;
    let (first, limit, private) = match abi {
        Abi::X86_64 => (0, x86_64, None),
        Abi::X86 => (0, x86, None),
        Abi::X32 => (X32_BIT, x32, None),
        Abi::Aarch64 => (0, aarch64, None),
        Abi::Arm => (0, arm, Some((0x000f_0000, 16))),
        Abi::Riscv64 => (0, riscv64, None),
    };
    std::iter::once((first, usize::from(limit))).chain(private)
}

/// Slots of the name index: a power of two, about three times as many as names.
const SLOTS: usize = 2048;

/// Open addressing, made when the program is compiled: row number plus one, 0 for a free slot.
static INDEX: [u16; SLOTS] = index();

/// Every call, sorted by name.
pub(crate) fn rows() -> &'static [Row] {
    &ROWS
}

/// The newest kernel that there are calls of.
pub(crate) fn newest() -> Version {
    let oldest = Version { major: 0, minor: 0, patch: 0 };
    ROWS.iter().map(|row| row.since).max().unwrap_or(oldest)
}

/// The call of that name.
pub(crate) fn lookup(name: &str) -> Option<&'static Row> {
    let mut slot = hash(name.as_bytes());
    loop {
        let entry = usize::from(*INDEX.get(slot)?);
        let row = ROWS.get(entry.checked_sub(1)?)?;
        if row.name == name {
            return Some(row);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The call of that number.
pub(crate) fn by_number(abi: Abi, number: u32) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.number(abi) == Some(number))
}

#[expect(clippy::as_conversions, reason = "`From` is not const; a remainder of 2048 fits")]
const fn hash(name: &[u8]) -> usize {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        state = (state ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = tail;
    }
    ((state >> 24) % SLOTS as u64) as usize
}

#[expect(clippy::as_conversions, reason = "`TryFrom` is not const; there are few rows")]
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: a fault is a build error")]
const fn index() -> [u16; SLOTS] {
    let mut index = [0; SLOTS];
    let mut row = 0;
    while row < COUNT {
        let mut slot = hash(ROWS[row].name.as_bytes());
        while index[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = row as u16 + 1;
        row += 1;
    }
    index
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: a fault is a build error")]
const fn limits() -> [u16; 6] {
    let mut limits = [0; 6];
    let mut row = 0;
    while row < COUNT {
        let mut column = 0;
        while column < 6 {
            let number = ROWS[row].numbers[column];
            if number < ARM_PRIVATE && number >= limits[column] {
                limits[column] = number + 1;
            }
            column += 1;
        }
        row += 1;
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_under_itself() {
        for row in rows() {
            assert!(std::ptr::eq(lookup(row.name).unwrap(), row), "{}", row.name);
        }
        assert!(lookup("").is_none());
        assert!(lookup("no_such_call").is_none());
    }

    #[test]
    fn names_are_sorted_and_numbers_are_unique_per_abi() {
        assert!(rows().windows(2).all(|pair| pair[0].name < pair[1].name));
        for abi in Abi::ALL {
            let mut numbers: Vec<_> = rows().iter().filter_map(|row| row.number(abi)).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            // One ARM number has two names.
            assert_eq!(all - numbers.len(), usize::from(abi == Abi::Arm), "{abi}");
            assert!(all > 290, "{abi}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_headers() {
        let number = |name: &str, abi| lookup(name).unwrap().number(abi);

        assert_eq!(number("execve", Abi::X86_64), Some(59));
        assert_eq!(number("execve", Abi::X86), Some(11));
        assert_eq!(number("execve", Abi::X32), Some(0x4000_0208));
        assert_eq!(number("execve", Abi::Aarch64), Some(221));
        assert_eq!(number("set_tls", Abi::Arm), Some(0x000f_0005));
        assert_eq!(number("clone3", Abi::Riscv64), Some(435));
        assert_eq!(number("open", Abi::Aarch64), None);
        assert_eq!(by_number(Abi::X86_64, 257).unwrap().name, "openat");
    }

    #[test]
    fn versions_are_read_as_the_kernel_writes_them() {
        let read = |text| Version::parse(text).map(|version| version.to_string());

        assert_eq!(read("6.18.0-rc1+"), Some("6.18".to_owned()));
        assert_eq!(read("4.19.325-amd64"), Some("4.19.255".to_owned()));
        assert_eq!(read("5.10"), Some("5.10".to_owned()));
        for nothing in ["", "6", "6.", "six.one", "1000.1"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn calls_are_dated() {
        let since = |name: &str| lookup(name).unwrap().since.to_string();

        assert_eq!(since("clone3"), "5.3");
        assert_eq!(since("openat2"), "5.6");
        assert_eq!(since("accept4"), "2.6.28");
        assert_eq!(since("listns"), "6.19");
        assert!(lookup("clone3").unwrap().since < lookup("openat2").unwrap().since);
    }
}
