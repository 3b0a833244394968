//! How the half inside tells the half outside what came of its attempts: JSON, a line each.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::attempts;
use super::outcome::{Expect, Finding, Outcome, Promise, Verdict};
use crate::sys::Errno;
use crate::sys::attempt::Signal;

/// More than all answers together are long; what comes after is not read.
const LIMIT_BYTES: usize = 1 << 20;

/// An outcome as JSON.
fn to_value(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Denied(errno) => {
            json!({"outcome": "denied", "errno": io::Error::from(*errno).raw_os_error()})
        }
        Outcome::Killed(signal) => json!({"outcome": "killed", "signal": signal.as_str()}),
        Outcome::Held(text) => json!({"outcome": "held", "text": text}),
        Outcome::Succeeded(text) => json!({"outcome": "succeeded", "text": text}),
        Outcome::Inconclusive(text) => json!({"outcome": "inconclusive", "text": text}),
        Outcome::Lost(text) => json!({"outcome": "lost", "text": text}),
    }
}

fn from_value(value: &Value) -> Option<Outcome> {
    let text = || Some(value.get("text")?.as_str()?.to_owned());
    match value.get("outcome")?.as_str()? {
        "denied" => {
            let number = value.get("errno")?.as_i64()?;
            Some(Outcome::Denied(Errno::from_raw(i32::try_from(number).ok()?)))
        }
        "killed" => Some(Outcome::Killed(value.get("signal")?.as_str()?.parse::<Signal>().ok()?)),
        "held" => text().map(Outcome::Held),
        "succeeded" => text().map(Outcome::Succeeded),
        "inconclusive" => text().map(Outcome::Inconclusive),
        "lost" => text().map(Outcome::Lost),
        _ => None,
    }
}

pub(super) fn to_bytes(outcome: &Outcome) -> Vec<u8> {
    to_value(outcome).to_string().into_bytes()
}

pub(super) fn from_bytes(bytes: &[u8]) -> Option<Outcome> {
    from_value(&serde_json::from_slice(bytes).ok()?)
}

/// Writes one answer.
pub(super) fn write(out: &mut impl Write, id: &str, outcome: &Outcome) -> io::Result<()> {
    let mut value = to_value(outcome);
    if let Some(object) = value.as_object_mut() {
        object.insert("id".to_owned(), id.into());
    }
    writeln!(out, "{value}")?;
    out.flush()
}

/// Writes that there is nothing more to come.
pub(super) fn write_end(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", json!({"end": true}))?;
    out.flush()
}

/// What the half inside answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    outcomes: BTreeMap<String, Outcome>,
    /// Whether it came to its end. If not, the container ended or hung before.
    pub complete: bool,
}

impl Answers {
    /// Reads answers, with anything else that the container printed left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut answers = Self::default();
        let values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for value in values {
            let id = value.get("id").and_then(Value::as_str);
            if let (Some(id), Some(outcome)) = (id, from_value(&value)) {
                answers.outcomes.insert(id.to_owned(), outcome);
            }
            answers.complete |= value.get("end").is_some();
        }
        answers
    }

    /// One finding for each attempt of the table. An attempt without an answer is broken, and so
    /// is an answer without an attempt.
    #[must_use]
    pub fn findings(mut self) -> Vec<Finding> {
        let mut findings: Vec<_> = attempts::all()
            .map(|attempt| {
                let outcome = self.outcomes.remove(attempt.id);
                attempt.finding(
                    outcome
                        .unwrap_or_else(|| Outcome::Lost("the container ended before".to_owned())),
                )
            })
            .collect();
        let strange: Vec<_> = self.outcomes.into_keys().collect();
        if !strange.is_empty() {
            let what = "answer for attempts that nobody made";
            let outcome = Outcome::Succeeded(strange.join(", "));
            findings.push(Finding::new(
                Promise::Usable,
                "works.answers",
                what,
                Expect::Held,
                outcome,
            ));
        }
        findings
    }
}

/// The findings of a process that entered by `exec`, beside those of the first process: each
/// attempt that the box withstood from there must end as well from here.
#[must_use]
pub fn entered(first: &[Finding], entered: Vec<Finding>) -> Vec<Finding> {
    let held = |id: &str| {
        first.iter().any(|finding| finding.id == id && finding.verdict() == Verdict::Holds)
    };
    let findings = entered.into_iter().filter(|finding| held(&finding.id));
    findings
        .map(|finding| Finding {
            promise: Promise::P6,
            id: format!("exec.{}", finding.id),
            ..finding
        })
        .collect()
}

/// Reads the container's standard output until it says that it is done, closes, or `limit` is
/// over. When it says so it waits for the end of its standard input: look at it, then close that.
///
/// # Errors
/// Those of poll(2) and read(2). Silence is no error: the answers are then not complete.
pub fn read(from: impl AsFd, limit: Duration) -> io::Result<Answers> {
    let deadline = Instant::now() + limit;
    let mut from = std::fs::File::from(from.as_fd().try_clone_to_owned()?);
    let mut text = Vec::new();
    let mut part = [0_u8; 4096];
    while text.len() < LIMIT_BYTES {
        if !readable(from.as_fd(), deadline)? {
            break;
        }
        let count = from.read(&mut part)?;
        text.extend_from_slice(part.get(..count).unwrap_or_default());
        if count == 0 || text.ends_with(b"{\"end\":true}\n") {
            break;
        }
    }
    Ok(Answers::parse(&String::from_utf8_lossy(&text)))
}

/// Waits until there is something to read, or its end; false when `deadline` came first.
pub(super) fn readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], wait) {
            Err(Errno::EINTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
