//! Sets of processors, as config.json writes them: `0-3,7`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spec::ranges::Numbers;

/// A set of processors. Holds at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuSet {
    text: String,
    mask: Vec<u64>,
}

/// The highest number that is taken. No kernel is built for more than 8192.
const HIGHEST: u32 = 65_535;

impl CpuSet {
    /// Reads a list of numbers and ranges.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mask = Numbers::parse(text, HIGHEST)?.mask();
        if mask.is_empty() {
            return Err("names no processor".to_owned());
        }
        Ok(Self { text: text.to_owned(), mask })
    }

    /// Bit n of word m: processor 64 m + n.
    #[must_use]
    pub fn mask(&self) -> &[u64] {
        &self.mask
    }
}

impl TryFrom<String> for CpuSet {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.text
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_as_it_was_read() {
        let set = CpuSet::parse("0-3,7").unwrap();

        assert_eq!(set.mask(), [0b1000_1111]);
        assert_eq!(serde_json::to_string(&set).unwrap(), "\"0-3,7\"");
        assert_eq!(serde_json::from_str::<CpuSet>("\"0-3,7\"").unwrap(), set);
    }

    #[test]
    fn an_empty_set_is_none() {
        assert_eq!(CpuSet::parse("").unwrap_err(), "names no processor");
        assert!(CpuSet::parse("65536").unwrap_err().contains("above 65535"));
    }
}
