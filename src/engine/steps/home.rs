//! Where the user's home is, as the image says. Nothing here allocates.
//!
//! The image's `/etc/passwd` is read by init alone, with the program's ids and capabilities: it
//! can be anything, and leads nowhere that the program could not go by itself.

use rustix::fs::{FileType, Mode, OFlags};

use crate::engine::prepare::InitPlan;

/// How much is read, in bytes.
const MOST: usize = 1 << 20;
/// The longest line that counts, in bytes.
const LONGEST_LINE: usize = 8192;

/// Has `HOME` say what the image says of the user. Where it says nothing that can be read, the
/// plan's word stays: a process without a home is no failure.
pub(in crate::engine) fn find(plan: &InitPlan<'_>, uid: u32) {
    // A pipe must not hold it up, and a terminal must not become its own.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = rustix::fs::open(c"/etc/passwd", flags, Mode::empty()) else { return };
    let Ok(found) = rustix::fs::fstat(&file) else { return };
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return;
    }
    let mut search = Search { uid, line: [0; LONGEST_LINE], length: 0 };
    let mut buffer = [0; 4096];
    let mut read: usize = 0;
    while read < MOST {
        let length = rustix::io::read(&file, &mut buffer).unwrap_or(0);
        // The last line may lack its end.
        let text = if length == 0 { b"\n" } else { buffer.get(..length).unwrap_or_default() };
        if search.ends_in(text) {
            let _ = search.home().map(|home| plan.environment.write(home));
            return;
        }
        if length == 0 {
            return;
        }
        read = read.saturating_add(length);
    }
}

/// Looks for a user's line, and keeps the one that it is at.
struct Search {
    uid: u32,
    line: [u8; LONGEST_LINE],
    /// How long it is so far; when there is no room for all of it, it does not count.
    length: usize,
}

impl Search {
    /// Takes the next bytes, up to the end of the user's line; says whether that is among them.
    fn ends_in(&mut self, text: &[u8]) -> bool {
        for byte in text {
            if *byte != b'\n' {
                if let Some(place) = self.line.get_mut(self.length) {
                    *place = *byte;
                }
                self.length = self.length.saturating_add(1);
            } else if self.home().is_some() {
                return true;
            } else {
                self.length = 0;
            }
        }
        false
    }

    /// The home in the line, if it is the user's.
    fn home(&self) -> Option<&[u8]> {
        let line = self.line.get(..self.length)?.trim_ascii();
        let mut fields = line.split(|byte| *byte == b':');
        let uid = fields.nth(2)?;
        // Never a sign, and never more digits than the largest id has.
        let digits = (1..=10).contains(&uid.len()) && uid.iter().all(u8::is_ascii_digit);
        let number = uid.iter().fold(0_u64, |number, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
        });
        let home = fields.nth(2)?;
        (digits && number == u64::from(self.uid) && !home.is_empty()).then_some(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\n#\nshort:x:7\na:x:+7:7::/plus:\n\
        b:x:7:7::/home/b:/bin/sh\nc:x:7:7::/second:\nempty:x:8:8:::\nlast:x:9:9::/last:/bin/sh";

    fn found(uid: u32, piece: usize) -> Option<String> {
        let mut search = Search { uid, line: [0; LONGEST_LINE], length: 0 };
        let mut pieces = TEXT.chunks(piece).chain([&b"\n"[..]]);
        let is_found = pieces.any(|piece| search.ends_in(piece));
        is_found.then(|| String::from_utf8(search.home().unwrap().to_vec()).unwrap())
    }

    #[test]
    fn the_first_line_of_the_user_says_where_the_home_is() {
        for piece in [1, 3, 4096] {
            assert_eq!(found(0, piece).as_deref(), Some("/root"));
            assert_eq!(found(7, piece).as_deref(), Some("/home/b"));
            assert_eq!(found(9, piece).as_deref(), Some("/last"));
            assert_eq!(found(8, piece), None);
            assert_eq!(found(1000, piece), None);
        }
    }

    #[test]
    fn a_line_that_is_too_long_does_not_count_and_ends() {
        let mut search = Search { uid: 7, line: [0; LONGEST_LINE], length: 0 };
        let long = [b"a:x:7:7::/", &[b'y'; 2 * LONGEST_LINE][..], b":\n"].concat();

        assert!(!search.ends_in(&long));
        assert!(search.ends_in(b"b:x:7:7::/b:\n"));
        assert_eq!(search.home(), Some(&b"/b"[..]));
    }
}
