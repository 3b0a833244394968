//! What people call a system call, and which one they mean.

use super::Abi;
use super::table::{by_number, lookup, rows};

/// What a word of a command line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// A call that the table has.
    Call(&'static str),
    /// A number that no call of the ABI has.
    FreeNumber(Abi, u32),
    /// No call; perhaps this one was meant.
    Unknown(Option<&'static str>),
}

/// Finds the call that a word means: a name, or a number of `abi`, decimal or `0x…`.
#[must_use]
pub fn meant(word: &str, abi: Abi) -> Meant {
    let digits = word.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16));
    match digits.unwrap_or_else(|| word.parse()) {
        Ok(number) => match by_number(abi, abi.full_number(number)) {
            Some(row) => Meant::Call(row.name),
            None => Meant::FreeNumber(abi, number),
        },
        Err(_) => match lookup(word) {
            Some(row) => Meant::Call(row.name),
            None => Meant::Unknown(suggest(word)),
        },
    }
}

/// Whether a word is the name or a number of a system call.
#[must_use]
pub fn is_call(word: &str) -> bool {
    !matches!(meant(word, Abi::X86_64), Meant::Unknown(_))
}

/// The known name that a wrong one is nearest to, if one is near enough to have been meant.
#[must_use]
pub fn suggest(wrong: &str) -> Option<&'static str> {
    let wrong = wrong.to_ascii_lowercase();
    let plain = ["__nr_", "sys_", "__x64_sys_", "__ia32_sys_"]
        .iter()
        .find_map(|prefix| wrong.strip_prefix(prefix))
        .unwrap_or(&wrong);
    if plain.len() > LONGEST {
        return None;
    }
    if let Some(row) = lookup(plain) {
        return Some(row.name);
    }
    let allowed = plain.len().div_ceil(4).min(3);
    let near = rows().iter().filter(|row| Abi::ALL.iter().any(|abi| row.number(*abi).is_some()));
    let near = near.map(|row| (distance(plain, row.name), row.name));
    near.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}

/// No call has a name of so many bytes, nor can one be meant.
const LONGEST: usize = 40;

/// How many letters must be put in, left out, exchanged, or change places with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX);
            let exchanged = at(&old, j).saturating_add(usize::from(x != y));
            let fewer = at(&old, j + 1).saturating_add(1);
            let more = at(&row, j).saturating_add(1);
            let mut best = exchanged.min(fewer).min(more);
            if let (Some(before), Some(left)) = (i.checked_sub(1), j.checked_sub(1))
                && a.get(before) == Some(y)
                && b.get(left) == Some(x)
            {
                best = best.min(at(&older, left).saturating_add(1));
            }
            row.push(best);
        }
        older = std::mem::replace(&mut old, row);
    }
    old.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognised() {
        for (wrong, right) in [
            ("opnat", "openat"),
            ("OpenAt2", "openat2"),
            ("sys_mount", "mount"),
            ("__NR_clone3", "clone3"),
            ("unsahre", "unshare"),
            ("setsockop", "setsockopt"),
            ("pivotroot", "pivot_root"),
        ] {
            assert_eq!(suggest(wrong), Some(right), "{wrong}");
        }
    }

    #[test]
    fn what_is_near_to_nothing_has_no_suggestion() {
        for wrong in ["", "printf_unlocked", "x", &"a".repeat(5000)] {
            assert_eq!(suggest(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_number_is_one_of_the_abi() {
        assert_eq!(meant("165", Abi::X86_64), Meant::Call("mount"));
        assert_eq!(meant("0xa5", Abi::X86_64), Meant::Call("mount"));
        assert_eq!(meant("21", Abi::X86), Meant::Call("mount"));
        assert_eq!(meant("520", Abi::X32), Meant::Call("execve"));
        assert_eq!(meant("0x40000208", Abi::X32), Meant::Call("execve"));
        assert_eq!(meant("900", Abi::X86_64), Meant::FreeNumber(Abi::X86_64, 900));
        assert_eq!(meant("mount", Abi::X86_64), Meant::Call("mount"));
        assert_eq!(meant("mout", Abi::X86_64), Meant::Unknown(Some("mount")));
        assert_eq!(meant("99999999999", Abi::X86_64), Meant::Unknown(None));
    }
}
