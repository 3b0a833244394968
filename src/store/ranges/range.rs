//! One block of host ids: a value that is always aligned and inside the window.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// 65,536 host uids and the gids of the same numbers, from an aligned first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Range {
    base: u32,
}

impl Range {
    /// How many ids a range has.
    pub const LENGTH: u32 = 65_536;
    /// The first id of the first range: the window that systemd keeps for containers
    /// (its UIDS-GIDS document, "Special Distribution UID ranges").
    pub const FIRST: u32 = 524_288;
    /// The first id after the last range.
    pub const END: u32 = 1_878_982_656;
    /// How many ranges there are.
    pub const COUNT: u32 = (Self::END - Self::FIRST) / Self::LENGTH;

    /// The range that begins with the host id `base`, if there is one.
    #[must_use]
    pub fn from_base(base: u32) -> Option<Self> {
        let inside = (Self::FIRST..Self::END).contains(&base);
        (inside && base.is_multiple_of(Self::LENGTH)).then_some(Self { base })
    }

    /// The host id that id 0 inside is.
    #[must_use]
    pub fn base(self) -> u32 {
        self.base
    }

    /// Whether the extent of `length` ids from `first` has one of this range.
    pub(super) fn overlaps(self, first: u64, length: u64) -> bool {
        let (base, end) = (u64::from(self.base), u64::from(self.base + Self::LENGTH));
        length > 0 && first < end && first.saturating_add(length) > base
    }

    /// Every range, each once, from the one that a hash of `key` tells: so that processes that
    /// ask at the same time seldom meet, and a container keeps its ids from run to run.
    pub(super) fn all_from(key: &[u8]) -> impl Iterator<Item = Self> {
        let start = Sha256::digest(key)
            .iter()
            .take(8)
            .fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
        let start = u32::try_from(start % u64::from(Self::COUNT)).unwrap_or_default();
        (start..Self::COUNT)
            .chain(0..start)
            .map(|index| Self { base: Self::FIRST + index * Self::LENGTH })
    }

    pub(super) fn file_name(self) -> String {
        self.base.to_string()
    }

    pub(super) fn from_file_name(name: &str) -> Option<Self> {
        let range = Self::from_base(name.parse().ok()?)?;
        (range.file_name() == name).then_some(range)
    }
}

impl From<Range> for u32 {
    fn from(range: Range) -> Self {
        range.base
    }
}

impl TryFrom<u32> for Range {
    type Error = &'static str;

    fn try_from(base: u32) -> Result<Self, &'static str> {
        Self::from_base(base).ok_or("a range begins at a multiple of 65536 inside the window")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_range_is_tried_once_and_lies_in_the_window() {
        let all: Vec<_> = Range::all_from(b"web-1").collect();

        let different: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!(all.len(), 28_663);
        assert_eq!(different.len(), all.len());
        assert!(all.iter().all(|range| Range::from_base(range.base()) == Some(*range)));
        assert_eq!(different.first().unwrap().base(), Range::FIRST);
        assert_eq!(different.last().unwrap().base() + Range::LENGTH, Range::END);
    }

    #[test]
    fn a_base_off_the_grid_or_the_window_is_no_range() {
        for base in [0, 65_536, 524_289, 458_752, 1_878_982_656, u32::MAX] {
            assert_eq!(Range::from_base(base), None, "{base}");
        }
        assert!(serde_json::from_str::<Range>("0").is_err());
        assert_eq!(Range::from_file_name("0524288"), None);
        assert_eq!(Range::from_file_name("+524288"), None);
        assert_eq!(Range::from_file_name("524288").unwrap().base(), 524_288);
    }

    #[test]
    fn one_id_in_common_is_an_overlap() {
        let range = Range::from_base(524_288).unwrap();

        assert!(range.overlaps(524_288 + 65_535, 1));
        assert!(range.overlaps(0, 524_289));
        assert!(!range.overlaps(u64::from(u32::MAX) - 1, u64::MAX));
        assert!(!range.overlaps(0, 524_288));
        assert!(!range.overlaps(589_824, 65_536));
        assert!(!range.overlaps(524_300, 0));
    }
}
