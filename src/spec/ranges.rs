//! Lists of small numbers, such as `0-3,7`: processors and memory nodes.

use super::words::Quoted;

/// Above this, no kernel has memory nodes. Reference: `CONFIG_NODES_SHIFT`.
pub const MAX_NODE: u32 = 1023;

/// The numbers of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(Vec<u64>);

impl Numbers {
    /// Reads a list of numbers and ranges, none above `most`. An empty list has no numbers.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn parse(list: &str, most: u32) -> Result<Self, String> {
        let mut mask = Vec::new();
        for part in list.split(',').map(str::trim) {
            if part.is_empty() && list.trim().is_empty() {
                break;
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first, part)?, number(last, part)?);
            if first > last {
                return Err(format!("{} ends before it begins", Quoted(part)));
            }
            if last > most {
                return Err(format!("{} is above {most}", Quoted(part)));
            }
            (first..=last).for_each(|number| set(&mut mask, number));
        }
        Ok(Self(mask))
    }

    /// Bit n of word m: the number 64 m + n is in the list.
    #[must_use]
    pub fn mask(self) -> Vec<u64> {
        self.0
    }
}

fn number(text: &str, part: &str) -> Result<u32, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = is_plain.then(|| text.parse().ok()).flatten();
    parsed.ok_or_else(|| format!("{} is neither a number nor a range", Quoted(part)))
}

fn set(mask: &mut Vec<u64>, number: u32) {
    let index = usize::try_from(number / 64).unwrap_or(0);
    if mask.len() <= index {
        mask.resize(index.saturating_add(1), 0);
    }
    if let Some(word) = mask.get_mut(index) {
        *word |= 1 << (number % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_become_bits() {
        assert_eq!(Numbers::parse("0-1, 3,64", 64).unwrap().mask(), [0b1011, 1]);
        assert_eq!(Numbers::parse("", 64).unwrap().mask(), [0; 0]);
    }

    #[test]
    fn what_is_no_list_is_named() {
        let said = |list| Numbers::parse(list, 64).unwrap_err();
        assert_eq!(said("1,"), "`` is neither a number nor a range");
        assert_eq!(said("a-b"), "`a-b` is neither a number nor a range");
        assert_eq!(said("+1"), "`+1` is neither a number nor a range");
        assert_eq!(said("3-1"), "`3-1` ends before it begins");
        assert_eq!(said("65"), "`65` is above 64");
        assert_eq!(said("0-99999999999"), "`0-99999999999` is neither a number nor a range");
    }
}
