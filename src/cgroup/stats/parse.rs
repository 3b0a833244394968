//! Files of the kernel's that count: numbers, lines with a key, lines with many.

use std::collections::BTreeMap;

use super::types::{BlockIoEntry, Pressure, PressureAverages};
use crate::cgroup::directory::Directory;

/// A file that holds one number: `max` is the highest; `None` without the file.
pub(super) fn number(group: &Directory, file: &str) -> Option<u64> {
    match group.read(file).ok()?.trim() {
        "max" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// The value of a key in a text of lines `KEY VALUE`.
pub(super) fn find(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

/// All of a text of lines `KEY VALUE`.
pub(super) fn table(text: &str) -> BTreeMap<String, u64> {
    let parse = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// A list such as `0-3,7`. What is no such list has no members.
pub(super) fn list(text: &str) -> Vec<u16> {
    let mut members = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            members.extend(first..=last);
        }
    }
    members
}

/// A file of pressure stall information; `None` where the kernel has none, or has it off.
pub(super) fn pressure(group: &Directory, file: &str) -> Option<Pressure> {
    parse_pressure(&group.read(file).ok()?)
}

fn parse_pressure(text: &str) -> Option<Pressure> {
    let averages = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        let value = |key: &str| line.split(' ').find_map(|pair| pair.strip_prefix(key));
        Some(PressureAverages {
            avg10: value("avg10=")?.parse().ok()?,
            avg60: value("avg60=")?.parse().ok()?,
            avg300: value("avg300=")?.parse().ok()?,
            total: value("total=")?.parse().ok()?,
        })
    };
    Some(Pressure { some: averages("some")?, full: averages("full").unwrap_or_default() })
}

/// Lines such as `8:0 rbytes=4096 wbytes=0 rios=1`, for two of the keys.
pub(super) fn io(text: &str, read: &str, write: &str) -> Vec<BlockIoEntry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let Some((device, values)) = line.split_once(' ') else { continue };
        let Some((major, minor)) = device_number(device) else { continue };
        for (key, op) in [(read, "Read"), (write, "Write")] {
            let value = values.split(' ').find_map(|pair| pair.strip_prefix(key)?.parse().ok());
            if let Some(value) = value {
                entries.push(BlockIoEntry { major, minor, op: op.to_owned(), value });
            }
        }
    }
    entries
}

/// Lines of cgroup v1 such as `8:0 Read 1282048` and `8:0 6792`; the sums are left out.
pub(super) fn blkio(text: &str) -> Vec<BlockIoEntry> {
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = device_number(words.next()?)?;
        let second = words.next()?;
        Some(match words.next() {
            Some(value) => {
                let value = value.parse().ok()?;
                BlockIoEntry { major, minor, op: second.to_owned(), value }
            }
            None => BlockIoEntry { major, minor, op: String::new(), value: second.parse().ok()? },
        })
    };
    text.lines().filter_map(parse).collect()
}

fn device_number(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_lines_are_read_by_key() {
        let entries = io("8:0 rbytes=4096 wbytes=12 rios=1 wios=0\n7:1 \n", "rbytes=", "wbytes=");

        let seen: Vec<_> =
            entries.iter().map(|e| (e.major, e.minor, e.op.as_str(), e.value)).collect();
        assert_eq!(seen, [(8, 0, "Read", 4096), (8, 0, "Write", 12)]);
    }

    #[test]
    fn blkio_lines_have_three_words_or_two() {
        let entries = blkio("8:0 Read 5\n8:0 Total 5\n8:16 77\nTotal 82\n");

        let seen: Vec<_> = entries.iter().map(|e| (e.minor, e.op.as_str(), e.value)).collect();
        assert_eq!(seen, [(0, "Read", 5), (0, "Total", 5), (16, "", 77)]);
    }

    #[test]
    fn a_key_is_not_found_by_its_beginning() {
        assert_eq!(find("oom 3\noom_kill 2\n", "oom_kill"), Some(2));
        assert_eq!(find("oom_kill 2\n", "oom"), None);
    }

    #[test]
    fn a_list_is_ranges_and_single_numbers() {
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(list("\n"), [0; 0]);
    }

    #[test]
    fn pressure_has_two_lines_or_one() {
        let text = "some avg10=1.50 avg60=0.20 avg300=0.00 total=77\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";

        let both = parse_pressure(text).unwrap();
        assert_eq!((both.some.avg10, both.some.total, both.full.total), (1.5, 77, 5));
        let one = parse_pressure(text.lines().next().unwrap()).unwrap();
        assert_eq!(one.full, PressureAverages::default());
    }
}
