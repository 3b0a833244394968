//! Foreign text inside our sentences: escaped, so that it cannot forge a log line, and cut.

use std::fmt::{self, Write};

use super::pointer::Pointer;

/// Longest piece of foreign text that is shown whole, in characters.
const SHOWN_CHARS: usize = 80;

/// Text from outside, between backticks, control characters escaped, cut when long.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('`')?;
        write_shown(f, self.0, SHOWN_CHARS)?;
        f.write_char('`')
    }
}

/// Writes at most `limit` characters of `text`, each control character as an escape.
pub(super) fn write_shown(out: &mut impl Write, text: &str, limit: usize) -> fmt::Result {
    for (i, c) in text.chars().enumerate() {
        if i == limit {
            return out.write_char('…');
        }
        if is_harmful(c) {
            write!(out, "{}", c.escape_default())?;
        } else {
            out.write_char(c)?;
        }
    }
    Ok(())
}

/// Control characters, and those that reverse or hide the text around them.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// What is invalid, in other runtimes' words, where people know the property by them.
pub(super) fn subject(at: &Pointer) -> &'static str {
    const SUBJECTS: [(&str, &str); 3] = [
        ("/linux/memoryPolicy/mode", "invalid memory policy mode: "),
        ("/linux/memoryPolicy/flags", "invalid memory policy flag: "),
        ("/linux/memoryPolicy/nodes", "invalid memory policy node: "),
    ];
    let at = at.to_string();
    let subject = SUBJECTS.iter().find(|(property, _)| at.starts_with(property));
    subject.map_or("", |(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_or_a_reversed_text_cannot_reach_the_log() {
        assert_eq!(Quoted("a\n\u{202e}b\0").to_string(), r"`a\n\u{202e}b\u{0}`");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Quoted(&"x".repeat(1000)).to_string().chars().count(), SHOWN_CHARS + 3);
    }
}
