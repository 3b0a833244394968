//! Errors as people and engines read them, each reported once.
//!
//! A person reads from the top: the sentence, the facts below it, what to do. An engine shows the
//! last line of standard error, or the record in the log: there, one line has to say it all. So
//! where standard error is not a terminal, the facts come first, and the sentence with everything
//! that must not be lost is the last line. In both cases nothing of the bundle can break a line.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::log::Log;
use super::output::one_line;
use crate::ops::{Failure, OpsError};

/// Facts without which the sentence is only half of the truth: who wanted it, and why not.
const ESSENTIAL: [&str; 3] = ["asked for by", "because", "policy"];

/// What holds of every failure, so that no engine need be told.
const PROMISED: &str = "undone";

/// Who reads standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Person,
    Engine,
}

impl Reader {
    fn of_standard_error() -> Self {
        if io::stderr().is_terminal() { Self::Person } else { Self::Engine }
    }
}

/// Reports a failure to the log and to standard error, and gives the exit status.
pub(super) fn failure(error: &OpsError, log: &Log) -> ExitCode {
    log.error(&sentence(error));
    say(&text(error, Reader::of_standard_error()));
    ExitCode::from(status(error.failure))
}

/// Reports that the arguments make no sense, in the words of the parser.
pub(super) fn usage(message: &str, log: &Log) {
    let (sentence, rest) = split_usage(message);
    log.error(&sentence);
    say(&usage_text(message, &sentence, rest, Reader::of_standard_error()));
}

/// Says what went wrong although the command did what it was asked for: on standard error, and
/// never in the log, where engines expect one record, that of an error.
pub(super) fn warnings(doing: &str, warnings: &[String]) {
    for warning in warnings {
        say(&format!("warning: {doing}: {}\n", one_line(warning)));
    }
}

fn status(failure: Failure) -> u8 {
    match failure {
        Failure::Failed => 1,
        Failure::Refused => 3,
        Failure::Status(status) => status,
    }
}

fn say(text: &str) {
    // One call, for others may write there too. Nobody is left to tell if it fails.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn text(error: &OpsError, reader: Reader) -> String {
    match reader {
        Reader::Person => {
            let mut out = format!("error: {}\n", one_line(&error.to_string()));
            facts(&mut out, error, |_| true);
            if let Some(hint) = &error.hint {
                // Writing to a string does not fail, here and below.
                let _ = writeln!(out, "hint: {}", one_line(hint));
            }
            out
        }
        Reader::Engine => {
            let mut out = String::new();
            facts(&mut out, error, |label| label != PROMISED && !ESSENTIAL.contains(&label));
            let _ = writeln!(out, "error: {}", sentence(error));
            out
        }
    }
}

/// Indented lines, the texts below each other.
fn facts(out: &mut String, error: &OpsError, wanted: impl Fn(&str) -> bool) {
    let facts = || error.facts.iter().filter(|(label, _)| wanted(label));
    let width = facts().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, text) in facts() {
        let _ = writeln!(out, "  {label:<width$}  {}", one_line(text));
    }
}

/// All that matters, in one line.
fn sentence(error: &OpsError) -> String {
    let mut out = error.to_string();
    let essential = error.facts.iter().filter(|(label, _)| ESSENTIAL.contains(label));
    let essential: Vec<_> = essential.map(|(label, text)| format!("{label} {text}")).collect();
    if !essential.is_empty() {
        let _ = write!(out, " ({})", essential.join("; "));
    }
    if let Some(hint) = &error.hint {
        let _ = write!(out, "; hint: {hint}");
    }
    one_line(&out)
}

/// The first paragraph of the parser's message in one line, and the paragraphs after it.
fn split_usage(message: &str) -> (String, &str) {
    let (first, rest) = message.split_once("\n\n").unwrap_or((message, ""));
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let words: Vec<_> = first.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (one_line(&words.join(" ")), rest)
}

fn usage_text(message: &str, sentence: &str, rest: &str, reader: Reader) -> String {
    match reader {
        Reader::Person => message.to_owned(),
        Reader::Engine if rest.trim().is_empty() => format!("error: {sentence}\n"),
        Reader::Engine => format!("{}\n\nerror: {sentence}\n", rest.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> OpsError {
        OpsError::failed("create `web-1`", "step 14 `mount.set-flags` failed: /etc/conf: EPERM")
            .fact("asked for by", "config.json /mounts/7")
            .fact("undone", "everything before it; the host is as before")
            .hint("an outer user namespace locked `noexec` on /srv/conf; add it to the options")
    }

    #[test]
    fn a_person_reads_the_sentence_the_facts_and_the_hint() {
        assert_eq!(text(&step(), Reader::Person), include_str!("golden/person.txt"));
    }

    #[test]
    fn an_engine_finds_everything_in_the_last_line() {
        assert_eq!(text(&step(), Reader::Engine), include_str!("golden/engine.txt"));
    }

    #[test]
    fn a_refusal_says_why_in_the_log_too() {
        let mut refused = OpsError::failed(
            "create `web-1`",
            "refused by rule `ns.no-host-pid`: /linux/namespaces has no `pid`",
        )
        .fact("because", "the workload would see and signal the host's processes")
        .fact("policy", "hardened.toml:12")
        .fact("also", "refused by rule `mount.no-host-proc`: /mounts/0 binds the host's /proc")
        .fact("undone", "nothing was created")
        .hint("add {\"type\": \"pid\"} to /linux/namespaces");
        refused.failure = Failure::Refused;

        assert_eq!(text(&refused, Reader::Person), include_str!("golden/refused-person.txt"));
        assert_eq!(text(&refused, Reader::Engine), include_str!("golden/refused-engine.txt"));
        assert_eq!(status(refused.failure), 3);
    }

    #[test]
    fn an_error_without_facts_is_one_line_for_everyone() {
        let error = OpsError::failed("", "this version of casemate has no `exec`");

        for reader in [Reader::Person, Reader::Engine] {
            assert_eq!(text(&error, reader), "error: this version of casemate has no `exec`\n");
        }
        assert_eq!(status(error.failure), 1);
    }

    #[test]
    fn nothing_of_the_bundle_can_break_a_line() {
        let error = OpsError::failed("create `a`", "no such\nfile\x1b[2J")
            .fact("undone", "x\ny")
            .hint("z\nerror: all is well");

        for reader in [Reader::Person, Reader::Engine] {
            let text = text(&error, reader);
            assert_eq!(text.matches("error: ").count() - text.matches("\\nerror: ").count(), 1);
            assert!(text.lines().count() <= 3 && !text.contains('\x1b'), "{text:?}");
        }
        assert_eq!(sentence(&error).lines().count(), 1);
    }

    #[test]
    fn a_usage_error_ends_with_its_sentence_for_an_engine() {
        let message = "error: the following required arguments were not provided:\n  <ID>\n\n\
                       Usage: casemate start <ID>\n\nFor more information, try '--help'.\n";

        let (sentence, rest) = split_usage(message);

        assert_eq!(sentence, "the following required arguments were not provided: <ID>");
        assert_eq!(usage_text(message, &sentence, rest, Reader::Person), message);
        assert_eq!(
            usage_text(message, &sentence, rest, Reader::Engine),
            "Usage: casemate start <ID>\n\nFor more information, try '--help'.\n\n\
             error: the following required arguments were not provided: <ID>\n"
        );
    }
}
