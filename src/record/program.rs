//! Which program a thread runs, as the host sees it.

use std::fmt;

/// The longest path that is kept, in bytes.
const LONGEST: usize = 256;

/// What this program is called.
const OWN: &str = "casemate";

/// A program. What it is called was chosen inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// What it calls itself: at most 15 bytes.
    pub name: String,
    /// Its file, as the container sees it; empty if that cannot be told.
    pub file: String,
}

impl Program {
    /// Looks at a thread. What cannot be told is left empty.
    #[must_use]
    pub fn of(thread: u32) -> Self {
        if thread == 0 {
            return Self::default();
        }
        let name = std::fs::read_to_string(format!("/proc/{thread}/comm")).unwrap_or_default();
        let file = std::fs::read_link(format!("/proc/{thread}/exe")).unwrap_or_default();
        // What is still this program is about to become the other. Where ours lies is nobody's
        // business.
        if std::fs::read_link("/proc/self/exe").is_ok_and(|own| own == file) {
            return Self { name: OWN.to_owned(), file: String::new() };
        }
        Self { name: plain(name.trim_end()), file: plain(&file.to_string_lossy()) }
    }
}

impl Program {
    /// Whether it is this program, which has not become another one yet.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.name == OWN && self.file.is_empty()
    }
}

/// Without what could break a line or move a cursor, and not too long.
fn plain(text: &str) -> String {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let end = ends.take_while(|at| *at <= LONGEST).last().unwrap_or(0);
    let text = text.get(..end).unwrap_or_default();
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.file.as_str()) {
            ("", "") => f.write_str("an unknown program"),
            (name, "") => f.write_str(name),
            ("", file) => f.write_str(file),
            (name, file) => write!(f, "{name} ({file})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_known_by_its_program() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let found = || Program::of(child.id());
        while found().name != "sleep" && std::time::Instant::now() < deadline {}
        let found = found();
        child.kill().unwrap();
        child.wait().unwrap();

        assert_eq!(found.name, "sleep");
        assert!(found.file.starts_with('/') && found.file.ends_with("/sleep"), "{found}");
        assert_eq!(Program::of(std::process::id()).to_string(), "casemate");
        assert_eq!(Program::of(0).to_string(), "an unknown program");
    }

    #[test]
    fn a_hostile_name_is_harmless() {
        assert_eq!(plain("a\nb\u{1b}[2Jc"), "a?b?[2Jc");
        assert_eq!(plain(&"é".repeat(1000)).len(), 256);
    }
}
